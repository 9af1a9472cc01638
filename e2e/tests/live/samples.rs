//! The five stacks: each sample, rolled out, does what `e2e/stacks/expected.yaml` says of it, and then costs nothing.

use std::time::Duration;

use e2e::operator::Operator;
use e2e::samples::{Sample, stack_of};
use e2e::verdict::{Running, broken_edges, problems};
use e2e::{Kind, Live, budget, json, live};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::stacks::{is_signal, operator_has_looked};

/// Seventeen services, eight deep, on a busy machine, whose nodes may be real.
const IN_TIME: Duration = Duration::from_mins(5);

/// Whoever wants to see it fail the verdict may look at the namespace: `E2E_KEEP=1`.
fn runs_as_expected(stack: &'static str, variant: Option<&'static str>) {
    rolls_out(Sample::of(stack, variant));
}

/// The stack as `appstack import` makes it of its Compose files, and not as we wrote it.
fn imported_runs_as_expected(stack: &'static str, variant: Option<&'static str>) {
    rolls_out(Sample::of(stack, variant).imported());
}

fn rolls_out(sample: Sample) {
    let variant = sample.variant.map(|v| format!("_{}", v.replace('-', "_"))).unwrap_or_default();
    let test = format!("{}_{}{variant}", if sample.is_imported { "imported" } else { "sample" }, sample.stack);
    live(&test, async |t| {
        let expected = sample.expected();
        if !expected.gpus.is_empty() {
            plug_in_gpus(&t.space.client).await;
        }
        let (mut operator, name) = roll_out(&t, sample).await;
        operator_has_looked(&t, "before").await;
        let mut found = problems(&snapshot(&t, sample, &name).await, &expected);
        found.extend(broken_edges(&t.observer.history().await, &name, &expected));
        assert!(found.is_empty(), "{test}: {} problems\n  {}", found.len(), found.join("\n  "));
        println!("{test}: {} services as expected", expected.services.len());
        // What a rollout costs, and that nothing follows it, is shown of the samples.
        if !sample.is_imported {
            stays_quiet(&t, &mut operator, &name).await;
        }
    });
}

/// Applies the sample as a user would, with pods that take a moment to become ready, so that order shows.
async fn roll_out(t: &Live, sample: Sample) -> (Operator, String) {
    let operator = t.space.operator().args(&["--max-pod-security", "Privileged"]).start();
    let mut documents = sample.documents();
    let stack = stack_of(&mut documents);
    let name = json::name(stack).to_owned();
    for (n, (_, service)) in stack["spec"]["services"].as_object_mut().expect("services").iter_mut().enumerate() {
        service["env"]["SIM_READY_DELAY"] = json!(format!("{}ms", 100 + n * 37 % 400));
    }
    if sample.is_imported {
        apply(t, &documents).await;
        t.space.wait_ready(&name, IN_TIME).await;
    } else {
        roll_out_within_budget(t, &documents, &name).await;
    }
    (operator, name)
}

async fn apply(t: &Live, documents: &[Value]) {
    for document in documents {
        t.space.apply_object(document).await;
    }
}

/// "A rollout of k services makes at most k+2 status writes and n+2 requests for n children."
async fn roll_out_within_budget(t: &Live, documents: &[Value], name: &str) {
    operator_has_looked(t, "begin").await;
    let mark = t.audit().mark().await;
    apply(t, documents).await;
    t.space.wait_ready(name, IN_TIME).await;
    sleep(Duration::from_millis(3500)).await; // whatever might follow: a count that nothing took along
    let requests = t.audit().since(mark).await.without(is_signal);
    let (services, children) = (
        t.space.status(name).await["services"].as_object().expect("services").len(),
        t.space.children(name).await.len(),
    );
    let (writes, statuses) = (requests.child_writes().len(), requests.writes_of("appstacks/status"));
    let reads = requests.acts.iter().filter(|r| !r.is_write()).count();
    println!(
        "{name}: {services} services, {statuses} statuses; {children} children, {writes} writes and {reads} reads of them"
    );
    assert!(writes + reads <= children + 2, "{name}: {children} children, and\n{requests}");
    let history = t.observer.of(Kind::AppStack, name).await;
    let most = budget::statuses(services, &history);
    let told = budget::told(&history);
    assert!(
        statuses <= most,
        "{name}: {services} services, {statuses} statuses, {most} allowed:\n{told}of\n{requests}"
    );
}

#[test]
fn hello_rolls_out_within_its_budget() {
    live("sample_hello", async |t| {
        let _operator = t.space.operator().start();
        let file = e2e::cluster::root().join("manifests/samples/hello.yaml");
        let yaml = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        roll_out_within_budget(&t, &e2e::space::documents(&yaml), "hello").await;
    });
}

async fn snapshot(t: &Live, sample: Sample, name: &str) -> Running {
    let mut objects = Vec::new();
    for kind in Kind::WATCHED.into_iter().chain([Kind::HttpRoute, Kind::Ingress]) {
        let all = t.space.list(kind).await;
        objects.extend(all.into_iter().filter(|o| !is_signal(json::name(o))).map(|o| (kind, o)));
    }
    Running { stack: name.to_owned(), folder: sample.stack.to_owned(), objects }
}

/// "Converged and reconciled again (a touch of the stack, an operator restart): 0 requests."
async fn stays_quiet(t: &Live, operator: &mut Operator, name: &str) {
    let audit = t.audit();
    let mark = audit.mark().await;
    t.space.touch(name, "once").await;
    operator_has_looked(t, "touched").await;
    audit.since(mark).await.without(is_signal).assert_none(&format!("{name} touched"));

    let mark = audit.mark().await;
    operator.restart();
    operator_has_looked(t, "restarted").await;
    audit.since(mark).await.without(is_signal).assert_none(&format!("{name}, operator restarted"));
}

/// The simulated nodes have no devices; one of them gets some.
async fn plug_in_gpus(client: &Client) {
    let nodes: Api<DynamicObject> =
        Api::all_with(client.clone(), &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Node")));
    let first = nodes.list(&ListParams::default()).await.expect("nodes").items.remove(0);
    let gpus: Value = json!({"nvidia.com/gpu": "8"});
    let status = json!({"status": {"capacity": gpus, "allocatable": gpus}});
    let name = first.metadata.name.unwrap_or_default();
    nodes.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await.expect("a node with GPUs");
}

#[test]
fn finity_runs_as_expected() {
    runs_as_expected("finity", None);
}

#[test]
fn finity_services_alone_run_as_expected() {
    runs_as_expected("finity", Some("backend-only"));
}

#[test]
fn cirame_runs_as_expected() {
    runs_as_expected("cirame", None);
}

#[test]
fn cirame_in_production_runs_as_expected() {
    runs_as_expected("cirame", Some("production"));
}

#[test]
fn aurum_runs_as_expected() {
    runs_as_expected("aurum", None);
}

#[test]
fn aurum_behind_its_proxy_runs_as_expected() {
    runs_as_expected("aurum", Some("proxy"));
}

#[test]
fn aurum_in_development_runs_as_expected() {
    runs_as_expected("aurum", Some("development"));
}

#[test]
fn aurum_stores_alone_run_as_expected() {
    runs_as_expected("aurum", Some("development-stores"));
}

#[test]
fn aria_runs_as_expected() {
    runs_as_expected("aria", None);
}

#[test]
fn aria_with_monitoring_runs_as_expected() {
    runs_as_expected("aria", Some("monitoring"));
}

#[test]
fn soundforge_runs_as_expected() {
    runs_as_expected("soundforge", None);
}

#[test]
fn soundforge_in_development_runs_as_expected() {
    runs_as_expected("soundforge", Some("development"));
}

#[test]
fn imported_finity_runs_as_expected() {
    imported_runs_as_expected("finity", None);
}

#[test]
fn imported_cirame_runs_as_expected() {
    imported_runs_as_expected("cirame", Some("production"));
}

#[test]
fn imported_aurum_runs_as_expected() {
    imported_runs_as_expected("aurum", Some("proxy"));
}

#[test]
fn imported_aria_runs_as_expected() {
    imported_runs_as_expected("aria", Some("monitoring"));
}

#[test]
fn imported_soundforge_runs_as_expected() {
    imported_runs_as_expected("soundforge", None);
}
