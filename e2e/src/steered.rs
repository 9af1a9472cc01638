//! Pods of live tests on real nodes, steered by the same knobs as simulated ones: by policies of admission that give the
//! stand-ins what they need for it (`steered.yaml`), and by what only a look at other objects can tell.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Discovery};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::space::documents;
use crate::{Kind, Live, Space, eventually, json};

/// On a namespace whose pods are steered.
pub const LABEL: &str = "appstack.dev/e2e-steered";
const GROUP: &str = "admissionregistration.k8s.io";
const KNOB: &str = "sim.appstack.dev/";

static AS_THEY_ARE: AtomicBool = AtomicBool::new(false);

/// From now on, tests of this process get pods that nobody steers: what real nodes make of them is what is looked at.
pub fn leave_pods_as_they_are() {
    AS_THEY_ARE.store(true, Ordering::Relaxed);
}

/// Whether pods of tests run on real nodes, and are steered there.
pub fn are_pods_steered() -> bool {
    Cluster::get().real && !AS_THEY_ARE.load(Ordering::Relaxed)
}

/// Whether the nodes are real: the simulated ones come with volumes of their own.
pub async fn has_real_nodes(client: &Client) -> bool {
    let classes: Api<DynamicObject> = Api::all_with(client.clone(), &storage_classes());
    let classes = classes.list(&ListParams::default()).await.expect("listing storage classes");
    classes.items.iter().all(|class| class.data["provisioner"] != json!(format!("{KNOB}volumes")))
}

/// Who makes the volumes of the default storage class.
pub async fn provisioner(client: &Client) -> String {
    let classes: Api<DynamicObject> = Api::all_with(client.clone(), &storage_classes());
    let classes = classes.list(&ListParams::default()).await.expect("listing storage classes");
    let usual = |class: &&DynamicObject| {
        let marks = class.metadata.annotations.as_ref();
        marks.and_then(|m| m.get("storageclass.kubernetes.io/is-default-class")).is_some_and(|is| is == "true")
    };
    let usual = classes.items.iter().find(usual).expect("a default storage class");
    usual.data["provisioner"].as_str().expect("a provisioner").to_owned()
}

fn storage_classes() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("storage.k8s.io", "v1", "StorageClass"))
}

/// Makes the cluster steer pods in the test's namespace; returns once it does.
pub(crate) async fn steer(space: &Space) {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    if INSTALLED.get().is_none() {
        install(&space.client).await;
        let _ = INSTALLED.set(()); // tests side by side may both have done it, which is as good
    }
    let probe: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": {"appstack.dev/stack": "probe"}},
        "spec": {"containers": [{"name": "probe", "image": "probe:1"}]},
    }))
    .unwrap();
    let how = PostParams { dry_run: true, ..PostParams::default() };
    eventually(Duration::from_secs(30), "pods to be steered", async || {
        let made = space.api(Kind::Pod).create(&how, &probe).await.map_err(|e| e.to_string())?;
        let made = serde_json::to_value(made).unwrap();
        let steered = json::items(&made, "/spec/volumes").any(|volume| volume["name"] == "steered");
        if steered { Ok(()) } else { Err(format!("{:#}", made["spec"])) }
    })
    .await;
}

/// The policies, in the newest version of their kinds that the cluster serves.
async fn install(client: &Client) {
    let served = Discovery::new(client.clone()).filter(&[GROUP]).run().await.expect("what the cluster serves");
    let versions: Vec<&str> = served.get(GROUP).map(|group| group.versions().collect()).unwrap_or_default();
    for object in documents(include_str!("steered.yaml")) {
        let kind = json::text(&object, "/kind");
        let known = |version: &&&str| {
            let mut kinds = served.get(GROUP).into_iter().flat_map(|group| group.versioned_resources(version));
            kinds.any(|(resource, _)| resource.kind == kind)
        };
        let version = versions.iter().find(known).unwrap_or_else(|| {
            panic!("the cluster serves no {kind}: it takes Kubernetes 1.34 with the feature gate MutatingAdmissionPolicy and \
                its API version enabled (see kind-config.yaml), or a newer one that has it by itself")
        });
        let mut object = object.clone();
        object["apiVersion"] = json!(format!("{GROUP}/{version}"));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, version, kind));
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let how = PatchParams::apply("e2e").force();
        let name = json::name(&object);
        api.patch(name, &how, &Patch::Apply(&object)).await.unwrap_or_else(|e| panic!("{kind} {name}: {e}"));
    }
}

/// `fail-times`: tells each pod of a Job how it is to end, by how many others have failed. The nodes count for themselves
/// where they are simulated.
pub(crate) fn decide_failures(live: &Live) -> JoinHandle<()> {
    let (space, mut seen) = (live.space.clone(), live.observer.seen());
    tokio::spawn(async move {
        let mut at = 0;
        loop {
            for pod in seen(&mut at) {
                if let Some(times) = fail_times(&pod) {
                    decide(&space, &pod, times).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
}

fn variable<'a>(pod: &'a Value, name: &str) -> &'a str {
    let mut all = json::items(pod, "/spec/containers/0/env");
    all.find(|e| e["name"] == name).map_or("", |e| json::text(e, "/value"))
}

fn fail_times(pod: &Value) -> Option<i64> {
    let undecided = pod["metadata"]["annotations"].get(format!("{KNOB}exit-code")).is_none();
    let times = variable(pod, "SIM_FAIL_TIMES").parse().ok();
    times.filter(|_| undecided && json::text(pod, "/metadata/ownerReferences/0/kind") == "Job")
}

async fn decide(space: &Space, pod: &Value, times: i64) {
    let Some(job) = space.get(Kind::Job, json::text(pod, "/metadata/ownerReferences/0/name")).await else { return };
    let uncounted = json::items(&job, "/status/uncountedTerminatedPods/failed").count();
    let failed = json::number(&job, "/status/failed") + i64::try_from(uncounted).unwrap_or(0);
    let code = match variable(pod, "SIM_EXIT_CODE") {
        _ if failed >= times => "0",
        "" => "1",
        code => code,
    };
    let decided = json!({"metadata": {"annotations": {format!("{KNOB}exit-code"): code}}});
    // It may be gone.
    let _ = space.api(Kind::Pod).patch(json::name(pod), &PatchParams::default(), &Patch::Merge(&decided)).await;
}
