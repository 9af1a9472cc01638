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
        self.spec(millis, &json!({"services": services}))
    }

    fn spec(self, millis: u64, spec: &Value) -> Tale {
        self.then(millis, Kind::AppStack, json!({"metadata": {"name": "shop"}, "spec": spec}))
    }

    /// What runs `db`, when `db` is no Deployment.
    fn db(self, millis: u64, kind: Kind, image: &str, status: &Value) -> Tale {
        let object = json!({
            "metadata": {
                "name": format!("shop-db-{}", image.replace(':', "")), "uid": image, "generation": 1,
                "labels": {"appstack.dev/stack": "shop", "appstack.dev/service": "db"},
            },
            "spec": {"template": {"spec": {"containers": [{"name": "db", "image": image}]}}},
            "status": status,
        });
        self.then(millis, kind, object)
    }

    fn gone(mut self, millis: u64, kind: Kind, object: Value) -> Tale {
        self = self.then(millis, kind, object);
        self.seen.last_mut().expect("what was just told").deleted = true;
        self
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
        violations(&self.seen, CROSSING).iter().map(|v| v.service.service.clone()).collect()
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
fn an_edit_that_crosses_the_news_of_health_is_forgiven_for_a_moment_only() {
    // When the dependency became healthy, an edit had just asked for another one.
    let edited = |earlier| {
        let begin = Tale::new().stack(0, "db:1", "web:1", "Healthy").deployment(9, "db", "db:1", 1, 0);
        let edit = begin.stack(400, "db:2", "web:1", "Healthy");
        edit.deployment(earlier, "db", "db:1", 1, 1).deployment(9, "web", "web:1", 0, 0)
    };
    assert_eq!(edited(50).violations(), [""; 0]);
    assert_eq!(edited(400).violations(), ["web"]);
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

/// `db` in this mode, which has run in another kind of workload; `web` waits for it.
fn moded(mode: &str, image: &str) -> Value {
    let web = json!({"image": "web:1", "env": {"PRICE": "5$"}, "dependsOn": {"db": {}}});
    json!({"services": {"db": {"image": image, "mode": mode}, "web": web}})
}

fn job(status: &str) -> Value {
    json!({"conditions": [{"type": status, "status": "True"}]})
}

#[test]
fn a_dependant_of_a_job_waits_for_its_success() {
    let begin = || Tale::new().spec(0, &moded("Job", "db:1")).db(9, Kind::Job, "db:1", &json!({"active": 1}));
    let web = |tale: Tale| tale.deployment(400, "web", "web:1", 0, 0).violations();
    assert_eq!(web(begin().db(400, Kind::Job, "db:1", &job("Complete"))), [""; 0]);
    assert_eq!(web(begin()), ["web"]);
    assert_eq!(web(begin().db(400, Kind::Job, "db:1", &job("Failed"))), ["web"]);
}

#[test]
fn the_success_of_a_job_of_an_older_definition_is_none() {
    let begin = || {
        let tale = Tale::new().spec(0, &moded("Job", "db:1")).db(9, Kind::Job, "db:1", &job("Complete"));
        tale.spec(400, &moded("Job", "db:2"))
    };
    let web = |tale: Tale| tale.deployment(400, "web", "web:1", 0, 0).violations();
    assert_eq!(web(begin()), ["web"]);
    assert_eq!(web(begin().db(9, Kind::Job, "db:2", &json!({"active": 1}))), ["web"]);
    assert_eq!(web(begin().db(9, Kind::Job, "db:2", &job("Complete"))), [""; 0]);
}

#[test]
fn a_job_that_has_ended_has_started() {
    let mut stack = moded("Job", "db:1");
    stack["services"]["web"]["dependsOn"]["db"]["condition"] = json!("Started");
    let web = |status: &Value| {
        let tale = Tale::new().spec(0, &stack).db(9, Kind::Job, "db:1", status);
        tale.deployment(400, "web", "web:1", 0, 0).violations()
    };
    assert_eq!(web(&job("Failed")), [""; 0]);
    assert_eq!(web(&json!({"active": 1})), ["web"]);
}

#[test]
fn a_daemon_set_is_healthy_on_every_node_it_wants() {
    let status = |wanted: i64, updated: i64, available: i64| {
        json!({
            "observedGeneration": 1, "desiredNumberScheduled": wanted, "currentNumberScheduled": wanted,
            "updatedNumberScheduled": updated, "numberAvailable": available,
        })
    };
    let web = |status: &Value| {
        let tale = Tale::new().spec(0, &moded("Global", "db:1")).db(9, Kind::DaemonSet, "db:1", status);
        tale.deployment(400, "web", "web:1", 0, 0).violations()
    };
    assert_eq!(web(&status(3, 3, 3)), [""; 0]);
    assert_eq!(web(&status(3, 2, 3)), ["web"]);
    assert_eq!(web(&status(3, 3, 2)), ["web"]);
    assert_eq!(web(&json!({})), ["web"], "nothing wanted by a controller that has not looked is not healthy");
    // It cannot say that it was complete once: for the update of a running dependant, all updated and one available is enough.
    let update = |later: &Value| {
        let tale = Tale::new().spec(0, &moded("Global", "db:1")).db(9, Kind::DaemonSet, "db:1", &status(3, 3, 3));
        let mut edited = moded("Global", "db:1");
        edited["services"]["web"]["image"] = json!("web:2");
        let tale = tale.deployment(9, "web", "web:1", 1, 1).db(9, Kind::DaemonSet, "db:1", later);
        tale.spec(400, &edited).deployment(400, "web", "web:2", 0, 1).violations()
    };
    assert_eq!(update(&status(3, 3, 1)), [""; 0]);
    assert_eq!(update(&status(3, 3, 0)), ["web"]);
}

#[test]
fn a_stateful_set_made_again_over_its_pods_starts_none() {
    let stateful = |image: &str| {
        json!({
            "metadata": {"name": "shop-web", "uid": "web", "labels": {"appstack.dev/stack": "shop", "appstack.dev/service": "web"}},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [
                {"name": "web", "image": image, "env": [{"name": "PRICE", "value": "5$$"}]},
            ]}}},
        })
    };
    let pod = || {
        let mut pod = stateful("web:1");
        pod["metadata"]["name"] = json!("shop-web-0");
        pod["spec"] = pod["spec"]["template"]["spec"].clone();
        pod
    };
    let begin = || Tale::new().stack(0, "db:1", "web:1", "Healthy").deployment(9, "db", "db:1", 1, 1);
    let sick = |tale: Tale| {
        tale.deployment(400, "db", "db:1", 1, 0).gone(400, Kind::StatefulSet, stateful("web:1")).then(
            400,
            Kind::StatefulSet,
            stateful("web:1"),
        )
    };
    assert_eq!(
        sick(begin().then(9, Kind::StatefulSet, stateful("web:1")).then(9, Kind::Pod, pod())).violations(),
        [""; 0]
    );
    assert_eq!(
        sick(begin().then(9, Kind::StatefulSet, stateful("web:1"))).violations(),
        ["web"],
        "without pods it does"
    );
}

#[test]
fn an_optional_dependency_that_is_off_by_profile_is_not_waited_for() {
    let stack = |active: &Value, required: bool| {
        let edge = json!({"db": {"condition": "Healthy", "required": required}});
        json!({"profiles": active, "services": {
            "db": {"image": "db:1", "profiles": ["more"]},
            "web": {"image": "web:1", "env": {"PRICE": "5$"}, "dependsOn": edge},
        }})
    };
    let web = |stack: &Value| Tale::new().spec(0, stack).deployment(400, "web", "web:1", 0, 0).violations();
    assert_eq!(web(&stack(&json!([]), false)), [""; 0]);
    assert_eq!(web(&stack(&json!([]), true)), ["web"]);
    assert_eq!(web(&stack(&json!(["more"]), false)), ["web"]);
}

#[test]
fn a_stopped_stack_may_be_written_in_any_order() {
    let stack = |stopped: bool| {
        let mut spec = moded("Replicated", "db:1");
        spec["stopped"] = json!(stopped);
        spec
    };
    let at_zero = || {
        let mut web = Tale::new().deployment(0, "web", "web:1", 0, 0).seen[0].object.as_ref().clone();
        web["spec"]["replicas"] = json!(0);
        web
    };
    let stopped = || Tale::new().spec(0, &stack(true)).then(400, Kind::Deployment, at_zero());
    assert_eq!(stopped().violations(), [""; 0]);
    let resumed = stopped().spec(400, &stack(false)).deployment(400, "web", "web:1", 0, 0);
    assert_eq!(resumed.violations(), ["web"], "going on is gated");
}

#[test]
fn a_rollback_is_lawful_only_to_what_was_complete() {
    let told = |good: &str| {
        let tale = Tale::new()
            .stack(0, "db:1", "web:1", "Healthy")
            .deployment(9, "db", "db:1", 1, 1)
            .stack(900, "db:2", "web:1", "Healthy")
            .deployment(9, "db", "db:2", 1, 0)
            .deployment(900, "db", good, 0, 0);
        let mut seen = tale.seen;
        let last = seen.last_mut().unwrap();
        let mut object = (*last.object).clone();
        object["metadata"]["annotations"]["appstack.dev/failed-revision"] = json!("two");
        last.object = Arc::new(object);
        violations(&seen, CROSSING).len()
    };
    assert_eq!(told("db:1"), 0);
    assert_eq!(told("db:0"), 1, "nobody has seen that one run");
}

#[test]
fn a_rollback_by_hand_is_lawful_only_where_the_stack_asks_for_that_revision() {
    let told = |asked: &str| {
        let tale = Tale::new()
            .stack(0, "db:1", "web:1", "Healthy")
            .deployment(9, "db", "db:1", 1, 1)
            .stack(900, "db:2", "web:1", "Healthy")
            .deployment(900, "db", "db:1", 0, 0);
        let mut seen = tale.seen;
        for one in &mut seen {
            let mut object = (*one.object).clone();
            match one.kind {
                Kind::AppStack => object["metadata"]["annotations"]["appstack.dev/rollback.db"] = json!(asked),
                _ => object["metadata"]["annotations"]["appstack.dev/revision"] = json!("good"),
            }
            one.object = Arc::new(object);
        }
        // As it was before it changed for the last time: the write in between is of another image.
        let mut between = seen[1].clone();
        let mut object = (*between.object).clone();
        object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("db:2");
        between.object = Arc::new(object);
        (between.version, between.at) = (seen[2].version, seen[2].at);
        seen.insert(3, between);
        violations(&seen, CROSSING).len()
    };
    assert_eq!(told("abc:good"), 0);
    assert_eq!(told("abc:other"), 1);
}
