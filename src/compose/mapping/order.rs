//! `depends_on`, `restart`, `scale` and what runs to its end.

use std::collections::{BTreeMap, BTreeSet};

use super::choices::Choices;
use super::health::has_check;
use super::{Mapper, Of, code, field};
use crate::api::{Condition, Dependency, Job, Mode, Service};
use crate::compose::node::{Entry, Holds, Node};
use crate::compose::project::Project;

/// Tries of a Job whose `on-failure` has no number: Docker goes on for ever.
const MANY_TRIES: i32 = 100;

/// Why a service runs to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Others wait for that.
    WaitedFor,
    /// `deploy.mode` says so.
    Mode,
    /// `restart: no`, and nothing that looks as if it were to stay.
    Looks,
    /// `--job` says so.
    Chosen,
}

/// The services that run to their end: waited for until completed, a job mode, or not restarted and without ports, check and anybody who wants
/// them running.
pub(super) fn jobs<'a>(project: &'a Project, choices: &Choices) -> BTreeMap<&'a str, Ends> {
    let (mut completed, mut running) = (BTreeSet::new(), BTreeSet::new());
    for (_, service) in project.services() {
        for (name, entry) in service.value.entries("depends_on") {
            let condition = entry.value.get("condition").and_then(Node::as_text);
            let set = if condition == Some("service_completed_successfully") { &mut completed } else { &mut running };
            set.insert(name.as_str());
        }
    }
    let ends = |name: &str, service: &Node| {
        if choices.jobs.contains(name) {
            return Some(Ends::Chosen);
        }
        if completed.contains(name) {
            return Some(Ends::WaitedFor);
        }
        let text = |path: &[&str]| service.find(path).and_then(Node::as_text);
        if text(&["deploy", "mode"]).is_some_and(|mode| mode.ends_with("-job")) {
            return Some(Ends::Mode);
        }
        let once = text(&["restart"]) == Some("no") || text(&["deploy", "restart_policy", "condition"]) == Some("none");
        let stays = !service.items("ports").is_empty() || !service.items("expose").is_empty() || has_check(service);
        (once && !stays && !running.contains(name) && !choices.no_jobs.contains(name)).then_some(Ends::Looks)
    };
    project.services().filter_map(|(name, entry)| Some((name.as_str(), ends(name, &entry.value)?))).collect()
}

impl<'a> Mapper<'a> {
    /// What it waits for, how often it runs, and whether to its end.
    pub(super) fn order(&mut self, of: &Of<'a>, to: &mut Service) {
        for (name, entry) in of.node.entries("depends_on") {
            self.dependency(of, name, entry, to);
        }
        self.mode(of, to);
        self.restart(of, to);
        self.replicas(of, to);
    }

    fn dependency(&mut self, of: &Of<'a>, name: &str, entry: &'a Entry, to: &mut Service) {
        let label = self.services.get(name);
        let here = field(of, &self.services, &format!("dependsOn.{label}"));
        let other = self.project.root.find(&["services", name]);
        let condition = match entry.value.get("condition").and_then(Node::as_text) {
            Some("service_completed_successfully") => Condition::Completed,
            Some("service_healthy") if self.jobs.contains_key(name) => {
                let message = format!("'{name}' runs to its end, and what ends is never healthy");
                return self.says.refused(entry, code::NO_CHECK, &message, "wait for service_completed_successfully");
            }
            Some("service_healthy") => {
                if !other.is_some_and(has_check) && !self.choices.assume_healthy.contains(name) {
                    let message = format!("'{name}' has no health check here, and one inside its image cannot be seen");
                    let help =
                        format!("write its test under healthcheck, or --assume-healthy {name}: healthy once it runs");
                    return self.says.refused(entry, code::NO_CHECK, &message, &help);
                }
                Condition::Healthy
            }
            _ => Condition::Started,
        };
        let required = entry.value.get("required").filter(|node| node.holds == Holds::Bool(false)).map(|_| false);
        let restart = entry.value.get("restart").filter(|node| node.is_true()).map(|_| true);
        to.depends_on.insert(label, Dependency { condition: Some(condition), required, restart });
        self.says.mapped(entry, here);
    }

    fn mode(&mut self, of: &Of<'a>, to: &mut Service) {
        if self.jobs.contains_key(of.name) {
            to.mode = Some(Mode::Job);
        }
        let Some(deploy) = of.node.get("deploy") else { return };
        let Some(entry) = deploy.entry("mode").filter(|entry| !entry.value.is_null()) else { return };
        match entry.value.as_text().unwrap_or_default() {
            "global" => to.mode = Some(Mode::Global),
            "global-job" => {
                let message = "a Job on every node is nothing that a stack has";
                let help = "write mode: global with a program that stays, or a Job with a count";
                return self.says.refused(entry, code::GLOBAL_JOB, message, help);
            }
            "replicated-job" => {
                let count = deploy.get("replicas").and_then(Node::as_int).filter(|count| *count > 1);
                if let Some(count) = count.and_then(|count| i32::try_from(count).ok()) {
                    to.job.get_or_insert_with(Job::default).completions = Some(count);
                }
            }
            _ => {}
        }
        self.says.mapped(entry, field(of, &self.services, "mode"));
    }

    fn restart(&mut self, of: &Of<'a>, to: &mut Service) {
        let policy = of.node.find(&["deploy", "restart_policy"]);
        let entry = |key: &str| policy.and_then(|node| node.entry(key)).filter(|entry| !entry.value.is_null());
        let is_job = to.mode == Some(Mode::Job);
        if self.jobs.get(of.name) == Some(&Ends::Looks)
            && let Some(entry) = of.entry("restart").or_else(|| entry("condition"))
        {
            let message = "it is not restarted and nothing dials it or waits for it: it runs once, as a Job";
            let help = format!("--job {0} confirms it, --no-job {0} keeps it running", of.name);
            self.says.approximated(entry, code::JOB, field(of, &self.services, "mode"), message, &help);
        }
        let mut retries = None;
        if let Some(entry) = of.entry("restart") {
            let text = entry.value.as_text().unwrap_or_default();
            let (word, count) = text.split_once(':').map_or((text, None), |(word, count)| (word, Some(count)));
            if word == "on-failure" {
                retries = Some(count.and_then(|count| count.parse().ok()).unwrap_or(MANY_TRIES));
            }
            self.kept_running(of, entry, word, is_job);
        }
        if let Some(entry) = entry("condition") {
            let word = entry.value.as_text().unwrap_or_default();
            if word == "on-failure" {
                retries = retries.or(Some(MANY_TRIES));
            }
            self.kept_running(of, entry, if word == "none" { "no" } else { word }, is_job);
        }
        if let Some(entry) = entry("max_attempts") {
            if is_job {
                retries = entry.value.as_int().and_then(|count| i32::try_from(count).ok());
                self.says.mapped(entry, field(of, &self.services, "job.retries"));
            } else {
                let message = "a pod is restarted for as long as it is wanted";
                self.says.ignored(entry, code::RESTART, message, "");
            }
        }
        if let Some(retries) = retries.filter(|retries| is_job && *retries > 0) {
            to.job.get_or_insert_with(Job::default).retries = Some(retries.min(MANY_TRIES));
        }
    }

    fn kept_running(&mut self, of: &Of<'a>, entry: &'a Entry, word: &str, is_job: bool) {
        let here = field(of, &self.services, if is_job { "job.retries" } else { "mode" });
        let message = match word {
            _ if is_job => return self.says.mapped(entry, here),
            "no" => "a service is kept running: a pod that ends is started again",
            "on-failure" => "a pod that ends well is started again as well",
            _ => return self.says.mapped(entry, here),
        };
        let help = format!("--job {} runs it once", of.name);
        self.says.approximated(entry, code::RESTART, here, message, &help);
    }

    fn replicas(&mut self, of: &Of<'a>, to: &mut Service) {
        let deploy = of.node.get("deploy").and_then(|node| node.entry("replicas"));
        for entry in [of.entry("scale"), deploy.filter(|entry| !entry.value.is_null())].into_iter().flatten() {
            let count = entry.value.as_int().and_then(|count| i32::try_from(count).ok()).filter(|count| *count >= 0);
            match to.mode {
                Some(Mode::Job) => self.says.mapped(entry, field(of, &self.services, "job.completions")),
                Some(Mode::Global) => self.says.nothing(entry, "one pod runs on every node"),
                _ if count.is_some_and(|count| count > 1000) => {
                    self.says.refused(entry, code::REPLICAS, "a service has at most 1000 pods", "write 1000 or less");
                }
                _ => {
                    to.replicas = count;
                    self.says.mapped(entry, field(of, &self.services, "replicas"));
                }
            }
        }
    }

    /// Takes services that are not written out of the dependencies of others.
    pub(super) fn without(&mut self, gone: &BTreeSet<&str>) {
        for (name, service) in self.project.services().filter(|(name, _)| !gone.contains(name.as_str())) {
            let lost = service.value.entries("depends_on").filter(|(other, _)| gone.contains(other.as_str()));
            for (other, entry) in lost {
                if let Some(service) = self.spec.services.get_mut(&self.services.get(name)) {
                    service.depends_on.remove(&self.services.get(other));
                }
                self.says.service = Some(name.clone());
                let message = format!("'{other}' is not written, so '{name}' does not wait for it");
                self.says.noted(entry.at, code::WITH_REFUSED, &message, &format!("mend '{other}' first"));
            }
        }
        self.says.service = None;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::code;
    use super::super::says::Class::{Approximated, Refused};
    use super::super::tests::{found, mapped, service};

    #[test]
    fn conditions_are_always_written() {
        let text = "services:
  a:
    image: a:1
    depends_on:
      b: {condition: service_healthy, restart: true}
      c: {condition: service_completed_successfully}
      d: {condition: service_started, required: false}
  b: {image: b:1, healthcheck: {test: x}, depends_on: [d]}
  c: {image: c:1}
  d: {image: d:1}
";
        let spec = serde_json::to_value(&mapped(text).stack.spec).unwrap();
        assert_eq!(
            spec["services"]["a"]["dependsOn"],
            json!({"b": {"condition": "Healthy", "restart": true}, "c": {"condition": "Completed"}, "d": {"condition": "Started", "required": false}})
        );
        assert_eq!(spec["services"]["b"]["dependsOn"], json!({"d": {"condition": "Started"}}));
        assert_eq!(spec["services"]["c"]["mode"], json!("Job"));
    }

    #[test]
    fn health_that_nobody_can_see_is_refused_and_the_others_are_written() {
        let text = "services:
  a: {image: a:1, depends_on: {b: {condition: service_healthy}}}
  b: {image: b:1}
  c: {image: c:1, depends_on: [a]}
";
        let mapped = mapped(text);
        assert_eq!(mapped.stack.spec.services.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert!(mapped.stack.spec.services["c"].depends_on.is_empty());
        let codes: Vec<_> = mapped.findings.iter().map(|f| (f.outcome.class, f.outcome.code)).collect();
        assert_eq!(codes, [(Refused, code::NO_CHECK), (Approximated, code::WITH_REFUSED)]);
    }

    #[test]
    fn what_runs_to_its_end_is_a_job() {
        for (lines, mode, job) in [
            ("restart: 'no'", "Job", json!(null)),
            ("restart: 'no'\nports: ['80:80']", "", json!(null)),
            ("restart: on-failure", "", json!(null)),
            ("deploy: {mode: replicated-job, replicas: 3}", "Job", json!({"completions": 3})),
            ("deploy: {mode: replicated-job}\nrestart: on-failure:3", "Job", json!({"retries": 3})),
            ("deploy: {mode: replicated-job}\nrestart: on-failure", "Job", json!({"retries": 100})),
            ("deploy: {mode: global, replicas: 3}", "Global", json!(null)),
        ] {
            let service = service(lines);
            assert_eq!(service["mode"].as_str().unwrap_or_default(), mode, "{lines}");
            assert_eq!(service["job"], job, "{lines}");
        }
        assert_eq!(found("restart: 'no'"), [(Approximated, code::JOB.0)]);
        assert_eq!(found("restart: on-failure"), [(Approximated, code::RESTART.0)]);
        assert_eq!(found("restart: unless-stopped"), []);
        assert_eq!(found("deploy: {mode: global-job}"), [(Refused, code::GLOBAL_JOB.0)]);
        assert_eq!(service("scale: 3")["replicas"], json!(3));
    }
}
