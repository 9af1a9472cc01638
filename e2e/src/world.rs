//! A namespace as it was at one moment of the recorded history, and what of it a rollout may rest on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::observer::Seen;
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
    /// The service whose labels an object carries, if it does.
    pub fn of(object: &Value) -> Option<Id> {
        let (stack, service) = (json::label(object, "appstack.dev/stack"), json::label(object, "appstack.dev/service"));
        (!stack.is_empty() && !service.is_empty()).then(|| Id { stack: stack.to_owned(), service: service.to_owned() })
    }

    fn sibling(&self, service: &str) -> Id {
        Id { stack: self.stack.clone(), service: service.to_owned() }
    }
}

/// A Deployment, and the pod template with which it was last completely rolled out.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The Deployment.
    pub object: Arc<Value>,
    /// The template of its last complete rollout.
    completed: Option<Arc<Value>>,
}

/// The namespace at one moment.
#[derive(Clone, Debug, Default)]
pub struct World {
    stacks: BTreeMap<String, Arc<Value>>,
    workloads: BTreeMap<Id, Workload>,
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
            (Kind::Deployment, deleted) => self.take_workload(seen, deleted),
            _ => {}
        }
    }

    fn take_workload(&mut self, seen: &Seen, deleted: bool) {
        let Some(id) = Id::of(&seen.object) else { return };
        if deleted {
            self.workloads.remove(&id);
            return;
        }
        let same = |w: &&Workload| json::text(&w.object, "/metadata/uid") == json::text(&seen.object, "/metadata/uid");
        let mut completed = self.workloads.get(&id).filter(same).and_then(|w| w.completed.clone());
        if is_complete(&seen.object) {
            completed = Some(Arc::new(seen.object["spec"]["template"].clone()));
        }
        self.workloads.insert(id, Workload { object: seen.object.clone(), completed });
    }

    /// The workload of a service.
    pub fn workload(&self, id: &Id) -> Option<&Workload> {
        self.workloads.get(id)
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
            let optional = edge["required"] == false && self.has_failed(&dependency);
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
            if !(edge["required"] == false && self.has_failed(&behind)) {
                settled.map_err(|why| format!("behind {}: {why}", path.join(" <- ")))?;
            }
        }
        path.pop();
        Ok(())
    }

    /// `Healthy`: every wanted pod is there, of the wanted definition, and available, and none is left of another one.
    fn is_healthy(&self, id: &Id) -> Result<(), String> {
        let workload = self.at_wanted_definition(id)?;
        if is_complete(&workload.object) {
            Ok(())
        } else {
            Err(format!("{} is not healthy: {}", id.service, counts(&workload.object)))
        }
    }

    /// Rolled out completely at least once with the definition that is wanted now.
    fn has_completed(&self, id: &Id) -> Result<(), String> {
        let workload = self.at_wanted_definition(id)?;
        let Some(template) = &workload.completed else {
            return Err(format!("{} has never been completely rolled out: {}", id.service, counts(&workload.object)));
        };
        let spec = self.spec(id).unwrap_or(&Value::Null);
        differences(spec, &id.service, &template["spec"]).map_err(|d| {
            format!("{} is rolling out, its last complete rollout had {d}: {}", id.service, counts(&workload.object))
        })
    }

    fn has_available_pod(&self, id: &Id) -> Result<(), String> {
        let object = &self.at_wanted_definition(id)?.object;
        let enough = json::number(object, "/status/availableReplicas") > 0 || wanted(object) == 0;
        if enough { Ok(()) } else { Err(format!("{} has no available pod: {}", id.service, counts(object))) }
    }

    /// `Started`: in some pod of the wanted definition the container runs, has ended or was restarted.
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
        if wanted(&workload.object) == 0 || self.pods.values().filter(ours).any(|pod| ran(&pod)) {
            Ok(())
        } else {
            Err(format!("no pod of {} at its wanted definition has started its container", id.service))
        }
    }

    /// Past its deadline, as its own Deployment says.
    fn has_failed(&self, id: &Id) -> bool {
        self.workload(id)
            .and_then(|w| json::condition(&w.object, "Progressing"))
            .is_some_and(|c| json::text(c, "/reason") == "ProgressDeadlineExceeded")
    }

    fn at_wanted_definition(&self, id: &Id) -> Result<&Workload, String> {
        let spec = self.spec(id).ok_or_else(|| format!("the stack has no service {}", id.service))?;
        let workload = self.workload(id).ok_or_else(|| format!("{} has no Deployment", id.service))?;
        differences(spec, &id.service, &workload.object["spec"]["template"]["spec"])
            .map_err(|d| format!("{} is not at its wanted definition: {d}", id.service))?;
        Ok(workload)
    }
}

/// Whether the Deployment controller has seen the newest spec, and exactly the wanted pods are there and available.
pub fn is_complete(deployment: &Value) -> bool {
    let count = |field: &str| json::number(deployment, &format!("/status/{field}"));
    let wanted = wanted(deployment);
    count("observedGeneration") >= json::number(deployment, "/metadata/generation")
        && count("updatedReplicas") == wanted
        && count("replicas") == wanted
        && count("availableReplicas") == wanted
}

/// `spec.replicas` of a live Deployment, which the server always fills in.
pub fn wanted(deployment: &Value) -> i64 {
    json::number(deployment, "/spec/replicas")
}

fn counts(deployment: &Value) -> String {
    let count = |field: &str| json::number(deployment, &format!("/status/{field}"));
    format!(
        "{} wanted, {} there, {} updated, {} available, generation {} of {} observed",
        wanted(deployment),
        count("replicas"),
        count("updatedReplicas"),
        count("availableReplicas"),
        count("observedGeneration"),
        json::number(deployment, "/metadata/generation"),
    )
}

/// What a pod spec says otherwise than the service of the stack: image, literal variables, program and arguments. These
/// four are read from the stack here, without the operator's revision, so that a wrong revision cannot hide a wrong pod.
pub fn differences(service: &Value, name: &str, pod_spec: &Value) -> Result<(), String> {
    let containers: Vec<&Value> = json::items(pod_spec, "/containers").collect();
    let main = containers.iter().find(|c| c["name"] == name).or(containers.first());
    let Some(main) = main else { return Err("no container".to_owned()) };
    let compare = |what: &str, wanted: &Value, found: &Value| {
        if wanted == found { Ok(()) } else { Err(format!("{what} {found}, wanted {wanted}")) }
    };
    compare("image", &service["image"], &main["image"])?;
    compare("program", &service["entrypoint"], &literal(&main["command"]))?;
    compare("arguments", &service["command"], &literal(&main["args"]))?;
    let wanted: Map<String, Value> = json::entries(service, "/env").map(|(k, v)| (k.to_owned(), v.clone())).collect();
    let found: Map<String, Value> = json::items(main, "/env")
        .filter(|variable| variable.get("valueFrom").is_none())
        .map(|variable| (json::text(variable, "/name").to_owned(), unescaped(json::text(variable, "/value"))))
        .collect();
    compare("variables", &Value::Object(wanted), &Value::Object(found))
}

fn literal(list: &Value) -> Value {
    match list {
        Value::Array(items) => items.iter().map(|item| unescaped(item.as_str().unwrap_or_default())).collect(),
        other => other.clone(),
    }
}

/// Kubernetes expands `$(NAME)` and reads `$$` as a dollar; the stack's text is literal, so dollars stand doubled in the pod.
fn unescaped(text: &str) -> Value {
    Value::String(text.replace("$$", "$"))
}
