//! Promises of the design, section 3, one test each.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::world::{UID, World, condition, id, model, other_digest, progressing};
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Condition, Kind, labels};
use crate::render::Settings;
use crate::rollout::health::Progress;
use crate::rollout::{Body, Guard, Refusal, RefusalKind, Step};

pub(super) fn kinds(written: &[ChildId]) -> Vec<Kind> {
    written.iter().map(|id| id.kind).collect()
}

pub(super) fn image(world: &World, service: &str) -> String {
    // The world keeps no template; the revision stands for it.
    world.workload(service).and_then(|child| child.annotation(labels::REVISION)).unwrap_or_default().to_owned()
}

pub(super) fn held(world: &World, service: &str) -> bool {
    matches!(world.plan().steps[service], Step::Hold(_))
}

#[test]
fn what_only_adds_goes_first_and_pods_wait_for_their_turn() {
    let mut world = World::with(
        &json!({"db": {"image": "db:1", "mounts": {"/d": {"volume": "data"}}}, "web": {"image": "web:1", "dependsOn": {"db": {}}, "mounts": {"/c": {"config": "conf"}}}}),
        &json!({"volumes": {"data": {"size": "1Gi"}}, "configs": {"conf": {"content": "x"}}}),
    );
    let written = world.pass();
    assert!(written.contains(&id("db")) && !written.contains(&id("web")));
    assert!(kinds(&written).is_sorted(), "walls, claims, configs and names before pods: {written:?}");
    for kind in [Kind::NetworkPolicy, Kind::Claim, Kind::ConfigMap] {
        assert!(written.iter().any(|id| id.kind == kind));
    }
    assert!(
        written.contains(&ChildId { kind: Kind::Service, name: "web".into() }),
        "the name of a held service is there already"
    );
    assert!(world.pass().is_empty(), "nothing is sent twice");
    world.complete("db");
    assert_eq!(world.pass(), [id("web")]);
}

#[test]
fn a_started_dependency_need_not_be_healthy() {
    let mut world = World::new(
        &json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {"condition": "Started"}}}}),
    );
    world.pass();
    world.begin("db");
    assert!(held(&world, "web"));
    world.started_pod("db"); // in a crash loop
    assert_eq!(world.pass(), [id("web")]);
}

#[test]
fn a_pod_that_was_told_to_go_does_not_stand_for_the_run_that_follows() {
    let mut world = World::new(
        &json!({"db": {"image": "db:1", "mode": "Job"}, "web": {"image": "web:1", "dependsOn": {"db": {"condition": "Started"}}}}),
    );
    world.started_pod("db"); // of a Job that somebody deleted
    let pod = ChildId { kind: Kind::Pod, name: "db-pod".into() };
    Arc::make_mut(world.children.get_mut(&pod).unwrap()).meta.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    world.pass();
    assert!(held(&world, "web"));
}

#[test]
fn held_service_keeps_its_old_template() {
    let services = |tag: &str| json!({"db": {"image": format!("db:{tag}")}, "api": {"image": "api:1", "dependsOn": {"db": {}}}, "web": {"image": format!("web:{tag}"), "dependsOn": {"api": {}}}});
    let mut world = World::new(&services("1"));
    world.settle();
    let old = image(&world, "web");
    world.edit(&services("2"));
    assert_eq!(
        world.pass(),
        [id("db")],
        "the database first; api is unchanged and stays; web waits although api is healthy"
    );
    world.begin("db");
    assert!(world.pass().is_empty());
    assert_eq!(image(&world, "web"), old);
    world.complete("db");
    assert_eq!(world.pass(), [id("web")]);
}

#[test]
fn an_unchanged_service_is_never_touched() {
    let mut world = World::new(&json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {}}}}));
    world.settle();
    world.change("db", |child| child.facts.available_replicas = 0);
    assert!(world.plan().writes.is_empty(), "a dependency that turns unhealthy later stops nobody");
}

#[test]
fn a_changed_edge_alone_changes_nothing_that_runs() {
    let mut world = World::new(&json!({"db": {"image": "db:1"}, "web": {"image": "web:1"}}));
    world.settle();
    world.edit(&json!({"db": {"image": "db:1", "dependsOn": {"web": {}}}, "web": {"image": "web:1"}}));
    assert!(world.plan().writes.is_empty());
}

#[test]
fn one_lost_pod_of_a_dependency_does_not_block_a_hot_fix_but_a_creation() {
    let services = |tag: &str| json!({"db": {"image": "db:1", "replicas": 2}, "web": {"image": format!("web:{tag}"), "dependsOn": {"db": {}}}});
    let mut world = World::new(&services("1"));
    world.settle();
    world.change("db", |child| child.facts.available_replicas = 1);
    world.edit(&services("2"));
    assert_eq!(world.pass(), [id("web")]);
    world.delete(&id("web"), false);
    assert!(held(&world, "web"), "to create it, all of db must be there");
}

#[test]
fn a_rollback_to_an_earlier_replica_set_is_not_taken_for_complete() {
    let mut world = World::new(&json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {}}}}));
    world.pass();
    world.change("db", |child| {
        child.facts.observed_generation = 1;
        (child.facts.replicas, child.facts.updated_replicas, child.facts.available_replicas) = (1, 0, 1);
        child.facts.conditions = vec![progressing("True", "NewReplicaSetAvailable")];
    });
    assert!(held(&world, "web"));
}

#[test]
fn a_stale_status_says_nothing() {
    let mut world = World::new(&json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {}}}}));
    world.pass();
    world.complete("db");
    world.change("db", |child| child.meta.generation = Some(9));
    assert!(held(&world, "web"));
}

#[test]
fn a_dependency_past_its_deadline_fails_those_behind_it_by_name_and_heals() {
    let mut world = World::new(
        &json!({"db": {"image": "db:1"}, "api": {"image": "api:1", "dependsOn": {"db": {}}}, "web": {"image": "web:1", "dependsOn": {"api": {}}},
        "aside": {"image": "aside:1", "dependsOn": {"db": {"required": false}}}}),
    );
    world.pass();
    world.begin("db");
    world.change("db", |child| child.facts.conditions = vec![progressing("False", "ProgressDeadlineExceeded")]);
    let plan = world.plan();
    let Step::Failed(cause) = &plan.steps["web"] else { panic!("{:?}", plan.steps) };
    assert_eq!(cause.path, ["api", "db"]);
    assert_eq!(cause.reason, "ProgressDeadlineExceeded");
    assert!(plan.writes.iter().any(|w| w.id == id("aside")), "an edge that is not required lets pass");
    world.complete("db");
    assert!(world.pass().contains(&id("api")));
}

#[test]
fn a_deadline_that_the_definition_before_has_passed_neither_fails_nor_rolls_back_the_next() {
    let services = |tag: u8| json!({"db": {"image": format!("db:{tag}"), "update": {"order": "StopFirst", "onFailure": "Rollback"}}, "web": {"image": format!("web:{tag}"), "dependsOn": {"db": {}}}});
    let mut world = World::new(&services(1));
    world.settle();
    world.edit(&services(2));
    assert_eq!(world.pass(), [id("db")]);
    // As the Deployment controller leaves it until the last old pod is gone: it has seen the new template, and made no ReplicaSet of it.
    let waiting = |child: &mut Child, message: &str, more: Option<Condition>| {
        child.facts.observed_generation = child.meta.generation.unwrap_or(0);
        (child.facts.replicas, child.facts.updated_replicas, child.facts.available_replicas) = (1, 0, 0);
        let said = Condition { message: message.into(), ..progressing("False", "ProgressDeadlineExceeded") };
        child.facts.conditions = [Some(said), more].into_iter().flatten().collect();
    };
    let of_old = r#"ReplicaSet "s-db-5d8f" has timed out progressing."#;
    world.change("db", |child| waiting(child, of_old, None));
    assert_eq!(world.plan().progress["db"], Progress::Rolling);
    assert!(held(&world, "web") && world.plan().writes.is_empty(), "it is not tried yet: nothing to roll back");
    // What it is that stands still, it says otherwise.
    let refused = condition("ReplicaFailure", "True");
    let own = r#"Deployment "s-db" has timed out progressing."#;
    for (message, more) in [(of_old, Some(refused)), (own, None), ("", None)] {
        world.change("db", |child| waiting(child, message, more));
        assert_eq!(world.plan().progress["db"], Progress::Overdue, "{message}");
    }
}

#[test]
fn a_person_may_let_a_service_pass() {
    let mut world = World::new(&json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {}}}}));
    world.ungated.insert("web".into());
    assert!(world.pass().contains(&id("web")));
}

#[test]
fn a_new_way_of_rendering_rolls_nothing_until_the_definition_changes_or_somebody_edits() {
    let services = json!({"web": {"image": "web:1", "replicas": 2}});
    let mut world = World::new(&services);
    world.settle();
    let salted = Settings { test_salt: Some("new".into()), ..Settings::default() };
    (world.stack, world.wanted) = model(&services, &json!({}), &salted);
    assert!(world.plan().writes.is_empty());
    (world.stack, world.wanted) = model(&json!({"web": {"image": "web:1", "replicas": 3}}), &json!({}), &salted);
    let plan = world.plan();
    assert_eq!(plan.writes.len(), 1);
    assert_eq!(plan.writes[0].body, Body::Scale { count: 3 }, "the count changes without the template");
    (world.stack, world.wanted) = model(&services, &json!({}), &salted);
    world.change("web", |child| child.digest = Some(other_digest()));
    assert_eq!(world.pass(), [id("web")], "an edit by hand is put right, whatever way it is rendered");
    (world.stack, world.wanted) = model(&json!({"web": {"image": "web:2", "replicas": 2}}), &json!({}), &salted);
    assert_eq!(world.pass(), [id("web")]);
}

#[test]
fn children_edited_or_deleted_by_hand_are_put_right() {
    let mut world = World::with(
        &json!({"web": {"image": "web:1", "ports": {"http": {"port": 80, "published": 80}}, "resources": {"requests": {"cpu": 1}}, "autoscale": {"max": 3, "cpuPercent": 50}, "mounts": {"/d": {"volume": "data"}, "/c": {"config": "conf"}}}}),
        &json!({"volumes": {"data": {"size": "1Gi"}}, "configs": {"conf": {"content": "x"}}}),
    );
    world.settle();
    for id in world.wanted.keys().cloned().collect::<Vec<_>>() {
        Arc::make_mut(world.children.get_mut(&id).unwrap()).digest = Some(other_digest());
        let plan = world.plan();
        assert_eq!(plan.writes.iter().map(|w| &w.id).collect::<Vec<_>>(), [&id], "one write puts it right");
        assert!(matches!(plan.writes[0].body, Body::Object { guard: Guard::Uid(_) | Guard::Version(..), .. }));
        world.settle();
        world.delete(&id, false);
        assert_eq!(world.pass().first(), Some(&id));
        world.settle();
    }
}

#[test]
fn a_foreign_object_is_never_written_and_holds_only_who_needs_it() {
    let services = json!({"db": {"image": "db:1", "mounts": {"/d": {"volume": "data"}}}, "web": {"image": "web:1"}});
    for taken in ["db", "s-db", "s-data"] {
        let mut world = World::with(&services, &json!({"volumes": {"data": {"size": "1Gi"}}}));
        let id = world.wanted.keys().find(|id| id.name == taken).cloned().unwrap();
        let wanted = world.wanted[&id].digest;
        world.refused.insert(id.clone(), Refusal { kind: RefusalKind::NameConflict, message: "taken".into(), wanted });
        let written = world.pass();
        assert!(!written.contains(&id));
        assert!(matches!(&world.plan().steps["db"], Step::Failed(cause) if cause.reason == "NameConflict"), "{taken}");
        assert!(!written.contains(&super::world::id("db")), "{taken}");
        assert!(written.contains(&super::world::id("web")), "{taken}");
        world.refused.clear();
        world.settle();
        assert!(world.children.contains_key(&id), "it heals");
    }
}

#[test]
fn an_object_with_our_labels_and_another_owner_is_foreign() {
    let mut world = World::new(&json!({"web": {"image": "web:1"}}));
    let foreign = json!({"metadata": {"name": "s-web", "namespace": "n", "uid": "x", "resourceVersion": "1", "labels": {labels::STACK: "s", labels::SERVICE: "web"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Operator", "name": "s", "uid": "y", "controller": true}]}});
    world.children.insert(id("web"), Arc::new(serde_json::from_value(foreign).unwrap()));
    let plan = world.plan();
    assert_eq!(plan.refusals[&id("web")].kind, RefusalKind::NameConflict);
    assert!(!plan.writes.iter().any(|w| w.id == id("web")) && plan.deletes.is_empty());
}

#[test]
fn orphans_of_an_earlier_stack_of_this_name_are_taken_up() {
    let mut world = World::with(
        &json!({"web": {"image": "web:1", "mounts": {"/d": {"volume": "data"}}}}),
        &json!({"volumes": {"data": {"size": "1Gi"}}}),
    );
    world.settle();
    for child in world.children.values_mut() {
        let child = Arc::make_mut(child);
        for owner in child.meta.owner_references.iter_mut().flatten() {
            owner.uid = "uid-0".into();
        }
    }
    let plan = world.plan();
    assert_eq!(plan.writes.len(), world.wanted.len() - 1, "all but the claim, which has no owner");
    assert!(plan.refusals.is_empty());
    assert!(
        plan.writes.iter().all(|w| matches!(w.body, Body::Object { guard: Guard::Uid(_) | Guard::Version(..), .. }))
    );
    assert_eq!(UID, world.stack.uid);
}

#[test]
fn removals_wait_until_nothing_is_held_or_rolling_and_claims_stay() {
    let both = json!({"db": {"image": "db:1"}, "old": {"image": "old:1", "mounts": {"/d": {"volume": "data"}}, "ports": {"http": {"port": 80, "published": 80}}}});
    let rest = json!({"volumes": {"data": {"size": "1Gi", "retention": "Delete"}}});
    let mut world = World::with(&both, &rest);
    world.settle();
    world.edit(&json!({"db": {"image": "db:2"}}));
    world.pass();
    assert!(world.workload("old").is_some(), "db is rolling");
    world.complete("db");
    world.settle();
    assert!(world.workload("old").is_none());
    assert!(
        !world
            .children
            .keys()
            .any(|id| matches!(id.kind, Kind::Service | Kind::NetworkPolicy) && id.name.contains("old"))
    );
    assert!(world.children.keys().any(|id| id.kind == Kind::Claim));
}

#[test]
fn a_closed_port_is_closed_at_once_and_a_held_service_keeps_its_doors() {
    let services = |db: &str, web: &str, ports: serde_json::Value| json!({"db": {"image": db}, "web": {"image": web, "dependsOn": {"db": {}}, "ports": ports}});
    let open = json!({"http": {"port": 80, "published": 80}});
    let mut world = World::new(&services("db:1", "web:1", open.clone()));
    world.settle();
    world.edit(&services("db:1", "web:1", json!({"http": {"port": 80}})));
    world.pass();
    assert!(!world.children.keys().any(|id| id.name == "web-published" || id.name == "s-pub-web"));
    world.edit(&services("db:1", "web:1", open));
    world.settle();
    world.edit(&services("db:2", "web:2", json!({"http": {"port": 90}})));
    let written = world.pass();
    assert_eq!(written, [id("db")], "the names and walls of a held service stay as its pods know them");
    assert!(world.children.keys().any(|id| id.name == "web-published"));
    world.settle();
    assert!(!world.children.keys().any(|id| id.name == "web-published"));
}

#[test]
fn walls_stay_until_the_last_pod_behind_them_has_gone() {
    let services = |network: &str| json!({"web": {"image": "web:1", "networks": {network: {}}}});
    let networks = json!({"networks": {"old": {}, "new": {}}});
    let mut world = World::with(&services("old"), &networks);
    world.settle();
    let pod = ChildId { kind: Kind::Pod, name: "going".into() };
    let going: Child = serde_json::from_value(json!({
        "metadata": {
            "name": "going", "namespace": "n", "uid": "uid-of-going", "deletionTimestamp": "2026-01-01T00:00:00Z",
            "labels": {labels::STACK: "s", labels::in_network("old"): ""},
        },
        "status": {"phase": "Running"},
    }))
    .unwrap();
    world.edit_with(&services("new"), &networks);
    world.pass();
    world.complete("web");
    world.children.insert(pod.clone(), Arc::new(going));
    world.pass();
    let walls = ChildId { kind: Kind::NetworkPolicy, name: "s-net-old".into() };
    assert!(world.children.contains_key(&walls), "the rollout is complete, and a pod of before is still going");
    world.children.remove(&pod);
    world.pass();
    assert!(!world.children.contains_key(&walls));
}

#[test]
fn a_config_stays_as_long_as_a_template_mounts_it() {
    let services = |tag: &str| json!({"db": {"image": format!("db:{tag}")}, "web": {"image": "web:1", "dependsOn": {"db": {}}, "mounts": {"/c": {"config": "conf"}}}});
    let content = |text: &str| json!({"configs": {"conf": {"content": text}}});
    let mut world = World::with(&services("1"), &content("one"));
    world.settle();
    let configs = |world: &World| world.children.keys().filter(|id| id.kind == Kind::ConfigMap).count();
    world.edit_with(&services("2"), &content("two"));
    world.pass();
    assert_eq!(configs(&world), 2, "web is held and runs on the old one");
    world.settle();
    assert_eq!(configs(&world), 1);
}

#[test]
fn a_wall_goes_up_though_a_service_that_has_no_pods_yet_is_held() {
    let services = json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {}}}});
    let mut world = World::new(&services);
    world.pass();
    world.edit_with(&services, &json!({"networks": {"default": {"internal": true}}}));
    assert!(held(&world, "web"));
    assert_eq!(kinds(&world.pass()), [Kind::NetworkPolicy]);
}

#[test]
fn a_service_goes_between_headless_and_not_by_delete_and_create() {
    let mut world = World::new(&json!({"web": {"image": "web:1"}}));
    world.settle();
    world.edit(&json!({"web": {"image": "web:1", "ports": {"http": {"port": 80}}}}));
    let plan = world.plan();
    let write = plan.writes.iter().find(|w| w.id.kind == Kind::Service).unwrap();
    assert!(write.instead_of.is_some() && matches!(write.body, Body::Object { guard: Guard::Absent, .. }));
}

#[test]
fn an_object_on_its_way_out_is_waited_for() {
    let mut world = World::new(&json!({"web": {"image": "web:1"}}));
    world.settle();
    let going = |child: &mut Child| {
        child.meta.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    };
    world.change("web", going);
    assert!(world.plan().writes.is_empty());
    world.delete(&id("web"), false);
    assert_eq!(world.pass(), [id("web")]);
}

#[test]
fn what_one_write_could_not_settle_is_not_sent_again() {
    let mut world = World::new(&json!({"web": {"image": "web:1"}}));
    world.settle();
    let policy = ChildId { kind: Kind::NetworkPolicy, name: "s".into() };
    Arc::make_mut(world.children.get_mut(&policy).unwrap()).digest = Some(other_digest());
    let settled = |digests| crate::rollout::Settled { digests, counts: None };
    let first = [(policy.clone(), settled((world.wanted[&policy].digest, other_digest())))].into();
    let seen = crate::rollout::Seen {
        children: &world.children,
        refused: &world.refused,
        settled: &first,
        missing: &world.missing,
        unready: &world.unready,
        ungated: &world.ungated,
        now: world.now,
    };
    assert!(crate::rollout::plan(&world.stack, &world.wanted, &seen).writes.is_empty());
    let second = [(policy, settled((Digest::default(), other_digest())))].into();
    let seen = crate::rollout::Seen { settled: &second, ..seen };
    assert_eq!(crate::rollout::plan(&world.stack, &world.wanted, &seen).writes.len(), 1);
}
