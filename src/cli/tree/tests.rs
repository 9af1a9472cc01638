//! What the picture looks like.

use serde_json::{Value, json};

use super::leaf::Leaf;
use super::picture::picture;
use crate::api::{AppStack, PodSecurity};
use crate::child::{Kind, labels};
use crate::cli::look::Look;
use crate::stack::check;

fn now() -> k8s_openapi::jiff::Timestamp {
    "2026-01-01T03:14:00Z".parse().unwrap()
}

fn stack(spec: &Value, status: &Value) -> AppStack {
    serde_json::from_value(
        json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "spec": spec, "status": status,
        "metadata": {"name": "shop", "namespace": "n", "uid": "u", "generation": 1}}),
    )
    .unwrap()
}

fn spec() -> Value {
    json!({
        "services": {
            "db": {"image": "postgres:99", "mounts": {"/data": {"volume": "data"}, "/etc/db.conf": {"config": "settings"}}},
            "seed": {"image": "seed:1", "mode": "Job"},
            "backend": {"image": "backend:1", "dependsOn": {"db": {}, "seed": {}}},
            "frontend": {"image": "frontend:1", "ports": {"http": {"port": 80, "published": 80}}, "dependsOn": {"backend": {}}},
        },
        "volumes": {"data": {"size": "1Gi"}}, "configs": {"settings": {"content": "x"}},
    })
}

fn condition(r#type: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": r#type, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T03:10:00Z"})
}

fn leaf(kind: Kind, name: &str, service: &str, rest: &Value) -> Leaf {
    let mut object = json!({"metadata": {"name": name, "creationTimestamp": "2026-01-01T03:10:00Z", "generation": 1,
        "labels": {labels::STACK: "shop", labels::SERVICE: service}}});
    if kind == Kind::Pod {
        object["spec"] = json!({"containers": []});
    }
    let fields = object.as_object_mut().unwrap();
    for (key, value) in rest.as_object().unwrap() {
        match key.as_str() {
            "labels" => fields["metadata"]["labels"] = value.clone(),
            "annotations" => fields["metadata"]["annotations"] = value.clone(),
            _ => drop(fields.insert(key.clone(), value.clone())),
        }
    }
    Leaf::of(kind, object).unwrap()
}

fn trouble() -> (AppStack, Vec<Leaf>) {
    let pull = "Back-off pulling image \"postgres:99\"";
    let stack = stack(
        &spec(),
        &json!({
            "observedGeneration": 1, "summary": "1/4", "waitingOn": "backend waits for db (Healthy): ImagePullBackOff",
            "conditions": [condition("Ready", "False", "Progressing", "rolling out db"), condition("Reconciling", "True", "Progressing", "")],
            "services": {
                "db": {"state": "Progressing", "ready": 0, "desired": 1, "reason": "ImagePullBackOff", "message": pull, "since": "2026-01-01T03:10:00Z"},
                "seed": {"state": "Completed", "ready": 0, "desired": 1, "since": "2026-01-01T03:11:30Z"},
                "backend": {"state": "Waiting", "ready": 0, "desired": 2, "waitingOn": "db (Healthy): 0/1 pods available", "since": "2026-01-01T03:10:00Z"},
                "frontend": {"state": "Waiting", "ready": 1, "desired": 1, "waitingOn": "backend (Healthy): waits itself", "since": "2026-01-01T03:10:00Z"},
            },
        }),
    );
    let old = json!({labels::REVISION: "earlier"});
    let leaves = vec![
        leaf(
            Kind::Deployment,
            "shop-db",
            "db",
            &json!({"spec": {"replicas": 1}, "status": {"replicas": 1, "updatedReplicas": 1}}),
        ),
        leaf(
            Kind::Deployment,
            "shop-frontend",
            "frontend",
            &json!({"spec": {"replicas": 1}, "status": {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}}),
        ),
        leaf(
            Kind::Deployment,
            "shop-old",
            "old",
            &json!({"spec": {"replicas": 1}, "status": {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}}),
        ),
        leaf(
            Kind::Job,
            "shop-seed-1a2b",
            "",
            &json!({"labels": {labels::JOB: "seed"}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
        ),
        leaf(
            Kind::Pod,
            "shop-db-7d9f5b8c6d-x2xkq",
            "db",
            &json!({"status": {"phase": "Pending", "containerStatuses": [{"name": "db", "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff", "message": pull}}}]}}),
        ),
        leaf(
            Kind::Pod,
            "shop-frontend-6c9d8f7b5-zzzzz",
            "frontend",
            &json!({"annotations": old, "status": {"phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}], "containerStatuses": [{"restartCount": 4, "state": {"running": {}}}]}}),
        ),
        leaf(
            Kind::Claim,
            "shop-data",
            "",
            &json!({"labels": {labels::VOLUME: "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}, "status": {"phase": "Bound"}}),
        ),
        leaf(Kind::ConfigMap, "shop-settings-abc", "", &json!({"labels": {labels::CONFIG: "settings"}})),
        leaf(Kind::ConfigMap, "shop-other-abc", "", &json!({"labels": {labels::CONFIG: "other"}})),
    ];
    (stack, leaves)
}

#[test]
fn a_picture_of_trouble_names_the_cause_first_and_who_waits_behind_it() {
    let (stack, leaves) = trouble();
    let expected = "\
◐ shop: 1/4 services ready, Progressing for 4m
  frontend waits for backend, which waits for db: ImagePullBackOff: Back-off pulling image \"postgres:99\"
├─ ◐ db         Progressing   0/1   4m      ImagePullBackOff: Back-off pulling image \"postgres:99\"
│  ├─ ◐ Deployment shop-db   0/1 ready
│  │  └─ ✖ Pod shop-db-7d9f5b8c6d-x2xkq   ImagePullBackOff, 4m
│  ├─ ✔ Claim shop-data   Bound, 1Gi
│  └─ ✔ Config shop-settings-abc
├─ ✔ seed       Completed     -     2m30s
│  └─ ✔ Job shop-seed-1a2b   succeeded
├─ ○ backend    Waiting       0/2   4m      waits for db
├─ ○ frontend   Waiting       1/1   4m      waits for backend, which waits for db
│  └─ ✔ Deployment shop-frontend   1/1 ready
│     └─ ✔ Pod shop-frontend-6c9d8f7b5-zzzzz   ready, 3h, restarted 4 times, of an earlier revision
└─ no longer in the spec
   └─ ✔ Deployment shop-old   1/1 ready
";
    let seen = picture(&stack, &leaves, Look::default(), now());
    assert_eq!(seen, expected, "\n{seen}");
}

#[test]
fn a_terminal_gets_colours_and_lines_that_do_not_wrap() {
    let (stack, leaves) = trouble();
    let seen = picture(&stack, &leaves, Look { columns: Some(60), colour: true }, now());
    assert!(
        seen.contains("├─ \x1b[33m◐\x1b[0m db         \x1b[33mProgressing\x1b[0m   0/1   4m      ImagePullBackOf…\n"),
        "{seen}"
    );
    assert!(seen.contains("\x1b[31m✖\x1b[0m Pod shop-db"), "{seen}");
    let cause =
        "frontend waits for backend, which waits for db: ImagePullBackOff: Back-off pulling image \"postgres:99\"\n";
    assert!(seen.contains(cause), "what stands in the way is said in full");
}

#[test]
fn a_stack_that_is_well_or_invalid_or_new_says_so_in_its_first_line() {
    let services = json!({"services": {"web": {"image": "web:1", "ports": {"http": {"port": 80, "published": 80}}}}});
    let web = json!({"web": {"state": "Ready", "ready": 1, "desired": 1, "address": "10.0.0.1:80", "since": "2026-01-01T03:13:00Z"}});
    let well = json!({"observedGeneration": 1, "summary": "1/1", "services": web, "conditions": [condition("Ready", "True", "AllServicesReady", "all well")]});
    let seen = picture(&stack(&services, &well), &[], Look::default(), now());
    assert_eq!(
        seen,
        "✔ shop: 1/1 services ready, AllServicesReady for 4m\n└─ ✔ web   Ready   1/1   60s   at 10.0.0.1:80\n"
    );

    let cycle = json!({"services": {"web": {"image": "web:1", "dependsOn": {"db": {}}}, "db": {"image": "db:1", "dependsOn": {"web": {}}}}});
    let said = json!({"observedGeneration": 1, "summary": "1/1", "services": web, "conditions": [
        condition("Ready", "False", "DependencyCycle", "web -> db -> web"), condition("Stalled", "True", "DependencyCycle", "")]});
    let invalid = stack(&cycle, &said);
    assert!(check(&invalid, PodSecurity::Privileged).is_err());
    let seen = picture(&invalid, &[], Look::default(), now());
    assert_eq!(
        seen,
        "✖ shop: 1/1 services ready, DependencyCycle for 4m\n  web -> db -> web\n└─ ✔ web   Ready   1/1   60s   at 10.0.0.1:80\n"
    );

    let seen = picture(&stack(&services, &json!({"observedGeneration": -1})), &[], Look::default(), now());
    assert!(seen.starts_with("○ shop: the operator has not looked at it yet\n"), "{seen}");
}
