//! What runs the pods of a service, of whichever kind, judged by its own spec and status.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{Kind, json};

/// A Deployment, StatefulSet, DaemonSet or Job as it was at one moment.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its kind.
    pub kind: Kind,
    /// The object.
    pub object: Arc<Value>,
    /// The server's version of its first change, by which newer ones are told from older ones.
    pub since: u64,
    /// The pod template with which it was last completely rolled out.
    pub completed: Option<Arc<Value>>,
}

impl Workload {
    /// Whether it is [`is_complete`].
    pub fn is_complete(&self) -> bool {
        is_complete(self.kind, &self.object)
    }

    /// Whether its status may be that of one which was complete and lost some pods since. Only Deployments remember; of the
    /// others, all pods being of the newest template and one of them available is as much as can be told.
    pub fn may_have_been_complete(&self) -> bool {
        let (there, updated) = match self.kind {
            Kind::DaemonSet => ("currentNumberScheduled", "updatedNumberScheduled"),
            Kind::StatefulSet => ("replicas", "updatedReplicas"),
            _ => return self.is_complete(),
        };
        let count = |field: &str| json::number(&self.object, &format!("/status/{field}"));
        count("observedGeneration") >= generation(&self.object)
            && count(there) == self.wanted()
            && count(updated) == self.wanted()
            && self.available() > 0
    }

    /// Available pods; a Job that succeeded counts as one.
    pub fn available(&self) -> i64 {
        available(self.kind, &self.object)
    }

    /// Pods wanted.
    pub fn wanted(&self) -> i64 {
        wanted(self.kind, &self.object)
    }

    /// It has failed for good, as its own status says. StatefulSets and DaemonSets never say so.
    pub fn has_failed(&self) -> bool {
        let stuck = json::condition(&self.object, "Progressing")
            .is_some_and(|c| json::text(c, "/reason") == "ProgressDeadlineExceeded");
        match self.kind {
            Kind::Job => json::holds(&self.object, "Failed"),
            Kind::Deployment => stuck,
            _ => false,
        }
    }

    /// Its counts in words.
    pub fn counts(&self) -> String {
        let count = |field: &str| json::number(&self.object, &format!("/status/{field}"));
        let (wanted, available) = (self.wanted(), self.available());
        let generation = format!("generation {} of {} observed", count("observedGeneration"), generation(&self.object));
        match self.kind {
            Kind::Job => format!(
                "{wanted} wanted, {} active, {} succeeded, {} failed",
                count("active"),
                count("succeeded"),
                count("failed")
            ),
            Kind::DaemonSet => format!(
                "{wanted} wanted, {} there, {} updated, {available} available, {generation}",
                count("currentNumberScheduled"),
                count("updatedNumberScheduled")
            ),
            _ => format!(
                "{wanted} wanted, {} there, {} updated, {available} available, {generation}",
                count("replicas"),
                count("updatedReplicas")
            ),
        }
    }
}

/// Whether the controller has seen the newest spec, and exactly the wanted pods are there, of the newest template, and
/// available. Of a Job: whether it succeeded.
pub fn is_complete(kind: Kind, object: &Value) -> bool {
    let count = |field: &str| json::number(object, &format!("/status/{field}"));
    let wanted = wanted(kind, object);
    let observed = count("observedGeneration") >= generation(object);
    match kind {
        Kind::Job => json::holds(object, "Complete"),
        Kind::DaemonSet => {
            observed
                && count("updatedNumberScheduled") == wanted
                && count("currentNumberScheduled") == wanted
                && count("numberMisscheduled") == 0
                && count("numberAvailable") == wanted
        }
        _ => {
            observed
                && count("updatedReplicas") == wanted
                && count("replicas") == wanted
                && count("availableReplicas") == wanted
        }
    }
}

/// Pods wanted: by the spec, which the server always fills in; of a DaemonSet, by the nodes; of a suspended Job, none.
pub fn wanted(kind: Kind, object: &Value) -> i64 {
    match kind {
        Kind::DaemonSet => json::number(object, "/status/desiredNumberScheduled"),
        Kind::Job if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) => 0,
        Kind::Job => json::number(object, "/spec/completions").max(1),
        _ => json::number(object, "/spec/replicas"),
    }
}

/// Available pods; a Job that succeeded counts as one.
pub fn available(kind: Kind, object: &Value) -> i64 {
    match kind {
        Kind::DaemonSet => json::number(object, "/status/numberAvailable"),
        Kind::Job => i64::from(is_complete(kind, object)),
        _ => json::number(object, "/status/availableReplicas"),
    }
}

fn generation(object: &Value) -> i64 {
    json::number(object, "/metadata/generation")
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
    // Templates reach the pod as they are written, dollars included.
    let templates = json::entries(service, "/envTemplate").map(|(k, v)| (k, unescaped(v.as_str().unwrap_or_default())));
    let literals = json::entries(service, "/env").map(|(k, v)| (k, v.clone()));
    let wanted: Map<String, Value> = literals.chain(templates).map(|(k, v)| (k.to_owned(), v)).collect();
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
