//! What is said of a stack, over the world of the rollout's tests kept small.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::{Event, Report, Subject, folded, invalid, report, suspended, undecodable};
use crate::api::{AppStack, AppStackStatus, PodSecurity, ServiceState};
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::{Children, Settings, render};
use crate::rollout::{Parts, Seen, plan};
use crate::stack::{Problem, Problems, Stack, check};

struct Scene {
    stack: Stack,
    wanted: Children,
    children: BTreeMap<ChildId, Arc<Child>>,
    walls: Option<super::Proof>,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

impl Scene {
    fn new() -> Self {
        Self::of(&json!({"services": {"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {}}}}}))
    }

    fn of(spec: &serde_json::Value) -> Self {
        let written: AppStack = serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "s", "namespace": "n", "uid": "u"}, "spec": spec})).unwrap();
        let stack = check(&written, PodSecurity::Baseline).unwrap();
        let wanted = render(&stack, &Settings::default());
        Scene { stack, wanted, children: BTreeMap::new(), walls: None }
    }

    fn workload(&mut self, service: &str, status: &serde_json::Value) {
        let id = ChildId { kind: Kind::Deployment, name: format!("s-{service}") };
        let mut object = self.wanted[&id].object.clone();
        object["metadata"]["generation"] = json!(1);
        object["metadata"]["uid"] = json!("x");
        object["spec"]["replicas"] = json!(1);
        object["status"] = status.clone();
        let mut child: Child = serde_json::from_value(object).unwrap();
        child.digest = Some(self.wanted[&id].digest);
        self.children.insert(id, Arc::new(child));
    }

    fn pod(&mut self, service: &str, status: &serde_json::Value) {
        let pod = json!({"metadata": {"name": "p", "labels": {labels::STACK: "s", labels::SERVICE: service}, "annotations": {labels::REVISION: self.stack.services[service].revision}},
            "spec": {"containers": []}, "status": status});
        self.children
            .insert(ChildId { kind: Kind::Pod, name: "p".into() }, Arc::new(serde_json::from_value(pod).unwrap()));
    }

    fn report(&self, before: &AppStackStatus, second: i64) -> Report {
        let (refused, settled, ungated) = (BTreeMap::new(), BTreeMap::new(), [].into());
        let plan = plan(
            &self.stack,
            &self.wanted,
            &Seen {
                children: &self.children,
                refused: &refused,
                settled: &settled,
                missing: &BTreeSet::new(),
                unready: &BTreeMap::new(),
                ungated: &ungated,
                now: Timestamp::UNIX_EPOCH,
            },
        );
        let parts = Parts::of(&self.wanted, &self.children);
        let subject = Subject {
            stack: &self.stack,
            wanted: &self.wanted,
            children: &self.children,
            parts: &parts,
            plan: &plan,
            walls: self.walls.as_ref(),
        };
        report(&subject, 4, before, at(second))
    }
}

fn up() -> serde_json::Value {
    json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
        "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]})
}

fn kinds(status: &AppStackStatus) -> Vec<(&str, &str, &str)> {
    let all = status.conditions.iter().filter(|c| c.type_ != "NetworkIsolation");
    all.map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect()
}

#[test]
fn a_rollout_says_who_waits_for_what() {
    let mut scene = Scene::new();
    scene.workload("db", &json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}));
    let Report { status, .. } = scene.report(&AppStackStatus::default(), 0);
    assert_eq!(kinds(&status), [("Ready", "False", "Progressing"), ("Reconciling", "True", "Progressing")]);
    assert_eq!(status.waiting_on.as_deref(), Some("web waits for db (Healthy): 0/1 pods available"));
    assert_eq!(status.summary.as_deref(), Some("0/2"));
    assert_eq!(status.services["web"].state, ServiceState::Waiting);
    assert!(status.conditions.iter().all(|c| c.observed_generation == Some(4)));
}

#[test]
fn trouble_of_a_pod_is_named_on_its_service_and_on_who_waits_for_it() {
    let mut scene = Scene::new();
    scene.workload("db", &json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}));
    scene.pod("db", &json!({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image\nsecond line"}}}]}));
    let Report { status, events } = scene.report(&AppStackStatus::default(), 0);
    assert_eq!(status.services["db"].reason.as_deref(), Some("ImagePullBackOff"));
    let told: Vec<_> = events.iter().map(|e| (e.reason.as_str(), e.warning)).collect();
    assert_eq!(told, [("RolloutStarted", false), ("ImagePullBackOff", true)]);
    assert!(events[1].note.starts_with("db: no such image"), "{events:?}");
    assert_eq!(status.waiting_on.as_deref(), Some("web waits for db (Healthy): ImagePullBackOff: no such image"));
}

#[test]
fn a_refused_pod_is_named_though_there_is_none() {
    let mut scene = Scene::new();
    scene.workload("db", &json!({"observedGeneration": 1, "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]}));
    let Report { status, .. } = scene.report(&AppStackStatus::default(), 0);
    assert_eq!(status.services["db"].message.as_deref(), Some("exceeded quota"));
}

#[test]
fn a_route_whose_requests_another_stack_gets_is_a_warning_and_no_failure() {
    let mut scene = Scene::of(&json!({"gateway": {"name": "public"}, "services": {
        "web": {"image": "web:1", "ports": {"http": {"port": 80}}, "routes": {"main": {"host": "a.example", "port": "http"}}}}}));
    scene.workload("web", &up());
    let id = ChildId { kind: Kind::HttpRoute, name: "s-web-main".into() };
    let mut route: Child = serde_json::from_value(scene.wanted[&id].object.clone()).unwrap();
    assert_eq!(route.facts.route.requests.len(), 1, "what we write is what we read");
    route.facts.route.taken_up = true;
    scene.children.insert(id.clone(), Arc::new(route.clone()));
    let before = scene.report(&AppStackStatus::default(), 0).status;
    assert_eq!(before.services["web"].reason, None);
    route.facts.route.rival = Some("a.example / is routed by stack 't' of namespace 'm'".into());
    scene.children.insert(id, Arc::new(route));
    let Report { status, events } = scene.report(&before, 1);
    let web = &status.services["web"];
    assert_eq!((web.state, web.reason.as_deref()), (ServiceState::Ready, Some("RouteShadowed")));
    let told: Vec<_> = events.iter().map(|e| (e.reason.as_str(), e.warning)).collect();
    assert_eq!(told, [("RouteShadowed", true)]);
    let said = "web: route 'main' under Gateway 'public': a.example / is routed by stack 't' of namespace 'm', whose route is older";
    assert!(events[0].note.starts_with(said), "{events:?}");
    assert!(scene.report(&status, 2).events.is_empty(), "once");
}

#[test]
fn times_move_only_with_what_they_are_of_and_nothing_is_said_twice() {
    let mut scene = Scene::new();
    scene.workload("db", &up());
    scene.workload("web", &json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}));
    let first = scene.report(&AppStackStatus::default(), 0);
    assert_eq!(
        scene.report(&first.status, 5),
        Report { status: first.status.clone(), events: vec![] },
        "the same again"
    );
    scene.workload("web", &up());
    let second = scene.report(&first.status, 9);
    assert_eq!(kinds(&second.status), [("Ready", "True", "AllServicesReady")]);
    assert_eq!(second.status.services["db"].since, first.status.services["db"].since);
    assert_eq!(second.status.services["web"].since.as_ref().unwrap().0, at(9));
    assert_eq!(second.status.waiting_on, None);
    assert_eq!(
        second.events.iter().map(|e| (e.reason.as_str(), e.service.as_deref())).collect::<Vec<_>>(),
        [("RolloutComplete", Some("web"))]
    );
}

proptest::proptest! {
    // Whatever becomes of the workloads, of a suspension and of a spec that cannot be.
    #[test]
    fn times_move_with_their_status_alone_and_the_same_again_is_no_difference(
        steps in proptest::collection::vec((0usize..6, 0usize..6, 0usize..8), 1..12)
    ) {
        let moments = [
            json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}),
            up(),
            json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]}),
            json!({"observedGeneration": 1, "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]}),
            json!({"observedGeneration": 1, "replicas": 1, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}),
            json!({"observedGeneration": 0}),
        ];
        let mut scene = Scene::new();
        let mut before = AppStackStatus::default();
        for (second, (db, web, how)) in (1..).zip(steps) {
            scene.workload("db", &moments[db]);
            scene.workload("web", &moments[web]);
            let say = |before: &AppStackStatus, second| match how {
                0 => suspended(4, before, at(second)),
                1 => invalid(&Problems { all: vec![Problem::new("spec", "is wrong")], cycle: None }, 4, before, at(second)),
                _ => scene.report(before, second),
            };
            let now = say(&before, second).status;
            for is in &now.conditions {
                let was = before.conditions.iter().find(|was| was.type_ == is.type_ && was.status == is.status);
                assert_eq!(is.last_transition_time.0, was.map_or(at(second), |was| was.last_transition_time.0), "{is:?}");
            }
            for (name, is) in &now.services {
                let was = before.services.get(name).filter(|was| was.state == is.state);
                assert_eq!(is.since.as_ref().unwrap().0, was.map_or(at(second), |was| was.since.as_ref().unwrap().0), "{name}");
            }
            let there = |of: &str| now.conditions.iter().filter(|c| c.type_ == of && c.status == "True").count();
            assert!(there("Ready") + there("Reconciling") + there("Stalled") <= 1, "{:?}", now.conditions);
            assert_eq!(say(&now, second + 1), Report { status: now.clone(), events: vec![] }, "the same again");
            before = now;
        }
    }
}

#[test]
fn a_failure_stalls_the_stack_only_when_nothing_moves_any_more() {
    let mut scene = Scene::new();
    scene.workload("db", &json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}));
    let Report { status, events } = scene.report(&AppStackStatus::default(), 0);
    assert_eq!(kinds(&status), [("Ready", "False", "ServicesFailed"), ("Stalled", "True", "ServicesFailed")]);
    assert_eq!(status.services["web"].reason.as_deref(), Some("DependencyFailed"));
    assert!(status.services["web"].message.as_deref().unwrap().starts_with("waits for db: ProgressDeadlineExceeded"));
    assert!(events.iter().all(|e| e.warning) && events.len() == 2);
    scene.workload("db", &up());
    assert_eq!(kinds(&scene.report(&status, 1).status)[1].0, "Reconciling", "it clears by itself");
}

#[test]
fn a_service_that_lost_its_pods_later_is_degraded() {
    let mut scene = Scene::new();
    scene.workload("web", &up());
    scene.workload("db", &up());
    let before = scene.report(&AppStackStatus::default(), 0).status;
    scene.workload("db", &json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]}));
    let fresh = scene.report(&AppStackStatus::default(), 0).status;
    assert_eq!(fresh.services["db"].state, ServiceState::Progressing, "what was never up is not degraded");
    let Report { status, .. } = scene.report(&before, 1);
    assert_eq!(status.services["db"].state, ServiceState::Degraded);
    assert_eq!(kinds(&status)[0], ("Ready", "False", "Degraded"));

    // The cause, where its pods know one.
    let ill = |container: bool| {
        json!({"phase": "Running", "containerStatuses": [{"ready": container, "state": {"running": {}}}], "conditions": [
            {"type": "Initialized", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:01:00Z"}]})
    };
    let cases = [
        (false, "Unhealthy", "pod p runs, and its health check fails"),
        (true, "NodeLost", "the node of pod p does not answer"),
    ];
    for (container, reason, message) in cases {
        scene.pod("db", &ill(container));
        let db = &scene.report(&before, 1).status.services["db"];
        assert_eq!((db.reason.as_deref(), db.message.as_deref()), (Some(reason), Some(message)));
    }
}

#[test]
fn a_foreign_annotation_makes_no_status_flicker_and_a_new_count_does() {
    let mut scene = Scene::new();
    scene.workload("db", &up());
    scene.workload("web", &up());
    let first = scene.report(&AppStackStatus::default(), 0).status;
    let id = ChildId { kind: Kind::Deployment, name: "s-db".into() };
    Arc::make_mut(scene.children.get_mut(&id).unwrap()).meta.generation = Some(2);
    assert_eq!(scene.report(&first, 1).status, first);
    Arc::make_mut(scene.children.get_mut(&id).unwrap()).facts.spec_replicas = Some(2);
    assert_eq!(
        scene.report(&first, 1).status.services["db"].state,
        ServiceState::Progressing,
        "ready would be said too early"
    );
}

#[test]
fn of_a_rollout_that_is_over_only_the_end_is_told() {
    let event = |reason: &str, service: &str| Event {
        reason: reason.into(),
        warning: false,
        note: String::new(),
        service: Some(service.into()),
    };
    let told = folded(
        vec![event("RolloutStarted", "db"), event("RolloutStarted", "web")],
        vec![event("RolloutComplete", "db")],
    );
    assert_eq!(told, [event("RolloutStarted", "web"), event("RolloutComplete", "db")]);
}

#[test]
fn messages_are_bounded() {
    let all = (0..500).map(|n| Problem::new(format!("spec.services[s{n}].image"), "é is no image")).collect();
    let Report { status, events } = invalid(&Problems { all, cycle: None }, 1, &AppStackStatus::default(), at(0));
    assert!(status.conditions.iter().all(|c| c.message.len() <= 1024));
    assert!(events.iter().all(|e| e.note.len() <= 1024));
}

#[test]
fn a_suspended_stack_is_neither_reconciling_nor_stalled() {
    let Report { status, .. } = suspended(3, &AppStackStatus::default(), at(0));
    assert_eq!(kinds(&status), [("Ready", "False", "Suspended")]);
    assert_eq!(status.observed_generation, Some(3));
}

#[test]
fn isolation_is_unknown_until_proved_and_its_time_moves_with_its_status() {
    let isolation = |status: &AppStackStatus| {
        let found = status.conditions.iter().find(|c| c.type_ == "NetworkIsolation").unwrap().clone();
        (found.status, found.reason, found.last_transition_time.0)
    };
    let mut scene = Scene::new();
    let unknown = scene.report(&AppStackStatus::default(), 0).status;
    assert_eq!(isolation(&unknown), ("Unknown".into(), "NotProven".into(), at(0)));
    scene.walls = Some(super::Proof { enforced: true, at: at(5), of: "u".into() });
    let proved = scene.report(&unknown, 6).status;
    assert_eq!(isolation(&proved), ("True".into(), "Enforced".into(), at(6)));
    scene.walls = Some(super::Proof { enforced: true, at: at(5), of: "another".into() });
    assert_eq!(isolation(&scene.report(&unknown, 6).status).1, "NotProven", "a copy of the stack");
    scene.walls = Some(super::Proof { enforced: true, at: at(50), of: "u".into() });
    assert_eq!(isolation(&scene.report(&proved, 51).status).2, at(6), "proved again");
    assert_eq!(isolation(&suspended(4, &proved, at(60)).status).0, "True", "a stack that is left alone keeps it");
    scene.walls = Some(super::Proof { enforced: false, at: at(70), of: "u".into() });
    assert_eq!(isolation(&scene.report(&proved, 71).status), ("False".into(), "NotEnforced".into(), at(71)));
    scene.stack.isolation = crate::api::Isolation::None;
    assert_eq!(isolation(&scene.report(&proved, 72).status).1, "NoWalls");
}

#[test]
fn what_cannot_be_read_is_not_repeated() {
    let error = serde_json::from_value::<BTreeMap<String, i32>>(json!({"a": "mark\" mark"})).unwrap_err().to_string();
    let Report { status, .. } = undecodable(&format!("{error} at line 3"), 1, &AppStackStatus::default(), at(0));
    let said = &status.conditions[0].message;
    assert!(said.contains("invalid type: a string, expected i32 at line 3"), "{said}");
}
