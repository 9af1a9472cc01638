//! One object of a stack, in words.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::api::{ServiceState, ServiceStatus};
use crate::child::{Child, Kind, labels};
use crate::cli::look::{age, one_line};

/// An object, as the picture needs it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Leaf {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) child: Child,
    /// When it was made; of a pod, when it became ready or ceased to be.
    since: Option<Timestamp>,
    /// Of a pod's containers.
    restarts: i64,
}

impl Leaf {
    /// None for what is no object.
    pub(in crate::cli) fn of(kind: Kind, object: Value) -> Option<Self> {
        let time = |value: &Value| value.as_str()?.parse().ok();
        let items = |key: &str| object["status"][key].as_array().into_iter().flatten();
        let ready = items("conditions").find(|c| c["type"] == "Ready").and_then(|c| time(&c["lastTransitionTime"]));
        let since = ready.filter(|_| kind == Kind::Pod).or_else(|| time(&object["metadata"]["creationTimestamp"]));
        let restarts = items("containerStatuses").filter_map(|status| status["restartCount"].as_i64()).sum();
        let name = object["metadata"]["name"].as_str()?.to_owned();
        Some(Leaf { kind, name, since, restarts, child: serde_json::from_value(object).ok()? })
    }

    /// The service that it was made for; empty where several use it.
    pub(super) fn service(&self) -> &str {
        match self.child.label(labels::SERVICE) {
            "" => self.child.label(labels::JOB),
            service => service,
        }
    }

    /// How it stands, and the words for it. What the line of its service says already is not said again.
    pub(in crate::cli) fn said(
        &self,
        revision: &str,
        service: &ServiceStatus,
        now: Timestamp,
    ) -> (ServiceState, String) {
        let (state, text) = match self.kind {
            _ if self.child.is_going() => (ServiceState::Progressing, "being deleted".to_owned()),
            Kind::Pod => self.pod(revision, service, now),
            Kind::Job => self.job(),
            Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => self.workload(),
            Kind::Claim => self.claim(),
            Kind::HttpRoute => self.route(),
            _ => (ServiceState::Ready, self.child.facts.addresses.join(", ")),
        };
        (state, one_line(&text))
    }

    fn pod(&self, revision: &str, service: &ServiceStatus, now: Timestamp) -> (ServiceState, String) {
        let pod = &self.child.facts.pod;
        let (state, mut text) = match &pod.trouble {
            Some((reason, _)) if service.reason.as_ref() == Some(reason) => (ServiceState::Failed, reason.clone()),
            Some((reason, message)) => (ServiceState::Failed, [reason.as_str(), message].join(": ")),
            None if pod.ended && self.child.facts.phase == "Succeeded" => (ServiceState::Completed, "succeeded".into()),
            None if pod.ended => (ServiceState::Failed, "failed".into()),
            None if pod.ready => (ServiceState::Ready, "ready".into()),
            None if pod.has_run => (ServiceState::Progressing, "runs, and is not ready".into()),
            None => (ServiceState::Progressing, "is not started yet".into()),
        };
        let text_end = text.trim_end_matches([':', ' ']).len();
        text.truncate(text_end);
        if let Some(since) = self.since {
            text.push_str(&format!(", {}", age(since, now)));
        }
        match self.restarts {
            0 => {}
            1 => text.push_str(", restarted once"),
            times => text.push_str(&format!(", restarted {times} times")),
        }
        if self.child.annotation(labels::REVISION).is_some_and(|of| !revision.is_empty() && of != revision) {
            text.push_str(", of an earlier revision");
        }
        (state, text)
    }

    fn workload(&self) -> (ServiceState, String) {
        let facts = &self.child.facts;
        let wanted = facts.spec_replicas.unwrap_or(0);
        let mut text = format!("{}/{wanted} ready", facts.ready_replicas);
        if facts.updated_replicas < facts.replicas {
            text.push_str(&format!(", {} of {} pods replaced", facts.updated_replicas, facts.replicas));
        }
        let state = match facts.ready_replicas {
            _ if wanted == 0 => ServiceState::Stopped,
            ready if ready >= wanted && facts.updated_replicas >= wanted => ServiceState::Ready,
            _ => ServiceState::Progressing,
        };
        (state, text)
    }

    fn job(&self) -> (ServiceState, String) {
        let is = |r#type: &str| self.child.facts.condition(r#type).filter(|c| c.status == "True");
        let fills = match self.child.label(labels::POPULATE) {
            "" => String::new(),
            volume => format!("fills volume {volume}, "),
        };
        let (state, text) = if is("Complete").is_some() {
            (ServiceState::Completed, "succeeded".to_owned())
        } else if let Some(failed) = is("Failed") {
            (ServiceState::Failed, format!("failed: {}", failed.reason))
        } else if self.child.facts.suspended {
            (ServiceState::Stopped, "suspended".to_owned())
        } else {
            (ServiceState::Progressing, "runs".to_owned())
        };
        (state, format!("{fills}{text}"))
    }

    fn claim(&self) -> (ServiceState, String) {
        let facts = &self.child.facts;
        let size = if facts.storage.is_empty() { String::new() } else { format!(", {}", facts.storage) };
        let state = if facts.phase == "Bound" { ServiceState::Ready } else { ServiceState::Pending };
        (state, format!("{}{size}", if facts.phase.is_empty() { "Pending" } else { &facts.phase }))
    }

    fn route(&self) -> (ServiceState, String) {
        let route = &self.child.facts.route;
        match &route.trouble {
            Some((reason, message)) => (ServiceState::Failed, format!("{reason}: {message}")),
            None if route.taken_up => (ServiceState::Ready, "taken up".into()),
            None => (ServiceState::Pending, "no controller has looked at it".into()),
        }
    }
}
