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

#[test]
fn a_pod_that_others_dial_serves_on_until_they_know_that_it_goes() {
    let of = |kind: Kind, service: Value| {
        let workload = only(kind, &json!({"services": {"web": service}}));
        let pod = &workload["spec"]["template"]["spec"];
        let grace = pod["terminationGracePeriodSeconds"].as_i64().unwrap();
        (pod["containers"][0]["lifecycle"]["preStop"].clone(), grace)
    };
    let with = |more: Value| {
        let mut service = json!({"image": "a:1", "ports": {"http": {"port": 80}}});
        service.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        of(Kind::Deployment, service)
    };
    let sleep = json!({"sleep": {"seconds": 5}});
    assert_eq!(with(json!({})), (sleep.clone(), 35), "the process keeps all of its time to stop");
    assert_eq!(with(json!({"stopGracePeriod": "1s", "update": {"order": "StartFirst"}})), (sleep, 6));

    assert_eq!(of(Kind::Deployment, json!({"image": "a:1"})), (Value::Null, 30), "nobody dials it");
    assert_eq!(with(json!({"update": {"order": "StopFirst"}})), (Value::Null, 30), "there may be no other to serve");
    let job = json!({"image": "a:1", "mode": "Job", "ports": {"http": {"port": 80}}});
    assert_eq!(of(Kind::Job, job), (Value::Null, 30));
    let (hook, grace) = with(json!({"preStop": {"exec": ["drain"]}}));
    assert_eq!((hook, grace), (json!({"exec": {"command": ["drain"]}}), 30), "it knows better");
    let patch = |spec: Value| with(json!({"podTemplatePatch": {"spec": spec}}));
    assert_eq!(patch(json!({"terminationGracePeriodSeconds": 2})), (Value::Null, 2));
    let hook = json!({"exec": {"command": ["drain"]}});
    let patched = patch(json!({"containers": [{"name": "web", "lifecycle": {"preStop": hook}}]}));
    assert_eq!(patched, (hook, 30), "a hook has one handler");
}

/// `RollingUpdate` starts the new pod while the old one is still stopping.
#[test]
fn stop_first_waits_for_the_end_of_all_pods_that_it_stops() {
    let strategy = |count: Value, parallelism: i32| {
        let mut web = json!({"image": "a:1", "resources": {"requests": {"cpu": 1}}, "update": {"order": "StopFirst", "parallelism": parallelism}});
        web.as_object_mut().unwrap().extend(count.as_object().unwrap().clone());
        only(Kind::Deployment, &json!({"services": {"web": web}}))["spec"]["strategy"].clone()
    };
    let recreate = json!({"type": "Recreate"});
    for (count, parallelism) in [
        (json!({}), 1),
        (json!({"replicas": 1}), 1),
        (json!({"replicas": 3}), 3),
        (json!({"replicas": 9}), 0),
        (json!({"autoscale": {"max": 2, "cpuPercent": 50}}), 2),
    ] {
        assert_eq!(strategy(count.clone(), parallelism), recreate, "{count} {parallelism}");
    }
    for count in [json!({"replicas": 2}), json!({"autoscale": {"max": 2, "cpuPercent": 50}})] {
        assert_eq!(strategy(count.clone(), 1)["rollingUpdate"], json!({"maxSurge": 0, "maxUnavailable": 1}), "{count}");
    }
}

/// Else the pods would stop in the old way until something else changes.
#[test]
fn pods_that_stop_in_another_way_are_of_another_revision() {
    let pods = |mode: &str, update: Value, ports: bool| {
        let mut web = json!({"image": "a:1", "mode": mode, "update": update});
        if ports {
            web["ports"] = json!({"http": {"port": 80}});
        }
        let kind = if mode == "Global" { Kind::DaemonSet } else { Kind::Deployment };
        let mut template = only(kind, &json!({"services": {"web": web}}))["spec"]["template"].clone();
        let revision = template["metadata"]["annotations"]["appstack.dev/revision"].take();
        assert!(revision.is_string(), "{template}");
        (revision, template)
    };
    for mode in ["Replicated", "Global"] {
        for ports in [false, true] {
            let unsaid = pods(mode, json!({"minReady": "1s"}), ports);
            for order in ["StartFirst", "StopFirst"] {
                let said = pods(mode, json!({"order": order}), ports);
                let alike = !ports || (order == "StartFirst") == (mode == "Replicated");
                assert_eq!((said.0 == unsaid.0, said.1 == unsaid.1), (alike, alike), "{mode} {order} {ports}");
            }
        }
    }
}
