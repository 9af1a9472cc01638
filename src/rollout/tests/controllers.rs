//! What Kubernetes' own controllers do in that world: pods of workloads, claims of pods, ends of Jobs.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::world::{World, condition, progressing};
use crate::child::{Child, ChildId, Kind, labels};

/// Nodes that a DaemonSet is for.
const NODES: i32 = 2;

/// Whether a Job has come to its end.
fn has_ended(job: &Child) -> bool {
    ["Complete", "Failed"].iter().any(|end| job.facts.condition(end).is_some())
}

impl World {
    /// What starts pods, of services and of volumes, whether it is still wanted or not.
    pub(super) fn starters(&self) -> Vec<ChildId> {
        self.children.keys().filter(|id| id.kind.starts_pods()).cloned().collect()
    }

    /// A workload comes to its end: all its pods are there and ready, or its Job succeeds. A Job that is suspended has no pods.
    pub(super) fn bring_home(&mut self, id: &ChildId) {
        let Some(child) = self.children.get(id).cloned().filter(|child| !has_ended(child)) else { return };
        let count = match id.kind {
            Kind::Job => i32::from(!child.facts.suspended),
            Kind::DaemonSet => NODES,
            _ => child.facts.spec_replicas.unwrap_or(1),
        };
        self.drop_pods(id);
        self.alter(id, |child| {
            let facts = &mut child.facts;
            facts.moved = None;
            facts.observed_generation = child.meta.generation.unwrap_or(0);
            if id.kind == Kind::Job {
                facts.succeeded = count;
                facts.conditions = (count > 0).then(|| condition("Complete", "True")).into_iter().collect();
                return;
            }
            (facts.replicas, facts.updated_replicas, facts.ready_replicas, facts.available_replicas) =
                (count, count, count, count);
            facts.spec_replicas = Some(count);
            facts.conditions = vec![progressing("True", "NewReplicaSetAvailable")];
        });
        for number in 0..count {
            self.pod(id, number, true);
        }
        if count > 0 {
            self.bind_claims(id);
        }
    }

    /// A workload makes one pod more, which runs and is not ready.
    pub(super) fn set_out(&mut self, id: &ChildId) {
        let Some(child) = self.children.get(id).cloned().filter(|child| !has_ended(child)) else { return };
        if child.facts.suspended || child.facts.spec_replicas == Some(0) {
            return;
        }
        self.alter(id, |child| {
            let facts = &mut child.facts;
            facts.moved = None;
            facts.observed_generation = child.meta.generation.unwrap_or(0);
            if id.kind == Kind::DaemonSet {
                facts.spec_replicas = Some(NODES);
            }
            facts.updated_replicas = 1;
            facts.replicas = facts.available_replicas + 1;
            facts.conditions = vec![progressing("True", "ReplicaSetUpdated")];
        });
        self.pod(id, 9, false);
        self.bind_claims(id);
    }

    /// A Job has used up its tries; any other stands still until its deadline.
    pub(super) fn fail(&mut self, id: &ChildId) {
        match id.kind {
            Kind::Job => {
                let may = self.children.get(id).is_some_and(|job| !has_ended(job) && !job.facts.suspended);
                if may {
                    self.drop_pods(id);
                    self.alter(id, |child| child.facts.conditions = vec![condition("Failed", "True")]);
                }
            }
            Kind::Deployment => {
                self.set_out(id);
                self.alter(id, |child| {
                    child.facts.conditions = vec![progressing("False", "ProgressDeadlineExceeded")];
                });
            }
            Kind::StatefulSet | Kind::DaemonSet => {
                self.set_out(id);
                // Longer ago than any deadline.
                self.alter(id, |child| child.facts.moved = Timestamp::from_second(-1_000_000).ok());
            }
            _ => {}
        }
    }

    fn drop_pods(&mut self, of: &ChildId) {
        let Some(uid) = self.children.get(of).and_then(|child| child.meta.uid.clone()) else { return };
        let takes_up = |pod: &Child| of.kind == Kind::StatefulSet && pod.owner().is_none();
        let prefix = pod_prefix(of);
        self.children.retain(|id, child| {
            id.kind != Kind::Pod
                || !(child.owner().is_some_and(|owner| owner.uid == uid)
                    || takes_up(child) && id.name.starts_with(&prefix))
        });
    }

    /// A pod of a workload, as its template says.
    fn pod(&mut self, of: &ChildId, number: i32, ready: bool) {
        let workload = self.children[of].clone();
        let template = self.templates[of].clone();
        let name = format!("{}{number}", pod_prefix(of));
        let ended = of.kind == Kind::Job && ready;
        let kind = if of.kind == Kind::Deployment { "ReplicaSet" } else { of.kind.names().kind };
        let owner =
            json!({"apiVersion": "v1", "kind": kind, "name": of.name, "uid": workload.meta.uid, "controller": true});
        let mut object = json!({"metadata": template["metadata"], "spec": template["spec"], "status": {
            "phase": if ended { "Succeeded" } else { "Running" },
            "conditions": [{"type": "Ready", "status": if ready && !ended { "True" } else { "False" }}],
            "containerStatuses": [{"state": {"running": {}}}],
        }});
        object["metadata"]["name"] = json!(name);
        object["metadata"]["annotations"][labels::REVISION] = json!(workload.annotation(labels::REVISION));
        object["metadata"]["ownerReferences"] = json!([owner]);
        if of.kind == Kind::StatefulSet {
            object["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = json!(name);
        }
        let pod: Child = serde_json::from_value(object).unwrap();
        self.children.insert(ChildId { kind: Kind::Pod, name }, Arc::new(pod));
    }

    /// Claims that the pods mount are bound; those that a StatefulSet makes come into being.
    fn bind_claims(&mut self, of: &ChildId) {
        let template = self.templates[of].clone();
        for name in claims(&template) {
            self.alter(&ChildId { kind: Kind::Claim, name: name.to_owned() }, |claim| {
                claim.facts.phase = "Bound".into();
            });
        }
        for claim in self.claim_templates.get(of).cloned().iter().flat_map(|list| list.as_array().into_iter().flatten())
        {
            let id = ChildId {
                kind: Kind::Claim,
                name: format!("{}-{}-0", claim["metadata"]["name"].as_str().unwrap(), of.name),
            };
            let mut object = claim.clone();
            object["metadata"]["name"] = json!(id.name);
            object["metadata"]["uid"] = json!(format!("uid-of-{}", id.name));
            object["metadata"]["labels"][labels::SERVICE] = json!(self.children[of].label(labels::SERVICE));
            object["status"]["phase"] = json!("Bound");
            self.children.entry(id).or_insert_with(|| Arc::new(serde_json::from_value(object).unwrap()));
        }
    }

    fn alter(&mut self, id: &ChildId, change: impl FnOnce(&mut Child)) {
        if let Some(child) = self.children.get_mut(id) {
            change(Arc::make_mut(child));
        }
    }
}

fn pod_prefix(of: &ChildId) -> String {
    format!("{}-{}-", of.name, of.kind.names().kind.to_lowercase())
}

fn claims(template: &Value) -> impl Iterator<Item = &str> {
    let volumes = template["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}
