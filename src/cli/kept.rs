//! What is kept of the earlier definitions of services, and what their workloads are made from now.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

use super::family::objects;
use super::server::Asked;
use crate::api::AppStack;
use crate::child::{Kind, labels};

/// A template that is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    /// Its revision.
    pub(super) revision: String,
    /// The definition, of which a restart makes another revision.
    pub(super) definition: String,
    /// The kind of workload that it is for, where that is known.
    pub(super) workload: Option<String>,
    /// Of the service's own container.
    pub(super) image: String,
    /// When its rollout was complete.
    pub(super) since: Option<Timestamp>,
}

/// The workload of a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Running {
    /// What it is made from.
    pub(super) revision: String,
    /// What it would go back to.
    pub(super) last_good: Option<String>,
    /// What is not tried again.
    pub(super) failed: Option<String>,
    /// Of the service's own container.
    pub(super) image: String,
}

/// Both, by service; what is kept, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Past {
    pub(super) kept: BTreeMap<String, Vec<Kept>>,
    pub(super) running: BTreeMap<String, Running>,
}

impl Past {
    /// Asks the API server.
    pub(super) async fn read(asked: &Asked, stack: &AppStack) -> kube::Result<Past> {
        let kinds = [Kind::Record, Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
        Ok(Past::of(stack.uid().as_deref().unwrap_or_default(), objects(asked, &kinds).await?))
    }

    /// Of what belongs to the stack of this uid.
    fn of(uid: &str, objects: Vec<(Kind, DynamicObject)>) -> Past {
        let mut past = Past::default();
        for (kind, object) in objects {
            if object.owner_references().iter().all(|owner| owner.uid != uid) {
                continue;
            }
            let note = |key: &str| object.annotations().get(key).cloned();
            let label = |key: &str| object.labels().get(key).cloned().unwrap_or_default();
            let Some(revision) = note(labels::REVISION) else { continue };
            if kind == Kind::Record {
                let service = label(labels::HISTORY_OF);
                let kept = Kept {
                    definition: note(labels::DEFINITION).unwrap_or_else(|| revision.clone()),
                    revision,
                    workload: note(labels::WORKLOAD),
                    image: image(&object.data["data"]["template"], &service),
                    since: object.creation_timestamp().map(|time| time.0),
                };
                past.kept.entry(service).or_default().push(kept);
            } else {
                let service = label(labels::SERVICE);
                let running = Running {
                    revision,
                    last_good: note(labels::LAST_GOOD),
                    failed: note(labels::FAILED_REVISION),
                    image: image(&object.data["spec"]["template"], &service),
                };
                past.running.insert(service, running);
            }
        }
        for kept in past.kept.values_mut() {
            kept.sort_by(|a, b| (b.since, &b.revision).cmp(&(a.since, &a.revision)));
        }
        past
    }

    /// What is kept of a service.
    pub(super) fn kept(&self, service: &str) -> &[Kept] {
        self.kept.get(service).map_or(&[], Vec::as_slice)
    }
}

fn image(template: &Value, service: &str) -> String {
    let containers = || template["spec"]["containers"].as_array().into_iter().flatten();
    let own = containers().find(|container| container["name"] == service).or_else(|| containers().next());
    own.and_then(|container| container["image"].as_str()).unwrap_or_default().to_owned()
}

/// Why a service has no history, and what to do.
pub(super) fn keeps_none(service: &str) -> String {
    format!(
        "spec.services[{service}].update: keeps no history; set history (how many), or onFailure: Rollback: what is complete from then on is kept"
    )
}

/// Why a Job has none.
pub(super) fn is_a_job(service: &str) -> String {
    format!("spec.services[{service}].mode: a Job runs once for each definition, and has nothing to go back to")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_belongs_to_another_stack_is_none_of_ours_and_the_newest_comes_first() {
        let object = |uid: &str, labels: Value, notes: Value, at: &str, rest: Value| {
            let mut object = rest;
            object["metadata"] = json!({"name": "x", "labels": labels, "annotations": notes, "creationTimestamp": at,
                "ownerReferences": [{"apiVersion": "v1", "kind": "AppStack", "name": "shop", "uid": uid}]});
            serde_json::from_value::<DynamicObject>(object).unwrap()
        };
        let record = |uid: &str, revision: &str, image: &str, at: &str| {
            let containers = json!([{"name": "sidecar", "image": "side:1"}, {"name": "web", "image": image}]);
            let rest = json!({"data": {"template": {"spec": {"containers": containers}}}});
            (
                Kind::Record,
                object(uid, json!({labels::HISTORY_OF: "web"}), json!({labels::REVISION: revision}), at, rest),
            )
        };
        let rest = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}});
        let notes = json!({labels::REVISION: "b", labels::LAST_GOOD: "a"});
        let past = Past::of(
            "ours",
            vec![
                record("ours", "a", "web:1", "2026-01-01T00:00:00Z"),
                record("ours", "b", "web:2", "2026-01-02T00:00:00Z"),
                record("other", "c", "web:3", "2026-01-03T00:00:00Z"),
                (
                    Kind::Deployment,
                    object("ours", json!({labels::SERVICE: "web"}), notes, "2026-01-01T00:00:00Z", rest),
                ),
            ],
        );
        let kept: Vec<_> =
            past.kept("web").iter().map(|kept| (&*kept.revision, &*kept.definition, &*kept.image)).collect();
        assert_eq!(kept, [("b", "b", "web:2"), ("a", "a", "web:1")]);
        let running =
            Running { revision: "b".into(), last_good: Some("a".into()), failed: None, image: "web:2".into() };
        assert_eq!(past.running["web"], running);
    }
}
