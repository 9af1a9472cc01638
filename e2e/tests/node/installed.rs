//! The operator as people install it: its own image and manifest, as a pod with a Role, behind its own wall.

use std::io::Write as _;
use std::process::{Command, Stdio};

use e2e::cluster::{Cluster, appstack, root};
use e2e::nodes::{Nodes, exec, kubectl, pod_of};
use e2e::{Kind, Live, eventually, json, live};
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde_json::{Value, json as value};

use crate::data::{APP, SOON};

/// What `make image` has called it.
const IMAGE: &str = "appstack.test/operator:1";

/// What is installed, with the port at which this API server listens: the policy knows those of usual ones.
async fn manifests(t: &Live) -> String {
    let place = t.space.name.as_str();
    let printed = Command::new(appstack())
        .args(["manifests", "--namespace", place, "--watch-namespace", place, "--image", IMAGE])
        .output()
        .expect("appstack manifests");
    assert!(printed.status.success(), "{printed:?}");
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Endpoints"));
    let api: Api<DynamicObject> = Api::namespaced_with(t.space.client.clone(), "default", &resource);
    let port =
        api.get("kubernetes").await.expect("where the API server is").data["subsets"][0]["ports"][0]["port"].clone();
    let mut objects = e2e::space::documents(&String::from_utf8_lossy(&printed.stdout));
    objects.retain(|object| object["kind"] != "CustomResourceDefinition"); // one for all tests
    for object in &mut objects {
        if object["kind"] == "NetworkPolicy" {
            object["spec"]["egress"][0]["ports"]
                .as_array_mut()
                .unwrap()
                .push(value!({"protocol": "TCP", "port": port}));
        }
    }
    objects.iter().map(|object| format!("---\n{object}\n")).collect()
}

fn apply(t: &Live, yaml: &str) {
    let mut child = Command::new(root().join("target/cluster/bin/kubectl"))
        .env("KUBECONFIG", &Cluster::get().kubeconfig)
        .args(["apply", "--server-side", "--namespace", &t.space.name, "-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("kubectl");
    child.stdin.take().unwrap().write_all(yaml.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "kubectl apply");
}

async fn leads(t: &Live) -> String {
    eventually(SOON, "an operator that leads", async || {
        let pods = t.space.list(Kind::Pod).await;
        let own = |pod: &&Value| json::label(pod, "app.kubernetes.io/name") == "appstack" && json::holds(pod, "Ready");
        let ready: Vec<&str> = pods.iter().filter(own).map(json::name).collect();
        match ready[..] {
            [one] => Ok(one.to_owned()),
            _ => Err(pods.iter().map(|pod| pod["status"].to_string()).collect::<String>()),
        }
    })
    .await
}

#[test]
fn the_image_runs_as_it_is_installed_and_rolls_a_stack_out() {
    let nodes = Nodes::get();
    nodes.load(&root().join("target/image/appstack.tar"));
    live("node_installed", async |t| {
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        kubectl(&t.space, &["label", "--overwrite", "namespace", &t.space.name, restricted]);
        apply(&t, &manifests(&t).await);
        let pod = leads(&t).await;
        let running = t.space.get(Kind::Pod, &pod).await.expect("the operator");
        assert_eq!(json::text(&running, "/spec/containers/0/image"), IMAGE);

        let user = value!({"runAsUser": 65534});
        let stack = value!({
            "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"},
            "spec": {"podSecurity": "Restricted", "services": {
                "db": {"image": APP, "ports": {"http": {"port": 8080}}, "securityContext": user,
                    "healthcheck": {"http": {"port": "http"}, "interval": "1s"}},
                "web": {"image": APP, "dependsOn": {"db": {"condition": "Healthy"}}, "securityContext": user},
            }},
        });
        t.space.apply_object(&stack).await;
        t.space.wait_ready("shop", SOON).await;
        // Who is in the cluster may read what it counts; nobody can run a shell in it.
        let web = pod_of(&t.space, "shop", "web").await;
        let counted = exec(&t.space, &web, &["wget", "-qO-", "http://appstack-metrics:8080/metrics"]);
        assert!(counted.contains("appstack_build_info{"), "{counted}");
        let shell = Command::new(root().join("target/cluster/bin/kubectl"))
            .env("KUBECONFIG", &Cluster::get().kubeconfig)
            .args(["exec", "--namespace", &t.space.name, &pod, "--", "sh"])
            .output()
            .expect("kubectl");
        assert!(!shell.status.success(), "there is a shell in the image");

        // Another pod takes over, and what runs goes on.
        t.space.delete(Kind::Pod, &pod).await;
        t.space.patch("shop", value!({"spec": {"services": {"web": {"env": {"NEXT": "1"}}}}})).await;
        t.space.wait_ready("shop", SOON).await;
        assert_ne!(leads(&t).await, pod);
        assert_ne!(pod_of(&t.space, "shop", "web").await, web, "the edit was rolled out");
    });
}
