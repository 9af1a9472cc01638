//! `healthcheck`.

use std::collections::BTreeMap;

use super::command::texts;
use super::{Mapper, Of, code, field, units};
use crate::api::{Duration, Healthcheck, HttpProbe, HttpScheme, Port, Service};
use crate::compose::node::{Entry, Node};

/// The longest time that a field of the stack holds: 24 h.
const LONGEST: i64 = 24 * 3600 * 1_000_000_000;

const TURNS_OFF: &str = "it turns off a check of the image, which Kubernetes never runs";

impl<'a> Mapper<'a> {
    /// How to tell that it is healthy. A check without a test is the image's own, which Kubernetes does not see.
    pub(super) fn health(&mut self, of: &Of<'a>, to: &mut Service) {
        let Some(entry) = of.entry("healthcheck") else { return };
        let check = &entry.value;
        let here = field(of, &self.services, "healthcheck");
        if check.get("disable").is_some_and(Node::is_true) {
            return self.says.nothing(entry, TURNS_OFF);
        }
        let test = check.entry("test").filter(|entry| !entry.value.is_null());
        let words = test.map(|entry| texts(&entry.value)).unwrap_or_default();
        let mut health = nothing();
        match words.split_first().map(|(how, rest)| (how.as_str(), rest)) {
            Some(("NONE", _)) => return self.says.nothing(entry, TURNS_OFF),
            Some(("CMD", rest @ [_, ..])) => health.exec = Some(rest.to_vec()),
            Some(("CMD-SHELL", [line, ..])) => health.shell = Some(line.clone()),
            _ => {
                let message =
                    "it changes times of a check inside the image, which Kubernetes does not see: there is no check";
                return self.says.ignored(entry, code::NO_CHECK, message, "write the test here");
            }
        }
        for (key, to) in [
            ("interval", &mut health.interval),
            ("timeout", &mut health.timeout),
            ("start_period", &mut health.start_period),
            ("start_interval", &mut health.start_interval),
        ] {
            *to = check.entry(key).and_then(|entry| self.time(entry, &format!("{here}.{key}")));
        }
        let retries = check.get("retries").and_then(Node::as_int).filter(|retries| *retries > 0);
        health.retries = retries.map(|retries| i32::try_from(retries).unwrap_or(i32::MAX).min(1000));
        if let Some(test) = test {
            self.by_http(test, &words, &here, &mut health);
        }
        to.healthcheck = Some(health);
        self.says.mapped(entry, here);
    }

    /// A check by curl or wget: the node can do the same without the program.
    fn by_http(&mut self, test: &'a Entry, words: &[String], here: &str, health: &mut Healthcheck) {
        let Some((port, path, scheme)) = http(words) else { return };
        if !self.choices.http_probes {
            let message = "the check needs its program in the image, as in Compose";
            let help = format!("--probes=http makes it {{http: {{port: {port}, path: {path}}}}}, which needs none");
            return self.says.noted(test.at, code::PROBE_PROGRAM, message, &help);
        }
        (health.exec, health.shell) = (None, None);
        let path = Some(path).filter(|path| path != "/");
        health.http = Some(HttpProbe { port: Port::Number(port), path, scheme, headers: BTreeMap::new() });
        let message = "the node dials the pod's own address: a server that listens on 127.0.0.1 alone would fail";
        self.says.approximated(test, code::PROBE_PROGRAM, format!("{here}.http"), message, "");
    }

    /// A time above nothing; none of nothing, which is Docker's default.
    fn time(&mut self, entry: &'a Entry, here: &str) -> Option<Duration> {
        let nanoseconds = entry.value.as_int().filter(|n| *n > 0)?;
        if nanoseconds > LONGEST {
            self.says.approximated(entry, code::SUBSECOND, here, "a time is 24 h at most", "");
        } else if nanoseconds % 1_000_000_000 != 0 {
            let message = "Kubernetes counts whole seconds: it is rounded up";
            self.says.approximated(entry, code::SUBSECOND, here, message, "write whole seconds");
        }
        Some(units::duration(nanoseconds.min(LONGEST)))
    }
}

fn nothing() -> Healthcheck {
    Healthcheck {
        exec: None,
        shell: None,
        http: None,
        tcp: None,
        grpc: None,
        interval: None,
        timeout: None,
        retries: None,
        start_period: None,
        start_interval: None,
        on_unhealthy: None,
    }
}

/// Whether a service has a check that Kubernetes can run.
pub(super) fn has_check(service: &Node) -> bool {
    let Some(check) = service.get("healthcheck") else { return false };
    let first = check.items("test").first().and_then(Node::as_text);
    !check.get("disable").is_some_and(Node::is_true) && first.is_some_and(|word| matches!(word, "CMD" | "CMD-SHELL"))
}

/// Port, path and scheme of a check that asks this very container over HTTP.
fn http(words: &[String]) -> Option<(i32, String, Option<HttpScheme>)> {
    let text = words.get(1..)?.join(" ");
    let program = text.split_whitespace().next()?.rsplit('/').next()?;
    let more = [" -X", "POST", " -H", "--header", "--post"].iter().any(|option| text.contains(option));
    if !matches!(program, "curl" | "wget") || more {
        return None;
    }
    let (before, after) = text.split_once("://")?;
    let scheme = before.ends_with("https").then_some(HttpScheme::Https);
    let url: String = after.chars().take_while(|c| !c.is_whitespace() && !"'\"|;&)".contains(*c)).collect();
    let (authority, path) = url.find('/').map_or((url.as_str(), "/"), |at| url.split_at(at));
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    if !matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0") || url.contains('$') {
        return None;
    }
    let default = if scheme.is_some() { 443 } else { 80 };
    Some((port.map_or(Some(default), |port| port.parse().ok())?, path.to_owned(), scheme))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::choices::Choices;
    use super::super::code;
    use super::super::says::Class::{Approximated, Ignored};
    use super::super::tests::{found, mapped_with, service};

    #[test]
    fn checks_keep_their_words_and_times() {
        for (lines, check) in [
            ("healthcheck: {test: [CMD, pg_isready, -U, x]}", json!({"exec": ["pg_isready", "-U", "x"]})),
            ("healthcheck: {test: 'a | b'}", json!({"shell": "a | b"})),
            (
                "healthcheck: {test: [CMD-SHELL, x], interval: 1m30s, timeout: 5s, retries: 5, start_period: 40s, start_interval: 2s}",
                json!({"shell": "x", "interval": "1m30s", "timeout": "5s", "retries": 5, "startPeriod": "40s", "startInterval": "2s"}),
            ),
            ("healthcheck: {test: x, interval: 0s, retries: 0}", json!({"shell": "x"})),
        ] {
            assert_eq!(service(lines)["healthcheck"], check, "{lines}");
        }
        for lines in ["healthcheck: {disable: true}", "healthcheck: {test: [NONE]}"] {
            assert!(service(lines).get("healthcheck").is_none(), "{lines}");
            assert_eq!(found(lines), [], "{lines}");
        }
        assert_eq!(found("healthcheck: {interval: 5s}"), [(Ignored, code::NO_CHECK.0)]);
        assert_eq!(found("healthcheck: {test: x, interval: 1500ms}"), [(Approximated, code::SUBSECOND.0)]);
    }

    #[test]
    fn a_check_by_curl_becomes_one_of_the_node_when_asked() {
        let lines = "healthcheck: {test: 'curl -f http://localhost:8080/health || exit 1'}";
        let text = format!("services:\n  a:\n    image: a:1\n    {lines}\n");
        let choices = Choices { http_probes: true, ..Choices::default() };
        let mapped = mapped_with(&[("compose.yaml", &text)], &choices);
        let check = serde_json::to_value(&mapped.stack.spec.services["a"].healthcheck).unwrap();
        assert_eq!(check, json!({"http": {"port": 8080, "path": "/health"}}));
        assert_eq!(found(lines), [(Approximated, code::PROBE_PROGRAM.0)]);
    }
}
