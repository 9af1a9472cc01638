//! What pods are made of, where two parts of a stack meet in one.

use serde_json::{Value, json};

use super::{Settings, render};
use crate::api::{AppStack, PodSecurity};
use crate::child::Kind;
use crate::stack::check;

/// The only workload of this kind, in a stack with this spec.
fn only(kind: Kind, spec: &Value) -> Value {
    let stack = AppStack::new("shop", serde_json::from_value(spec.clone()).unwrap());
    let children = render(&check(&stack, PodSecurity::Privileged).unwrap(), &Settings::default());
    let mut found = children.into_iter().filter(|(id, _)| id.kind == kind).map(|(_, wanted)| wanted.object);
    let object = found.next().unwrap();
    assert!(found.next().is_none());
    object
}

#[test]
fn an_image_that_is_pulled_in_two_ways_is_two_volumes() {
    let image = |policy: &str| json!({"image": {"reference": "model:1", "pullPolicy": policy}});
    let mounts = json!({"/a": image("Always"), "/b": image("Never"), "/c": image("Never")});
    let pod = only(Kind::Deployment, &json!({"services": {"web": {"image": "a:1", "mounts": mounts}}}));
    let volumes = pod["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
    let policies: Vec<&Value> = volumes.iter().map(|volume| &volume["image"]["pullPolicy"]).collect();
    assert!(
        policies.len() == 2 && policies.contains(&&json!("Always")) && policies.contains(&&json!("Never")),
        "{policies:?}"
    );
}

/// Tools that show pods by them follow who wrote them.
#[test]
fn a_recommended_label_of_the_users_wins() {
    let web = json!({"image": "a:1", "podLabels": {"app.kubernetes.io/name": "storefront"}});
    let deployment = only(Kind::Deployment, &json!({"services": {"web": web}}));
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(
        (&labels["app.kubernetes.io/name"], &labels["appstack.dev/service"]),
        (&json!("storefront"), &json!("web"))
    );
}

/// The Job that fills a volume which `llm` and `web` mount.
fn filler(level: &str, llm: &Value) -> Value {
    let mut spec = json!({"podSecurity": level,
        "volumes": {"model": {"size": "1Gi", "populate": {"image": "fetch:1"}}},
        "services": {
            "llm": {"image": "llm:1", "mounts": {"/model": {"volume": "model"}}},
            "web": {"image": "web:1", "securityContext": {"runAsUser": 7}, "mounts": {"/model": {"volume": "model"}}}}});
    spec["services"]["llm"].as_object_mut().unwrap().extend(llm.as_object().unwrap().clone());
    only(Kind::Job, &spec)
}

#[test]
fn a_volume_is_filled_where_its_first_reader_runs_and_for_its_group() {
    let llm = json!({"securityContext": {"runAsUser": 1000, "runAsGroup": 50}, "imagePullSecrets": ["registry"],
        "serviceAccountName": "llm", "nodeSelector": {"gpu": "yes"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]});
    let pod = filler("Baseline", &llm)["spec"]["template"]["spec"].clone();
    assert_eq!(
        pod["securityContext"],
        json!({"fsGroup": 50, "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}}),
        "as its own image's user"
    );
    assert_eq!(
        (&pod["imagePullSecrets"], &pod["serviceAccountName"], &pod["nodeSelector"], &pod["tolerations"]),
        (
            &json!([{"name": "registry"}]),
            &json!("llm"),
            &json!({"gpu": "yes"}),
            &json!([{"key": "gpu", "operator": "Exists"}])
        )
    );
    assert_eq!(pod["automountServiceAccountToken"], false);
}

#[test]
fn what_fills_a_volume_under_restricted_passes_its_admission() {
    let pod =
        filler("Restricted", &json!({"securityContext": {"runAsUser": 1000}}))["spec"]["template"]["spec"].clone();
    assert_eq!(
        pod["securityContext"],
        json!({"runAsUser": 1000, "runAsNonRoot": true, "fsGroup": 1000, "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}})
    );
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(*container, json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}));
}

#[test]
fn a_volume_is_not_filled_again_because_its_reader_changed() {
    let name = |llm: Value| filler("Baseline", &llm)["metadata"]["name"].clone();
    let plain = name(json!({}));
    for changed in [
        json!({"image": "llm:2"}),
        json!({"securityContext": {"runAsUser": 9}}),
        json!({"nodeSelector": {"gpu": "yes"}, "imagePullSecrets": ["registry"]}),
    ] {
        assert_eq!(name(changed.clone()), plain, "{changed}");
    }
    let pod = |image: &str| filler("Baseline", &json!({"image": image}))["spec"].clone();
    assert_eq!(pod("llm:1"), pod("llm:2"));
}
