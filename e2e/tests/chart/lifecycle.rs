//! A release from its first install to its end, on simulated nodes: helm waits for the operator's pods, which run nothing there, and the operator itself
//! runs beside them, under the account, with the arguments that the release has for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::cluster::{Cluster, appstack, root};
use e2e::helm::{chart, helm, template};
use e2e::{Kind, Space, eventually, grant, json};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(150);
const PLACE: &str = "appstack-system";
/// A field that the definition of the chart before did not have, as far as this test goes.
const NEW_FIELD: &str = "publish";

fn all(client: &Client, group: &str, kind: &str) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind)))
}

fn in_place(client: &Client, group: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(group, "v1", kind);
    Api::namespaced_with(client.clone(), PLACE, &ApiResource::from_gvk(&kind))
}

async fn definition(client: &Client) -> Value {
    let found = all(client, "apiextensions.k8s.io", "CustomResourceDefinition").get("appstacks.appstack.dev").await;
    serde_json::to_value(found.expect("the definition is there")).unwrap()
}

fn has_field(definition: &Value) -> bool {
    let fields = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    definition.pointer(fields).unwrap().get(NEW_FIELD).is_some()
}

/// The chart as a version before: no release exists yet, so its definition and its version are made older.
fn previous() -> PathBuf {
    let to = root().join("target/e2e/chart-before");
    let _ = std::fs::remove_dir_all(&to);
    let copied = Command::new("cp").arg("-r").arg(chart()).arg(&to).status().unwrap();
    assert!(copied.success());
    let edit = |file: &str, change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_saphyr::from_str(&std::fs::read_to_string(to.join(file)).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(to.join(file), value.to_string()).unwrap();
    };
    edit("Chart.yaml", &|about| {
        about["version"] = json!("0.0.9");
        about["appVersion"] = json!("0.0.9");
    });
    edit("files/crd.yaml", &|crd| {
        let fields = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        crd.pointer_mut(fields).unwrap().as_object_mut().unwrap().remove(NEW_FIELD).expect("a field");
    });
    to
}

struct Release<'a> {
    cluster: &'a Cluster,
    client: Client,
}

impl Release<'_> {
    fn helm(&self, args: &[&str]) -> String {
        let done = helm(Some(&self.cluster.kubeconfig), &[args, &["--namespace", PLACE]].concat());
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "helm {args:?}: {said}");
        said
    }

    fn deploy(&self, verb: &str, chart: &Path) {
        let mut args = vec![verb, "appstack", chart.to_str().unwrap(), "--wait", "--timeout", "2m"];
        args.extend((verb == "install").then_some("--create-namespace"));
        self.helm(&args);
    }

    /// The operator as the release says, but for where it listens.
    async fn operator(&self, name: &str) -> Running {
        let file = root().join(format!("target/e2e/chart/{name}.kubeconfig"));
        grant::account(self.cluster, &self.client, (PLACE, "appstack"), &file).await;
        let live = in_place(&self.client, "apps", "Deployment").get("appstack").await.unwrap();
        let container = &live.data["spec"]["template"]["spec"]["containers"][0];
        let args = json::items(container, "/args").filter_map(Value::as_str);
        let args = args.filter(|arg| !arg.starts_with("--listen")).map(|arg| arg.replace("$(POD_NAMESPACE)", PLACE));
        let log = File::create(root().join(format!("target/e2e/chart/{name}.log"))).unwrap();
        let process = Command::new(appstack())
            .args(args)
            .env("POD_NAME", "operator") // the same identity takes its lease up again at once
            .env("KUBECONFIG", &file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Running { process, kubeconfig: file }
    }
}

/// An operator, which goes with this value.
struct Running {
    process: Child,
    kubeconfig: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended by itself, which is as good
        let _ = self.process.wait();
    }
}

fn shop() -> Value {
    json!({
        "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"},
        "spec": {
            "volumes": {"data": {"size": "1Gi"}},
            "services": {
                "db": {"image": "db:1", "ports": {"sql": {"port": 5432}}, "mounts": {"/data": {"volume": "data"}}},
                "web": {"image": "web:1", "dependsOn": {"db": {"condition": "Healthy"}}},
            },
        },
    })
}

/// What must live on: kind, name and uid of the stack, its workloads, pods and claims.
async fn lives(space: &Space) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for kind in [Kind::AppStack, Kind::Deployment, Kind::Service, Kind::PersistentVolumeClaim, Kind::Pod] {
        for object in space.list(kind).await {
            found.push((format!("{kind} {}", json::name(&object)), json::text(&object, "/metadata/uid").to_owned()));
        }
    }
    assert!(found.len() >= 7, "a stack, two Deployments with pods, a Service, a claim: {found:?}");
    found.sort();
    found
}

/// The stack and the pod of `helm test`, the latter as a process: it is the operator's program, and simulated nodes run none.
async fn passes_its_own_test(release: &Release<'_>, operator: &Running) {
    let test: Vec<Value> = template(&chart(), &[])
        .unwrap()
        .into_iter()
        .filter(|object| object["metadata"]["annotations"].get("helm.sh/hook").is_some())
        .collect();
    let one = |kind: &str| test.iter().find(|object| object["kind"] == kind).expect("an object of the test");
    let stack: DynamicObject = serde_json::from_value(one("AppStack").clone()).unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("appstack.dev", "v1alpha1", "AppStack"));
    let stacks: Api<DynamicObject> = Api::namespaced_with(release.client.clone(), PLACE, &kind);
    stacks.create(&PostParams::default(), &stack).await.unwrap();
    let container = one("Pod").pointer("/spec/containers/0").unwrap().clone();
    let kubeconfig = operator.kubeconfig.clone();
    let done = tokio::task::spawn_blocking(move || {
        let args = json::items(&container, "/args").filter_map(Value::as_str);
        Command::new(appstack()).args(args).env("KUBECONFIG", &kubeconfig).output().unwrap()
    })
    .await
    .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    stacks.delete("appstack-test", &DeleteParams::default()).await.unwrap();
    eventually(SOON, "the test's stack to be gone", async || {
        stacks.get_opt("appstack-test").await.map_err(|e| e.to_string())?.map_or(Ok(()), |_| Err("still there".into()))
    })
    .await;
    release.helm(&["test", "appstack", "--timeout", "2m"]);
}

async fn of_release(client: &Client) -> Vec<String> {
    let labelled = ListParams::default().labels("app.kubernetes.io/managed-by=Helm");
    let mut found = Vec::new();
    for (group, kind) in
        [("rbac.authorization.k8s.io", "ClusterRole"), ("rbac.authorization.k8s.io", "ClusterRoleBinding")]
    {
        found.extend(all(client, group, kind).list(&labelled).await.unwrap().items);
    }
    for (group, kind) in [
        ("rbac.authorization.k8s.io", "Role"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("", "ServiceAccount"),
        ("", "Service"),
        ("apps", "Deployment"),
        ("networking.k8s.io", "NetworkPolicy"),
    ] {
        found.extend(in_place(client, group, kind).list(&labelled).await.unwrap().items);
    }
    found.iter().map(|object| format!("{:?} {:?}", object.types, object.metadata.name)).collect()
}

// "install, upgrade from the previous chart, uninstall (workloads and PVCs live on)"; R23, S24
#[test]
fn a_release_is_installed_upgraded_and_taken_away_and_stacks_live_on() {
    let cluster = Cluster::bare("chart");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        std::fs::create_dir_all(root().join("target/e2e/chart")).unwrap();
        let client = cluster.client("chart").await;
        let release = Release { cluster: &cluster, client: client.clone() };
        let namespace: DynamicObject =
            serde_json::from_value(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))
                .unwrap();
        all(&client, "", "Namespace").create(&PostParams::default(), &namespace).await.unwrap();
        let space = Space { name: "shop".into(), test: "chart".into(), client: client.clone() };

        release.deploy("install", &previous());
        assert!(!has_field(&definition(&client).await));
        let operator = release.operator("before").await;
        eventually(SOON, "the new kind to be served", async || space.try_apply(&shop()).await.map(drop)).await;
        space.wait_ready("shop", SOON).await;
        let before = lives(&space).await;
        let generation = |stack: &Value| json::number(stack, "/metadata/generation");
        let first = generation(&space.get(Kind::AppStack, "shop").await.unwrap());
        drop(operator);

        release.deploy("upgrade", &chart());
        assert!(has_field(&definition(&client).await), "an upgrade brings the definition along");
        let operator = release.operator("after").await;
        passes_its_own_test(&release, &operator).await;
        // One of a shard beside it, which runs nowhere here.
        let shard = "crds.enabled=false,selector=shard=b,operator.applyAs=allowed,replicaCount=0";
        release.helm(&[
            "install",
            "appstack-b",
            chart().to_str().unwrap(),
            "--set",
            shard,
            "--wait",
            "--timeout",
            "2m",
        ]);
        release.helm(&["uninstall", "appstack-b", "--wait", "--timeout", "2m"]);
        assert!(has_field(&definition(&client).await), "the definition is not of the shard");
        space.wait_ready("shop", SOON).await;
        assert_eq!(lives(&space).await, before, "an upgrade replaces nothing of a stack");
        assert_eq!(generation(&space.get(Kind::AppStack, "shop").await.unwrap()), first);

        drop(operator);
        release.helm(&["uninstall", "appstack", "--wait", "--timeout", "2m"]);
        assert_eq!(of_release(&client).await, Vec::<String>::new(), "what is left of the release");
        assert!(has_field(&definition(&client).await), "the definition stays");
        tokio::time::sleep(Duration::from_secs(3)).await; // the garbage collector would have begun by then
        assert_eq!(lives(&space).await, before, "an uninstall takes nothing of a stack");

        release.deploy("install", &chart());
        let _operator = release.operator("again").await;
        space.patch("shop", json!({"spec": {"services": {"db": {"image": "db:2"}}}})).await;
        space.wait_ready("shop", SOON).await;
        let claims = |lives: &[(String, String)]| {
            lives
                .iter()
                .filter(|(name, _)| name.starts_with("PersistentVolumeClaim") || name.starts_with("AppStack"))
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(claims(&lives(&space).await), claims(&before), "a later install takes up what is there");
    });
}
