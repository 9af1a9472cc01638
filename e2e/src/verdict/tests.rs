//! The verdict must see what is wrong: a made-up stack as it should be, and each way in which it may not.

use serde_json::{Value, json};

use super::pods::quantity;
use super::{Running, problems};
use crate::Kind;
use crate::expected::Expected;

fn expected() -> Expected {
    let all = json!({
        "files": [], "profiles": [], "services": ["web"], "order": [], "started": [],
        "networks": {"front_net": {"internal": true, "members": ["web"]}}, "listens": {"web": [8000]},
        "reachable": [], "unreachable": [], "no_egress": [],
        "routes": [{"path": "/api", "to": "web", "port": 8000}, {"path": "/shop", "to": "web", "port": 8000}],
        "published": {"web": [{"published": 80, "target": 8000}, {"published": 81, "target": 8000, "host_ip": "127.0.0.1"}]},
        "aliases": {"www": "web"},
        "volumes": {"./data": {"users": ["web"], "shared": false, "read_only_users": [], "single_writer": true}},
        "config_mounts": {"./docker-init-db.sh": {"users": ["web"], "target": "/init.sh"}},
        "source_mounts": {}, "host_mounts": {"web": ["/proc"]}, "anonymous_volumes": {},
        "health": {"web": {"interval": 30, "timeout": 10, "retries": 3, "start_period": 40}},
        "limits": {"web": {"cpus": [0, 1], "memory": ["256Mi", "1Gi"]}},
        "gpus": {"web": 1}, "replicas": {}, "autoscale": {}, "jobs": [], "daemonsets": [], "secret_values": ["hunter2"],
    });
    serde_json::from_value(all).expect("what is expected")
}

fn running() -> Running {
    let labels = json!({"appstack.dev/stack": "shop", "appstack.dev/service": "web"});
    let pod = json!({
        "containers": [{
            "name": "web", "ports": [{"name": "http", "containerPort": 8000}],
            "resources": {"requests": {"memory": "256Mi"}, "limits": {"cpu": "1000m", "memory": "1Gi", "nvidia.com/gpu": "1"}},
            "readinessProbe": {"periodSeconds": 5, "timeoutSeconds": 10, "failureThreshold": 18, "successThreshold": 1},
            "volumeMounts": [
                {"name": "data", "mountPath": "/data"},
                {"name": "host", "mountPath": "/host", "readOnly": true},
                {"name": "init", "mountPath": "/init.sh", "subPath": "file", "readOnly": true},
            ],
        }],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "shop-data"}},
            {"name": "host", "hostPath": {"path": "/proc"}},
            {"name": "init", "configMap": {"name": "shop-init"}},
        ],
    });
    let script =
        std::fs::read_to_string(crate::expected::folder("finity").join("docker-init-db.sh")).expect("a script");
    let deployment = json!({
        "metadata": {"name": "shop-web", "labels": labels, "generation": 1},
        "spec": {
            "replicas": 1, "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": {"appstack.dev/network.front-net": "", "app": "web"}}, "spec": pod},
        },
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    });
    let service = |name: &str, port: i64| {
        let ports = json!([{"name": "http", "port": port, "targetPort": "http"}]);
        json!({"metadata": {"name": name}, "spec": {"selector": {"app": "web"}, "ports": ports}})
    };
    let member = json!({"matchExpressions": [{"key": "appstack.dev/network.front-net", "operator": "Exists"}]});
    let objects = vec![
        (Kind::Deployment, deployment),
        (Kind::Service, service("web", 8000)),
        (Kind::Service, service("web-published", 80)),
        (Kind::Service, service("www", 8000)),
        (
            Kind::NetworkPolicy,
            json!({
                "metadata": {"name": "shop-net-front-net"},
                "spec": {"podSelector": member, "egress": [{"to": [{"podSelector": member}]}]},
            }),
        ),
        (
            Kind::PersistentVolumeClaim,
            json!({
                "metadata": {"name": "shop-data", "labels": {"appstack.dev/stack": "shop", "appstack.dev/volume": "data"}},
                "spec": {"accessModes": ["ReadWriteOncePod"]}, "status": {"phase": "Bound"},
            }),
        ),
        (Kind::ConfigMap, json!({"metadata": {"name": "shop-init"}, "data": {"file": script}})),
        (
            Kind::HttpRoute,
            json!({
                "metadata": {"name": "shop-web-api", "labels": labels},
                "spec": {"rules": [{"matches": [{"path": {"value": "/api"}}], "backendRefs": [{"name": "web", "port": 8000}]}]},
            }),
        ),
        (
            Kind::Ingress,
            json!({
                "metadata": {"name": "shop-web-shop", "labels": labels},
                "spec": {"rules": [{"http": {"paths": [{"path": "/shop", "backend": {"service": {"name": "web", "port": {"name": "http"}}}}]}}]},
            }),
        ),
    ];
    Running { stack: "shop".to_owned(), folder: "finity".to_owned(), objects }
}

#[test]
fn a_stack_as_it_should_be_has_no_problems() {
    assert_eq!(problems(&running(), &expected()), [""; 0]);
}

#[test]
fn each_difference_is_a_problem() {
    const POD: &str = "/spec/template/spec";
    let cases: &[(Kind, &str, &str, Value)] = &[
        (Kind::Deployment, "/metadata/labels/appstack.dev~1service", "", json!("other")),
        (Kind::Deployment, "/status/updatedReplicas", "", json!(0)),
        (Kind::Deployment, "/spec/replicas", "", json!(2)),
        (Kind::Deployment, "/spec/strategy/type", "", json!("RollingUpdate")),
        (Kind::Deployment, "/spec/template/metadata/labels", "", json!({"app": "web"})),
        (Kind::Deployment, POD, "/containers/0/ports/0/containerPort", json!(8001)),
        (Kind::Deployment, POD, "/containers/0/readinessProbe/failureThreshold", json!(3)),
        (Kind::Deployment, POD, "/containers/0/readinessProbe", json!(null)),
        (Kind::Deployment, POD, "/containers/0/resources/limits/cpu", json!("2")),
        (Kind::Deployment, POD, "/containers/0/resources/requests/memory", json!("1Gi")),
        (Kind::Deployment, POD, "/containers/0/resources/limits/nvidia.com~1gpu", json!("2")),
        (Kind::Deployment, POD, "/containers/0/volumeMounts/1/readOnly", json!(false)),
        (Kind::Deployment, POD, "/containers/0/volumeMounts/2/readOnly", json!(false)),
        (Kind::Deployment, POD, "/containers/0/volumeMounts/2/mountPath", json!("/elsewhere")),
        (Kind::Deployment, POD, "/containers/0/name", json!("hunter2")),
        (Kind::Deployment, POD, "/volumes/0/persistentVolumeClaim/claimName", json!("shop-other")),
        (Kind::Deployment, POD, "/volumes/1/hostPath/path", json!("/")),
        (Kind::Service, "/spec/ports/0/port", "", json!(443)),
        (Kind::NetworkPolicy, "/spec/egress/0", "", json!({})),
        (Kind::NetworkPolicy, "/spec/podSelector", "", json!({"matchLabels": {"app": "db"}})),
        (Kind::PersistentVolumeClaim, "/spec/accessModes/0", "", json!("ReadWriteMany")),
        (Kind::PersistentVolumeClaim, "/metadata/labels/appstack.dev~1volume", "", json!("other")),
        (Kind::PersistentVolumeClaim, "/status/phase", "", json!("Pending")),
        (Kind::ConfigMap, "/data/file", "", json!("another text")),
        (Kind::HttpRoute, "/spec/rules/0/matches/0/path/value", "", json!("/")),
        (Kind::HttpRoute, "/spec/rules/0/backendRefs/0/port", "", json!(8001)),
        (Kind::Ingress, "/spec/rules/0/http/paths/0/backend/service/name", "", json!("other")),
        (Kind::Ingress, "/spec/rules/0/http/paths/0/backend/service/port/name", "", json!("admin")),
    ];
    for (kind, above, below, value) in cases {
        let mut changed = running();
        let object = changed.objects.iter_mut().find(|(k, _)| k == kind).map(|(_, o)| o).expect("an object");
        *object.pointer_mut(&format!("{above}{below}")).expect(below) = value.clone();
        assert!(!problems(&changed, &expected()).is_empty(), "{kind}{above}{below} = {value} went unseen");
    }
}

#[test]
fn what_is_missing_is_a_problem() {
    for n in 0..running().objects.len() {
        let mut changed = running();
        let (kind, _) = changed.objects.remove(n);
        assert!(!problems(&changed, &expected()).is_empty(), "without object {n}, a {kind}");
    }
    let mut several = running();
    let mut second = several.objects[0].clone();
    second.1["metadata"]["name"] = json!("shop-web-2");
    several.objects.push(second);
    assert!(!problems(&several, &expected()).is_empty(), "a second workload went unseen");
}

#[test]
fn quantities_are_numbers() {
    let close = |text: &str, number: f64| assert!((quantity(&json!(text)) - number).abs() < 1e-9, "{text}");
    close("500m", 0.5);
    close("2", 2.0);
    close("0.25", 0.25);
    close("1Gi", 1_073_741_824.0);
    close("512Mi", 536_870_912.0);
    assert!(quantity(&Value::Null).abs() < 1e-9);
}
