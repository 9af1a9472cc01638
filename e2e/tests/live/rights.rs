//! Least privilege: each right of the operator's role is taken away in turn, and each time the server refuses a request for want of it.
//!
//! That every request of the operator is within its role shows in all other live tests, whose operators have no more; that none of its rights goes unused
//! in them is checked at the end of the suite (`e2e/tests/rights.rs`).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use e2e::cluster::{Cluster, root};
use e2e::grant::{account, printed_role};
use e2e::rights::{Right, told};
use e2e::{Kind, Live, eventually, json, live};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};

use crate::stacks::{SOON, stack};

const NAME: &str = "limited";
/// Of the operator: tried again soon, since rights give no event.
const RETRY: [&str; 2] = ["--refusal-retry", "500ms"];

/// An account whose role is the operator's, less what a test takes away.
struct Limited<'a> {
    t: &'a Live,
    rules: Vec<Value>,
    kubeconfig: PathBuf,
}

impl<'a> Limited<'a> {
    async fn new(t: &'a Live) -> Limited<'a> {
        let kubeconfig = root().join("target/e2e").join(&t.space.test).join("limited.kubeconfig");
        account(Cluster::get(), &t.space.client, (&t.space.name, NAME), &kubeconfig).await;
        let rules = printed_role()["rules"].as_array().expect("rules").clone();
        let limited = Limited { t, rules, kubeconfig };
        limited.has(&limited.rules).await;
        let name = limited.name();
        let subjects = json!([{"kind": "ServiceAccount", "name": NAME, "namespace": t.space.name}]);
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name});
        limited.apply("ClusterRoleBinding", &json!({"roleRef": role, "subjects": subjects})).await;
        limited
    }

    /// All of the cluster's, since definitions are in no namespace.
    fn name(&self) -> String {
        format!("{}-limited", self.t.space.name)
    }

    fn user(&self) -> String {
        format!("system:serviceaccount:{}:{NAME}", self.t.space.name)
    }

    async fn has(&self, rules: &[Value]) {
        self.apply("ClusterRole", &json!({"rules": rules})).await;
    }

    async fn apply(&self, kind: &str, rest: &Value) {
        let api = "rbac.authorization.k8s.io/v1";
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": self.name()}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind));
        let api: Api<DynamicObject> = Api::all_with(self.t.space.client.clone(), &resource);
        let how = PatchParams::apply("e2e").force();
        api.patch(&self.name(), &how, &Patch::Apply(&object)).await.unwrap_or_else(|e| panic!("{kind}: {e}"));
    }

    async fn remove(&self) {
        for kind in ["ClusterRoleBinding", "ClusterRole"] {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind));
            let api: Api<DynamicObject> = Api::all_with(self.t.space.client.clone(), &resource);
            let _ = api.delete(&self.name(), &DeleteParams::default()).await;
        }
    }

    /// Takes a right away, and returns once the server minds: then no other rule gives it.
    async fn lacks(&self, right: &Right) {
        self.has(&right.taken_from(&self.rules)).await;
        self.wait_allowed(right, false).await;
    }

    /// Gives it back.
    async fn regains(&self, right: &Right) {
        self.has(&self.rules).await;
        self.wait_allowed(right, true).await;
    }

    async fn wait_allowed(&self, right: &Right, allowed: bool) {
        let (resource, sub) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
        let name = if resource == "customresourcedefinitions" { "httproutes.gateway.networking.k8s.io" } else { "" };
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": {
            "user": self.user(), "groups": ["system:authenticated", "system:serviceaccounts"], "resourceAttributes": {
                "group": right.group, "resource": resource, "subresource": sub, "verb": right.verb, "namespace": self.t.space.name, "name": name}}});
        let kind = GroupVersionKind::gvk("authorization.k8s.io", "v1", "SubjectAccessReview");
        let api: Api<DynamicObject> = Api::all_with(self.t.space.client.clone(), &ApiResource::from_gvk(&kind));
        let review: DynamicObject = serde_json::from_value(review).unwrap();
        eventually(SOON, &format!("'{right}' to be allowed: {allowed}"), async || {
            let answer = api.create(&PostParams::default(), &review).await.map_err(|e| e.to_string())?;
            if answer.data["status"]["allowed"] == allowed { Ok(()) } else { Err(answer.data["status"].to_string()) }
        })
        .await;
    }

    /// Whether the API server asks for the right to set finalizers of an owner whose deletion is to be blocked (`OwnerReferencesPermissionEnforcement`). Asked while the
    /// account lacks it.
    async fn is_asked_for_finalizers(&self) -> bool {
        let file = Kubeconfig::read_from(&self.kubeconfig).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a kubeconfig");
        let client = Client::try_from(config).expect("a client");
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [
            {"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "name": "x", "uid": "x", "blockOwnerDeletion": true}]}});
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let how = PostParams { dry_run: true, ..PostParams::default() };
        Kind::ConfigMap.api(client, &self.t.space.name).create(&how, &object).await.is_err()
    }

    /// A request has failed since then for want of this right, and the server said so.
    async fn misses(&self, right: &Right, since: u64) {
        let user = self.user();
        eventually(SOON, &format!("a request to fail for want of '{right}'"), async || {
            let told = told(&log(), since, &user);
            if told.lacked.contains_key(right) { Ok(()) } else { Err(format!("{:?}", told.lacked)) }
        })
        .await;
    }

    /// The operator has said so, with the verb and the resource.
    async fn is_named(&self, right: &Right) {
        let words =
            format!("cannot {} resource \\\"{}\\\" in API group \\\"{}\\\"", right.verb, right.resource, right.group);
        let plain = words.replace('\\', "");
        eventually(SOON, &format!("the operator to say '{plain}'"), async || {
            let file = root().join("target/e2e").join(&self.t.space.test).join("operator.log");
            let said = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
            if said.contains(&words) || said.contains(&plain) { Ok(()) } else { Err("nothing of it".into()) }
        })
        .await;
    }
}

/// The end of the audit log.
fn here() -> u64 {
    std::fs::metadata(log()).expect("the audit log").len()
}

fn log() -> PathBuf {
    Cluster::get().audit_log.clone().expect("E2E_AUDIT_LOG must name the audit log of E2E_KUBECONFIG's server")
}

/// The one service of that stack: names belong to the whole namespace.
fn service_of(resource: &str) -> String {
    resource.replace('/', "-")
}

/// A stack that has a child of this kind, and few others.
fn with(resource: &str) -> Value {
    let mut web = json!({"image": "web:1", "env": {"SIM_READY_DELAY": "20ms"}});
    let mut rest = json!({"teardown": "Ordered"});
    match resource {
        "networkpolicies" | "services" => web["ports"] = json!({"http": {"port": 80}}),
        "persistentvolumeclaims" => {
            web["mounts"] = json!({"/data": {"volume": "data"}});
            rest["volumes"] = json!({"data": {"size": "1Gi", "retention": "Delete"}});
        }
        "configmaps" => {
            web["mounts"] = json!({"/etc/web.conf": {"config": "settings"}});
            rest["configs"] = json!({"settings": {"content": "a = 1\n"}});
        }
        "statefulsets" | "statefulsets/scale" => {
            web["mounts"] = json!({"/data": {"volume": "data"}});
            rest["volumes"] = json!({"data": {"size": "1Gi", "perReplica": true}});
        }
        "daemonsets" => web["mode"] = json!("Global"),
        "jobs" => web["mode"] = json!("Job"),
        "horizontalpodautoscalers" => {
            web["autoscale"] = json!({"min": 1, "max": 3, "cpuPercent": 70});
            web["resources"] = json!({"requests": {"cpu": "100m"}});
        }
        "poddisruptionbudgets" => web["replicas"] = json!(2),
        "httproutes" | "ingresses" => {
            web["ports"] = json!({"http": {"port": 80}});
            web["routes"] = json!({"all": {"host": "web.example.com", "port": "http"}});
            match resource {
                "httproutes" => rest["gateway"] = json!({"name": "public", "namespace": "gateways"}),
                _ => rest["ingressClassName"] = json!("public"),
            }
        }
        "controllerrevisions" => web["update"] = json!({"history": 2}),
        _ => {}
    }
    let service = service_of(resource);
    let name = format!("of-{service}");
    let mut all = stack(&name[..name.len().min(40)], &json!({service: web}));
    all["spec"].as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    all
}

async fn gone(t: &Live, stack: &str) {
    eventually(SOON, &format!("stack {stack} to be gone"), async || match t.space.get(Kind::AppStack, stack).await {
        None => Ok(()),
        Some(stack) => Err(stack["status"].to_string()),
    })
    .await;
}

fn api(t: &Live, (group, resource, kind): (&str, &str, &str)) -> Api<DynamicObject> {
    let version = if group == "autoscaling" { "v2" } else { "v1" };
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), resource);
    Api::namespaced_with(t.space.client.clone(), &t.space.name, &resource)
}

/// Takes each right on a written kind away in turn, under a running operator, and checks that it recovers.
async fn each_is_missed(t: &Live, kinds: &[(&str, &str, &str)]) {
    let limited = Limited::new(t).await;
    let _operator = t.space.operator().kubeconfig(&limited.kubeconfig).args(&RETRY).start();
    let mut count = 0;
    for (group, resource, kind) in kinds {
        let begin = Instant::now();
        let right = |verb: &str| Right::new(group, resource, verb);
        let miss = async |verb: &str, since: u64| {
            limited.misses(&right(verb), since).await;
            limited.is_named(&right(verb)).await;
            limited.regains(&right(verb)).await;
        };
        let all = with(resource);
        let name = json::name(&all);
        for verb in ["patch", "create"] {
            limited.lacks(&right(verb)).await;
            let since = here();
            t.space.apply_object(&all).await;
            miss(verb, since).await;
            if verb == "patch" {
                t.space.delete(Kind::AppStack, name).await;
                gone(t, name).await;
            }
        }
        t.space.wait_ready(name, SOON).await;
        let objects = api(t, (group, resource, kind));
        let of_stack = ListParams::default().labels(&format!("appstack.dev/stack={name}"));
        let mut children = objects.list(&of_stack).await.expect("children").items;
        let child = children.pop().expect("a child").metadata.name.expect("a name");

        // Somebody takes its label away, and no watch shows it any more.
        limited.lacks(&right("get")).await;
        let since = here();
        let bare = json!({"metadata": {"labels": {"appstack.dev/stack": null}}});
        objects.patch(&child, &PatchParams::default(), &Patch::Merge(&bare)).await.expect("a child without the label");
        miss("get", since).await;
        eventually(SOON, "the child to have its label back", async || {
            let live = objects.get(&child).await.map_err(|e| e.to_string())?;
            if live.labels().contains_key("appstack.dev/stack") { Ok(()) } else { Err("it has not".into()) }
        })
        .await;
        t.space.wait_ready(name, SOON).await;

        limited.lacks(&right("delete")).await;
        let since = here();
        t.space.delete(Kind::AppStack, name).await;
        miss("delete", since).await;
        gone(t, name).await;
        println!("{resource}: {:?}", begin.elapsed());
        count += 4;
    }
    limited.remove().await;
    t.shows(format!("{count} rights taken away in turn"));
}

const KINDS: [(&str, &str, &str); 13] = [
    ("networking.k8s.io", "networkpolicies", "NetworkPolicy"),
    ("", "persistentvolumeclaims", "PersistentVolumeClaim"),
    ("", "configmaps", "ConfigMap"),
    ("", "services", "Service"),
    ("apps", "deployments", "Deployment"),
    ("apps", "statefulsets", "StatefulSet"),
    ("apps", "daemonsets", "DaemonSet"),
    ("batch", "jobs", "Job"),
    ("autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    ("policy", "poddisruptionbudgets", "PodDisruptionBudget"),
    ("gateway.networking.k8s.io", "httproutes", "HTTPRoute"),
    ("networking.k8s.io", "ingresses", "Ingress"),
    ("apps", "controllerrevisions", "ControllerRevision"),
];

// "a test removes each rule in turn and something fails"
#[test]
fn without_a_right_on_what_pods_need_the_server_refuses_and_the_operator_names_it() {
    live("rights_of_needs", async |t| each_is_missed(&t, &KINDS[..4]).await);
}

#[test]
fn without_a_right_on_workloads_the_server_refuses_and_the_operator_names_it() {
    live("rights_of_workloads", async |t| each_is_missed(&t, &KINDS[4..8]).await);
}

#[test]
fn without_a_right_on_what_is_beside_workloads_the_server_refuses_and_the_operator_names_it() {
    live("rights_of_rest", async |t| each_is_missed(&t, &KINDS[8..]).await);
}

/// What is needed to see: taken away before the operator starts, since a watch that runs, runs on.
fn to_see() -> Vec<Right> {
    let kinds = KINDS.iter().map(|(group, resource, _)| (*group, *resource));
    let all = kinds.chain([("", "pods"), ("appstack.dev", "appstacks"), ("", "events")]);
    all.flat_map(|(group, resource)| ["list", "watch"].map(|verb| Right::new(group, resource, verb))).collect()
}

#[test]
fn without_a_right_to_see_the_server_refuses_and_the_operator_names_it() {
    live("rights_to_see", async |t| {
        let limited = Limited::new(&t).await;
        let all = to_see();
        for right in &all {
            limited.lacks(right).await;
            let since = here();
            let _operator = t.space.operator().kubeconfig(&limited.kubeconfig).start();
            limited.misses(right, since).await;
            limited.is_named(right).await;
        }
        // Of a kind that the cluster may lack, its definition tells when that is over. It is watched while it is not there, for which `tests/gateway.rs` has a cluster.
        let definition = Right::new("apiextensions.k8s.io", "customresourcedefinitions", "list");
        let routes = Right::new("gateway.networking.k8s.io", "httproutes", "list");
        limited.has(&definition.taken_from(&routes.taken_from(&limited.rules))).await;
        limited.wait_allowed(&definition, false).await;
        let since = here();
        let _operator = t.space.operator().kubeconfig(&limited.kubeconfig).start();
        limited.misses(&definition, since).await;
        limited.remove().await;
        t.shows(format!("{} rights taken away in turn", all.len() + 1));
    });
}

/// All that is neither of a written kind nor to see: what it takes to lead, to speak, to hold, and to touch what is not its own template.
const OTHERS: [(&str, &str, &str); 13] = [
    ("coordination.k8s.io", "leases", "get"),
    ("coordination.k8s.io", "leases", "create"),
    ("coordination.k8s.io", "leases", "update"),
    ("appstack.dev", "appstacks", "get"),
    ("appstack.dev", "appstacks", "patch"),
    ("appstack.dev", "appstacks/status", "patch"),
    ("appstack.dev", "appstacks/finalizers", "update"),
    ("events.k8s.io", "events", "create"),
    ("events.k8s.io", "events", "patch"),
    ("apps", "deployments/scale", "patch"),
    ("apps", "statefulsets/scale", "patch"),
    ("", "namespaces", "get"),
    ("", "pods", "delete"),
];

#[test]
fn every_right_of_the_role_is_one_that_these_tests_take_away() {
    let all = Right::given(printed_role()["rules"].as_array().unwrap());
    let written = KINDS.iter().flat_map(|(group, resource, _)| {
        ["create", "patch", "get", "delete"].map(|verb| Right::new(group, resource, verb))
    });
    let others = OTHERS.iter().map(|(g, r, v)| Right::new(g, r, v));
    let definitions =
        ["list", "watch"].map(|verb| Right::new("apiextensions.k8s.io", "customresourcedefinitions", verb));
    let taken: BTreeSet<Right> = written.chain(to_see()).chain(others).chain(definitions).collect();
    assert_eq!(all.symmetric_difference(&taken).collect::<Vec<_>>(), Vec::<&Right>::new());
}

#[test]
fn without_a_right_to_lead_to_speak_or_to_hold_a_request_fails() {
    live("rights_of_others", async |t| {
        let limited = Limited::new(&t).await;
        let start = || t.space.operator().kubeconfig(&limited.kubeconfig).args(&RETRY);
        let right = |at: usize| Right::new(OTHERS[at].0, OTHERS[at].1, OTHERS[at].2);
        for at in 0..3 {
            limited.lacks(&right(at)).await;
            let since = here();
            let _operator = start().args(&["--lease-term", "2"]).start();
            limited.misses(&right(at), since).await;
            limited.is_named(&right(at)).await;
            limited.regains(&right(at)).await;
        }
        let _operator = start().start();
        let shop = |image: &str| {
            let mut shop = with("deployments");
            shop["spec"]["services"]["deployments"]["image"] = json!(image);
            shop
        };
        let name = json::name(&shop("web:1")).to_owned();
        // Each by what needs it.
        for (at, image) in [(4, "web:1"), (5, "web:2"), (6, "web:3"), (7, "web:4"), (8, "web:5")] {
            limited.lacks(&right(at)).await;
            let since = here();
            match at {
                // The owner of a child that is there is not set again.
                6 if !limited.is_asked_for_finalizers().await => {
                    t.shows("finalizers: this API server does not ask for the right");
                    limited.regains(&right(at)).await;
                    continue;
                }
                6 => drop(t.space.apply_object(&with("configmaps")).await),
                // What was told once of a stack is told again by a patch.
                7 => drop(t.space.apply_object(&with("jobs")).await),
                _ => drop(t.space.apply_object(&shop(image)).await),
            }
            limited.misses(&right(at), since).await;
            limited.regains(&right(at)).await;
            t.space.wait_ready(&name, SOON).await;
        }
        limited.lacks(&right(3)).await;
        let since = here();
        t.space.delete(Kind::Deployment, &format!("{name}-deployments")).await;
        limited.misses(&right(3), since).await;
        limited.regains(&right(3)).await;
        t.space.wait_ready(&name, SOON).await;

        // A service that is held is scaled without its template.
        for (at, resource) in [(9, "deployments/scale"), (10, "statefulsets/scale")] {
            let mut all = with(resource);
            let held = json::name(&all).to_owned();
            let (service, db) = (service_of(resource), format!("db-of-{}", service_of(resource)));
            all["spec"]["services"][&service]["dependsOn"] = json!({db.as_str(): {}});
            all["spec"]["services"][&db] = json!({"image": "db:1"});
            t.space.apply_object(&all).await;
            t.space.wait_ready(&held, SOON).await;
            limited.lacks(&right(at)).await;
            let since = here();
            let slow = json!({db: {"image": "db:2", "env": {"SIM_READY_DELAY": "3s"}}, service: {"image": "web:2", "replicas": 2}});
            t.space.patch(&held, json!({"spec": {"services": slow}})).await;
            limited.misses(&right(at), since).await;
            limited.regains(&right(at)).await;
            t.space.wait_ready(&held, SOON).await;
        }

        // A pod that a StatefulSet left behind, of a service that is none any more.
        limited.lacks(&right(12)).await;
        let since = here();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": format!("{name}-old-0"),
            "labels": {"appstack.dev/stack": name, "appstack.dev/service": "old", "statefulset.kubernetes.io/pod-name": format!("{name}-old-0")},
            "annotations": {"appstack.dev/revision": "00000000"}},
            "spec": {"containers": [{"name": "old", "image": "old:1"}]}});
        t.space.create(&pod).await;
        limited.misses(&right(12), since).await;
        limited.regains(&right(12)).await;
        eventually(SOON, "the pod to be gone", async || match t.space.get(Kind::Pod, json::name(&pod)).await {
            Some(pod) if pod["metadata"]["deletionTimestamp"].is_null() => Err("it is there".into()),
            _ => Ok(()),
        })
        .await;

        limited.lacks(&right(11)).await;
        let since = here();
        t.space.delete(Kind::AppStack, &name).await;
        limited.misses(&right(11), since).await;
        gone(&t, &name).await;
        limited.remove().await;
    });
}
