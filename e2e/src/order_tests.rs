//! The order law must fail when the order is broken: made-up histories, lawful and not.

use serde_json::json;

use super::*;

/// A history in the making: each entry is one version and some milliseconds after the last.
struct Tale {
    start: Instant,
    after: u64,
    seen: Vec<Seen>,
}

impl Tale {
    fn new() -> Tale {
        Tale { start: Instant::now(), after: 0, seen: Vec::new() }
    }

    fn then(mut self, millis: u64, kind: Kind, object: Value) -> Tale {
        self.after += millis;
        let (version, at) = (self.seen.len() as u64 + 1, self.start + Duration::from_millis(self.after));
        self.seen.push(Seen { kind, version, at, deleted: false, object: Arc::new(object) });
        self
    }

    /// The stack: `web` depends on `db`.
    fn stack(self, millis: u64, db: &str, web: &str, condition: &str) -> Tale {
        let services = json!({
            "db": {"image": db},
            "web": {"image": web, "env": {"PRICE": "5$"}, "dependsOn": {"db": {"condition": condition}}},
        });
        self.then(millis, Kind::AppStack, json!({"metadata": {"name": "shop"}, "spec": {"services": services}}))
    }

    /// A Deployment with one wanted pod, of which so many are updated and available.
    fn deployment(self, millis: u64, service: &str, image: &str, updated: i64, available: i64) -> Tale {
        let env = if service == "web" { json!([{"name": "PRICE", "value": "5$$"}]) } else { json!([]) };
        let labels = json!({"appstack.dev/stack": "shop", "appstack.dev/service": service});
        self.then(
            millis,
            Kind::Deployment,
            json!({
                "metadata": {"name": format!("shop-{service}"), "uid": service, "generation": 1, "labels": labels},
                "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": service, "image": image, "env": env}]}}},
                "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": updated, "availableReplicas": available},
            }),
        )
    }

    fn pod(self, millis: u64, image: &str, state: &Value) -> Tale {
        let labels = json!({"appstack.dev/stack": "shop", "appstack.dev/service": "db"});
        let object = json!({
            "metadata": {"name": "shop-db-x", "labels": labels},
            "spec": {"containers": [{"name": "db", "image": image}]},
            "status": {"containerStatuses": [state]},
        });
        self.then(millis, Kind::Pod, object)
    }

    fn violations(&self) -> Vec<String> {
        violations(&self.seen).iter().map(|v| v.service.service.clone()).collect()
    }
}

/// Both services run at version 1.
fn running(condition: &str) -> Tale {
    Tale::new()
        .stack(0, "db:1", "web:1", condition)
        .deployment(9, "db", "db:1", 1, 1)
        .deployment(9, "web", "web:1", 1, 1)
}

#[test]
fn what_waits_for_health_is_lawful() {
    assert_eq!(running("Healthy").violations(), [""; 0]);
    assert_eq!(judged(&running("Healthy").seen).len(), 2, "both creations are judged");
}

#[test]
fn a_dependant_created_before_health_is_too_early() {
    let tale = Tale::new().stack(0, "db:1", "web:1", "Healthy");
    let tale = tale.deployment(1000, "db", "db:1", 1, 0).deployment(1000, "web", "web:1", 0, 0);
    assert_eq!(tale.violations(), ["web"]);
}

#[test]
fn a_dependant_created_without_its_dependency_is_too_early() {
    assert_eq!(
        Tale::new().stack(0, "db:1", "web:1", "Healthy").deployment(9, "web", "web:1", 0, 0).violations(),
        ["web"]
    );
}

#[test]
fn two_images_in_one_edit_are_rolled_one_after_the_other() {
    let edit = || running("Healthy").stack(5000, "db:2", "web:2", "Healthy");
    let lawful = edit()
        .deployment(9, "db", "db:2", 0, 1)
        .deployment(900, "db", "db:2", 1, 1)
        .deployment(9, "web", "web:2", 0, 1);
    assert_eq!(lawful.violations(), [""; 0]);
    // Its status still tells of the old pods: the dependency is available, but not with what is wanted now.
    let rolling = edit().deployment(9, "db", "db:2", 0, 1).deployment(9, "web", "web:2", 0, 1);
    assert_eq!(rolling.violations(), ["web"]);
    // Nor does it help that the dependency was fine right before the edit: one moment must explain spec and health.
    assert_eq!(edit().deployment(9, "web", "web:2", 0, 1).violations(), ["web"]);
}

#[test]
fn a_running_dependant_may_be_updated_beside_an_available_but_not_whole_dependency() {
    let tale = running("Healthy").deployment(5000, "db", "db:1", 1, 1).stack(5000, "db:1", "web:2", "Healthy");
    assert_eq!(tale.deployment(9, "web", "web:2", 0, 1).violations(), [""; 0]);
    let gone = running("Healthy").deployment(5000, "db", "db:1", 1, 0).stack(5000, "db:1", "web:2", "Healthy");
    assert_eq!(gone.deployment(9, "web", "web:2", 0, 1).violations(), ["web"], "no available pod is too few");
}

#[test]
fn news_that_crosses_the_write_is_forgiven_for_a_moment_only() {
    let sick = |later| {
        running("Healthy")
            .stack(5000, "db:1", "web:2", "Healthy")
            .deployment(9, "db", "db:1", 1, 0)
            .deployment(later, "web", "web:2", 0, 1)
    };
    assert_eq!(sick(100).violations(), [""; 0]);
    assert_eq!(sick(400).violations(), ["web"]);
}

#[test]
fn a_write_of_a_spec_long_gone_is_a_violation() {
    assert_eq!(running("Healthy").deployment(5000, "db", "db:7", 0, 1).violations(), ["db"]);
}

#[test]
fn started_asks_for_a_container_that_has_run_at_the_wanted_definition() {
    let begin = || Tale::new().stack(0, "db:1", "web:1", "Started").deployment(9, "db", "db:1", 1, 0);
    let web = |tale: Tale| tale.deployment(400, "web", "web:1", 0, 0).violations();
    assert_eq!(web(begin().pod(9, "db:1", &json!({"restartCount": 2, "state": {"waiting": {}}}))), [""; 0]);
    assert_eq!(web(begin().pod(9, "db:1", &json!({"state": {"running": {}}}))), [""; 0]);
    assert_eq!(web(begin().pod(9, "db:1", &json!({"state": {"waiting": {}}}))), ["web"]);
    assert_eq!(web(begin().pod(9, "db:0", &json!({"state": {"running": {}}}))), ["web"]);
}
