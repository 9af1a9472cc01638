//! A namespace as it was at one moment of the recorded history, and what of it a rollout may rest on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::observer::Seen;
use crate::workload::{Workload, differences};
use crate::{Kind, json};

/// A service of a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// Name of the stack.
    pub stack: String,
    /// Name of the service.
    pub service: String,
}

impl Id {
    /// The service whose labels an object carries, if it does. Pods of a Job that serves no port have a label of their own,
    /// so that no selector takes them for the service's.
    pub fn of(object: &Value) -> Option<Id> {
        let label = |key| json::label(object, key);
        let (stack, service) = (label("appstack.dev/stack"), label("appstack.dev/service"));
        let service = if service.is_empty() { label("appstack.dev/job") } else { service };
        (!stack.is_empty() && !service.is_empty()).then(|| Id { stack: stack.to_owned(), service: service.to_owned() })
    }

    fn sibling(&self, service: &str) -> Id {
        Id { stack: self.stack.clone(), service: service.to_owned() }
    }
}

/// The namespace at one moment.
#[derive(Clone, Debug, Default)]
pub struct World {
    stacks: BTreeMap<String, Arc<Value>>,
    /// Of each service, by kind and name: it has several while its kind changes, and a Job for each definition that ran.
    workloads: BTreeMap<Id, BTreeMap<(Kind, String), Workload>>,
    pods: BTreeMap<String, Arc<Value>>,
}

impl World {
    /// The world after one more change.
    pub fn take(&mut self, seen: &Seen) {
        let name = json::name(&seen.object).to_owned();
        match (seen.kind, seen.deleted) {
            (Kind::AppStack, false) => drop(self.stacks.insert(name, seen.object.clone())),
            (Kind::AppStack, true) => drop(self.stacks.remove(&name)),
            (Kind::Pod, false) => drop(self.pods.insert(name, seen.object.clone())),
            (Kind::Pod, true) => drop(self.pods.remove(&name)),
            (kind, deleted) if kind.is_workload() => self.take_workload(seen, deleted),
            _ => {}
        }
    }

    fn take_workload(&mut self, seen: &Seen, deleted: bool) {
        let Some(id) = Id::of(&seen.object) else { return };
        let key = (seen.kind, json::name(&seen.object).to_owned());
        let of_service = self.workloads.entry(id).or_default();
        let uid = |object: &Value| json::text(object, "/metadata/uid").to_owned();
        let before = of_service.remove(&key).filter(|w| uid(&w.object) == uid(&seen.object));
        if deleted {
            return;
        }
        let mut workload = Workload {
            kind: seen.kind,
            object: seen.object.clone(),
            since: before.as_ref().map_or(seen.version, |w| w.since),
            completed: before.and_then(|w| w.completed),
        };
        if workload.is_complete() || workload.may_have_been_complete() {
            workload.completed = Some(Arc::new(seen.object["spec"]["template"].clone()));
        }
        of_service.insert(key, workload);
    }

    /// The versions in which these worlds have the stack.
    pub fn distinct_stacks<'a>(worlds: impl Iterator<Item = &'a World>, stack: &str) -> Vec<Arc<Value>> {
        let mut found: Vec<Arc<Value>> = worlds.filter_map(|w| w.stacks.get(stack).cloned()).collect();
        found.dedup_by(|a, b| Arc::ptr_eq(a, b));
        found
    }

    /// This world with another version of the stack.
    #[must_use]
    pub fn with_stack(&self, stack: &str, object: &Arc<Value>) -> World {
        let mut other = self.clone();
        other.stacks.insert(stack.to_owned(), object.clone());
        other
    }

    /// The service's workload of this kind and name.
    pub fn named(&self, id: &Id, kind: Kind, name: &str) -> Option<&Workload> {
        self.workloads.get(id)?.get(&(kind, name.to_owned()))
    }

    /// What runs the pods of a service, newest first.
    pub fn workloads(&self, id: &Id) -> Vec<&Workload> {
        let mut found: Vec<_> = self.workloads.get(id).into_iter().flat_map(BTreeMap::values).collect();
        found.sort_by_key(|w| std::cmp::Reverse(w.since));
        found
    }

    /// Whether the service has a pod of this definition that is not on its way out.
    pub fn has_pod(&self, id: &Id, pod_spec: &Value) -> bool {
        let image = |spec: &Value| json::text(spec, "/containers/0/image").to_owned();
        let is = |pod: &&Arc<Value>| {
            Id::of(pod).as_ref() == Some(id)
                && pod.pointer("/metadata/deletionTimestamp").is_none()
                && image(&pod["spec"]) == image(pod_spec)
        };
        self.pods.values().any(|pod| is(&pod))
    }

    /// Whether the stack says that nothing of it shall run.
    pub fn is_stopped(&self, stack: &str) -> bool {
        self.stacks.get(stack).is_some_and(|s| s.pointer("/spec/stopped") == Some(&Value::Bool(true)))
    }

    /// Whether the service only runs under profiles, none of which is active.
    pub fn is_off(&self, id: &Id) -> bool {
        let listed = |value: &Value, pointer: &str| -> Vec<String> {
            json::items(value, pointer).filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let active = self.stacks.get(&id.stack).map(|s| listed(s, "/spec/profiles")).unwrap_or_default();
        let asks = self.spec(id).map(|s| listed(s, "/profiles")).unwrap_or_default();
        !asks.is_empty() && !asks.iter().any(|p| active.contains(p))
    }

    /// What the stack says of a service.
    pub fn spec(&self, id: &Id) -> Option<&Value> {
        self.stacks.get(&id.stack)?.pointer("/spec/services")?.get(&id.service)
    }

    /// The stack's generation; 0 where there is none.
    pub fn generation(&self, stack: &str) -> i64 {
        self.stacks.get(stack).map_or(0, |s| json::number(s, "/metadata/generation"))
    }

    /// All edges of a stack, dependant first.
    pub fn edges(&self, stack: &str) -> Vec<(Id, Id)> {
        let Some(object) = self.stacks.get(stack) else { return Vec::new() };
        let services = json::entries(object, "/spec/services");
        services
            .flat_map(|(service, spec)| {
                let id = Id { stack: stack.to_owned(), service: service.to_owned() };
                json::entries(spec, "/dependsOn")
                    .map(move |(other, _)| (id.clone(), id.sibling(other)))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// What stands against starting or changing the pods of this service now; empty if nothing does.
    /// `runs`: an update of a service that had an available pod, for which a dependency need not be whole, only once
    /// completed and partly available.
    pub fn objections(&self, id: &Id, runs: bool) -> Vec<String> {
        let Some(spec) = self.spec(id) else { return vec![format!("the stack has no service {}", id.service)] };
        let mut objections = Vec::new();
        for (name, edge) in json::entries(spec, "/dependsOn") {
            let dependency = id.sibling(name);
            let started = json::text(edge, "/condition") == "Started";
            let held = if started {
                self.has_started(&dependency)
            } else if runs {
                self.has_completed(&dependency).and_then(|()| self.has_available_pod(&dependency))
            } else {
                self.is_healthy(&dependency)
            };
            let optional = edge["required"] == false && (self.is_off(&dependency) || self.has_failed(&dependency));
            if let Err(why) = held.and_then(|()| self.nothing_rolls_behind(&dependency, &mut Vec::new()))
                && !optional
            {
                objections.push(why);
            }
        }
        objections
    }

    /// Every service behind this one has reached what the one before it asks for, at its own wanted definition.
    fn nothing_rolls_behind(&self, id: &Id, path: &mut Vec<String>) -> Result<(), String> {
        path.push(id.service.clone());
        let spec = self.spec(id).cloned().unwrap_or_default();
        for (name, edge) in json::entries(&spec, "/dependsOn") {
            let behind = id.sibling(name);
            let started = json::text(edge, "/condition") == "Started";
            let settled = if started { self.has_started(&behind) } else { self.has_completed(&behind) };
            let settled = settled.and_then(|()| self.nothing_rolls_behind(&behind, path));
            if !(edge["required"] == false && (self.is_off(&behind) || self.has_failed(&behind))) {
                settled.map_err(|why| format!("behind {}: {why}", path.join(" <- ")))?;
            }
        }
        path.pop();
        Ok(())
    }

    /// `Healthy`: every wanted pod is there, of the wanted definition, and available, and none is left of another one.
    /// Of a Job, `Completed`: it succeeded.
    fn is_healthy(&self, id: &Id) -> Result<(), String> {
        let workload = self.at_wanted_definition(id)?;
        if workload.is_complete() {
            Ok(())
        } else {
            Err(format!("{} is not healthy: {}", id.service, workload.counts()))
        }
    }

    /// Rolled out completely at least once with the definition that is wanted now.
    fn has_completed(&self, id: &Id) -> Result<(), String> {
        let workload = self.at_wanted_definition(id)?;
        let Some(template) = &workload.completed else {
            return Err(format!("{} has never been completely rolled out: {}", id.service, workload.counts()));
        };
        let spec = self.spec(id).unwrap_or(&Value::Null);
        differences(spec, &id.service, &template["spec"]).map_err(|d| {
            format!("{} is rolling out, its last complete rollout had {d}: {}", id.service, workload.counts())
        })
    }

    fn has_available_pod(&self, id: &Id) -> Result<(), String> {
        let workload = self.at_wanted_definition(id)?;
        let enough = workload.available() > 0 || workload.wanted() == 0;
        if enough { Ok(()) } else { Err(format!("{} has no available pod: {}", id.service, workload.counts())) }
    }

    /// `Started`: in some pod of the wanted definition the container runs, has ended or was restarted; or the Job has ended.
    fn has_started(&self, id: &Id) -> Result<(), String> {
        let workload = self.at_wanted_definition(id)?;
        let spec = self.spec(id).unwrap_or(&Value::Null);
        let ran = |pod: &&Arc<Value>| {
            json::items(pod, "/status/containerStatuses").any(|c| {
                json::number(c, "/restartCount") > 0
                    || c.pointer("/state/running").is_some()
                    || c.pointer("/state/terminated").is_some()
                    || c.pointer("/lastState/terminated").is_some()
            })
        };
        let ours = |pod: &&Arc<Value>| {
            Id::of(pod).as_ref() == Some(id) && differences(spec, &id.service, &pod["spec"]).is_ok()
        };
        let ended = workload.kind == Kind::Job && (workload.is_complete() || workload.has_failed());
        if ended || workload.wanted() == 0 || self.pods.values().filter(ours).any(|pod| ran(&pod)) {
            Ok(())
        } else {
            Err(format!("no pod of {} at its wanted definition has started its container", id.service))
        }
    }

    /// Failed for good, as its own workload says.
    fn has_failed(&self, id: &Id) -> bool {
        self.at_wanted_definition(id).is_ok_and(Workload::has_failed)
    }

    /// What runs the service as the stack has it now: the newest of the kind that it asks for.
    fn at_wanted_definition(&self, id: &Id) -> Result<&Workload, String> {
        let spec = self.spec(id).ok_or_else(|| format!("the stack has no service {}", id.service))?;
        let mut why = None;
        for workload in self.workloads(id).into_iter().filter(|w| runs_as(spec, w.kind)) {
            match differences(spec, &id.service, &workload.object["spec"]["template"]["spec"]) {
                Ok(()) => return Ok(workload),
                Err(d) => drop(why.get_or_insert(d)),
            }
        }
        let name = &id.service;
        Err(why.map_or(format!("{name} has no workload"), |d| format!("{name} is not at its wanted definition: {d}")))
    }
}

/// Whether a service with this spec is run by this kind.
fn runs_as(spec: &Value, kind: Kind) -> bool {
    match json::text(spec, "/mode") {
        "Job" => kind == Kind::Job,
        "Global" => kind == Kind::DaemonSet,
        _ => matches!(kind, Kind::Deployment | Kind::StatefulSet),
    }
}
