//! `pre_start`, `post_start`, `pre_stop`, `stop_grace_period` and `stop_signal`.

use serde_json::json;

use super::command::texts;
use super::{Mapper, Of, code, field, units};
use crate::api::{Hook, PodTemplatePatch, PreStart, Service};
use crate::compose::node::{Entry, Holds, Node};

const GOES_WITH_IT: &str = "it goes with what is refused of it";

impl<'a> Mapper<'a> {
    /// What runs before, beside and after the process.
    pub(super) fn hooks(&mut self, of: &Of<'a>, to: &mut Service) {
        if let Some(entry) = of.entry("stop_grace_period") {
            let time = entry.value.as_int().unwrap_or_default().clamp(0, 24 * 3600 * 1_000_000_000);
            if time > 0 {
                to.stop_grace_period = Some(units::duration(time));
            }
            self.says.mapped(entry, field(of, &self.services, "stopGracePeriod"));
        }
        for (index, hook) in of.node.items("pre_start").iter().enumerate() {
            self.pre_start(of, index, hook, to);
        }
        to.post_start = self.joined(of, "post_start", "postStart");
        to.pre_stop = self.joined(of, "pre_stop", "preStop");
        if let Some(entry) = of.entry("stop_signal") {
            self.stop_signal(of, entry, to);
        }
    }

    fn pre_start(&mut self, of: &Of<'a>, index: usize, hook: &'a Node, to: &mut Service) {
        let here = field(of, &self.services, &format!("preStart[{index}]"));
        if let Some(once) = hook.entry("per_replica").filter(|entry| entry.value.holds == Holds::Bool(false)) {
            let message = "a step of a pod runs in every pod";
            let help = "write a service of its own and wait for service_completed_successfully";
            self.says.refused(once, code::HOOK, message, help);
            return self.says.ignored(hook, code::HOOK, GOES_WITH_IT, "");
        }
        if self.as_another(hook) {
            return;
        }
        let image = hook.get("image").and_then(Node::as_text).filter(|image| *image != to.image && !image.is_empty());
        let env = hook.entries("environment");
        let env = env.filter_map(|(name, entry)| Some((name.clone(), entry.value.as_text()?.to_owned())));
        let step = PreStart {
            name: format!("step-{}", index + 1),
            image: image.map(str::to_owned),
            command: Some(hook.get("command").map(texts).unwrap_or_default()).filter(|words| !words.is_empty()),
            env: env.collect(),
            ..PreStart::default()
        };
        if let Some(entry) = hook.entry("working_dir").filter(|entry| !entry.value.is_null()) {
            let message = "a step starts in the folder of its image";
            self.says.ignored(entry, code::HOOK, message, "begin its command with cd");
        }
        to.pre_start.push(step);
        self.says.mapped(hook, here);
    }

    /// Steps that Compose runs one after the other, as the one command that Kubernetes runs.
    fn joined(&mut self, of: &Of<'a>, key: &str, name: &str) -> Option<Hook> {
        let hooks = of.node.items(key);
        let here = field(of, &self.services, &format!("{name}.exec"));
        let mut commands: Vec<Vec<String>> = Vec::new();
        for hook in hooks {
            if self.as_another(hook) {
                return None;
            }
            commands.push(command(hook));
        }
        let message = if key == "post_start" {
            "it begins with the process, and if it fails the container is started again"
        } else {
            "it takes part of the time to stop in"
        };
        for hook in hooks {
            self.says.approximated(hook, code::HOOK, here.clone(), message, "");
        }
        match commands.as_slice() {
            [] => None,
            [one] => Some(Hook { exec: one.clone() }),
            several => {
                let lines: Vec<String> = several.iter().map(|words| line(words)).collect();
                Some(Hook { exec: shell(&lines.join(" && ")) })
            }
        }
    }

    /// Whether a hook runs as somebody else, which Kubernetes does not have.
    fn as_another(&mut self, hook: &'a Node) -> bool {
        let user = hook.entry("user").filter(|entry| entry.value.as_text().is_some_and(|user| !user.is_empty()));
        let privileged = hook.entry("privileged").filter(|entry| entry.value.is_true());
        let Some(entry) = user.or(privileged) else { return false };
        let message = "a hook runs as the service itself runs";
        self.says.refused(entry, code::HOOK, message, "take it out, or let an image of its own do it");
        self.says.ignored(hook, code::HOOK, GOES_WITH_IT, "");
        true
    }

    /// A field of containers that wants the operating system named.
    ///
    /// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-stop-signals>
    fn stop_signal(&mut self, of: &Of<'a>, entry: &'a Entry, to: &mut Service) {
        let text = entry.value.as_text().unwrap_or_default().to_uppercase();
        let name = text.strip_prefix("SIG").unwrap_or(&text);
        if matches!(name, "TERM" | "" | "15") {
            return self.says.nothing(entry, "it is what a node sends");
        }
        if name.parse::<u8>().is_ok() {
            return self.says.refused(
                entry,
                code::STOP_SIGNAL,
                "a signal has a name here",
                "write its name, as SIGINT",
            );
        }
        let patch = to.pod_template_patch.get_or_insert_with(PodTemplatePatch::default);
        patch.spec.insert("os".to_owned(), json!({"name": "linux"}));
        let lifecycle = json!({"stopSignal": format!("SIG{name}")});
        let container = json!({"name": self.services.get(of.name), "lifecycle": lifecycle});
        patch.spec.insert("containers".to_owned(), json!([container]));
        let message =
            "the node sends it only where the cluster has the feature ContainerStopSignals; others send SIGTERM";
        let here = field(of, &self.services, "podTemplatePatch");
        self.says.approximated(entry, code::STOP_SIGNAL, here, message, "");
    }
}

/// The words of a hook, with its variables and in its folder.
fn command(hook: &Node) -> Vec<String> {
    let mut words = hook.get("command").map(texts).unwrap_or_default();
    let env = hook.entries("environment");
    let env: Vec<String> = env.filter_map(|(name, entry)| Some(format!("{name}={}", entry.value.as_text()?))).collect();
    if !env.is_empty() {
        words = [vec!["env".to_owned()], env, words].concat();
    }
    match hook.get("working_dir").and_then(Node::as_text).filter(|folder| !folder.is_empty()) {
        Some(folder) => shell(&format!("cd {} && exec {}", line(&[folder.to_owned()]), line(&words))),
        None => words,
    }
}

fn shell(line: &str) -> Vec<String> {
    ["/bin/sh", "-c", line].map(str::to_owned).into()
}

/// Words as a shell reads them. A NUL, which no word of a YAML file has, would give nothing.
pub(super) fn line(words: &[String]) -> String {
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::code;
    use super::super::says::Class::{Approximated, Refused};
    use super::super::tests::{found, service};

    #[test]
    fn hooks_run_where_kubernetes_runs_them() {
        assert_eq!(service("stop_grace_period: 1m30s")["stopGracePeriod"], json!("1m30s"));
        let pre = service("pre_start:\n  - {command: [migrate, up], image: m:1, environment: {A: b}}");
        let step = json!({"name": "step-1", "image": "m:1", "command": ["migrate", "up"], "env": {"A": "b"}});
        assert_eq!(pre["preStart"], json!([step]));
        let post = "post_start:\n  - command: warm up\n  - {command: [say, a b], working_dir: /x}";
        let line = "warm up && /bin/sh -c \"cd /x && exec say 'a b'\"";
        assert_eq!(service(post)["postStart"]["exec"], json!(["/bin/sh", "-c", line]));
        assert_eq!(found("pre_stop: [{command: x}]"), [(Approximated, code::HOOK.0)]);
        assert!(found("post_start: [{command: x, user: root}]").contains(&(Refused, code::HOOK.0)));
        assert!(found("pre_start: [{command: x, per_replica: false}]").contains(&(Refused, code::HOOK.0)));
        let signal = service("stop_signal: INT");
        assert_eq!(signal["podTemplatePatch"]["spec"]["containers"][0]["lifecycle"], json!({"stopSignal": "SIGINT"}));
    }
}
