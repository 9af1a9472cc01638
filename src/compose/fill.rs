//! Variables in the values of a document, and the types that texts take on in some places.

use std::collections::BTreeSet;

use super::interpolate::{Filler, Unfit, Variables};
use super::node::{At, Holds, Node};
use super::notes::Notes;
use super::problem::{Problem, code};
use super::trail::Trail;
use super::units;

/// Fills in the variables of a document. Keys stay as they are. What cannot be filled in is noted, all of it.
pub fn fill(document: &mut Node, environment: &Variables, notes: &mut Notes) {
    let scope = notes.scope(environment);
    let lookup = |name: &str| environment.get(name).cloned();
    let mut walk = Walk { lookup: &lookup, notes, scope, warned: BTreeSet::new() };
    walk.node(document, &Trail::TOP);
}

struct Walk<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    notes: &'a mut Notes,
    scope: usize,
    /// Variables that nothing sets, warned of once.
    warned: BTreeSet<String>,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node, trail: &Trail<'_>) {
        match &mut node.holds {
            Holds::Text(text) => {
                let written = std::mem::take(text);
                node.holds = self.text(node.at, written, trail);
            }
            Holds::List(items) => items.iter_mut().for_each(|item| self.node(item, &trail.to("[]"))),
            Holds::Map(map) => {
                map.iter_mut().for_each(|(key, entry)| self.node(&mut entry.value, &trail.to(key)));
            }
            _ => {}
        }
    }

    fn text(&mut self, at: At, written: String, trail: &Trail<'_>) -> Holds {
        let text = if written.contains('$') {
            let mut filler = Filler::new(self.lookup);
            let outcome = filler.fill(&written);
            self.notes.hide(at, filler.used);
            for name in filler.unset {
                if self.warned.insert(name.clone()) {
                    let message = format!("the variable {name} is not set: it is taken as blank");
                    let help = format!("set {name} in .env, or write ${{{name}:-DEFAULT}}");
                    self.notes.say(Problem::warning(code::VARIABLE_UNSET, at, message).on(trail).help(help));
                }
            }
            let outcome =
                outcome.and_then(|text| if self.notes.fits(text.len()) { Ok(text) } else { Err(Unfit::TooLong) });
            match outcome {
                Ok(text) => {
                    self.notes.template(at, written, self.scope);
                    text
                }
                Err(unfit) => {
                    self.notes.say(unfit_problem(unfit, at).on(trail));
                    return Holds::Text(written);
                }
            }
        } else {
            written
        };
        match cast_at(trail) {
            None => Holds::Text(text),
            Some(cast) => match cast.take(&text) {
                Ok(holds) => {
                    if let (Cast::Bool, Holds::Bool(value)) = (cast, &holds)
                        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false")
                    {
                        let message = format!("'{text}' for {value} is YAML 1.1");
                        let warning = Problem::warning(code::OLD_BOOLEAN, at, message).on(trail);
                        self.notes.say(warning.help(format!("write {value}")));
                    }
                    holds
                }
                Err(wanted) => {
                    let (code, help) = match cast {
                        Cast::Bool => (code::BOOLEAN, "write true or false"),
                        _ => (code::NUMBER, ""),
                    };
                    self.notes.say(Problem::error(code, at, format!("'{text}' is not {wanted}")).on(trail).help(help));
                    Holds::Text(text)
                }
            },
        }
    }
}

/// What is wrong with a text whose variables cannot be filled in.
pub fn unfit_problem(unfit: Unfit, at: At) -> Problem {
    match unfit {
        Unfit::Template => Problem::error(code::TEMPLATE, at, "a '${' that begins no variable")
            .help("write '$$' for a plain '$', or ${NAME}, ${NAME:-DEFAULT} and the like, in one line"),
        Unfit::TooLong => Problem::error(code::TOO_MUCH, at, "variables make this too long"),
        Unfit::Required(name, why) => {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            let message = format!("the variable {name} must have a value{why}");
            Problem::error(code::VARIABLE_REQUIRED, at, message)
                .help(format!("set {name} in .env or in the environment"))
        }
    }
}

/// The type that a text is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// `true`, `false`, and the words of YAML 1.1.
    Bool,
    /// A whole number.
    Int,
    /// Any number.
    Float,
}

impl Cast {
    /// The typed value; else what was wanted, in words.
    pub fn take(self, text: &str) -> Result<Holds, &'static str> {
        match self {
            Cast::Bool => match text.to_ascii_lowercase().as_str() {
                "true" | "y" | "yes" | "on" => Ok(Holds::Bool(true)),
                "false" | "n" | "no" | "off" => Ok(Holds::Bool(false)),
                _ => Err("true or false"),
            },
            Cast::Int => text.parse().map(Holds::Int).map_err(|_| "a whole number"),
            Cast::Float => units::decimal(text).map(Holds::Float).ok_or("a number"),
        }
    }
}

/// The places where the reference casts texts before it looks at the structure.
fn cast_at(trail: &Trail<'_>) -> Option<Cast> {
    let any = |patterns: &[&str]| patterns.iter().any(|pattern| trail.is(pattern));
    match trail.step {
        "cpu_count" | "cpu_period" | "cpu_quota" | "cpu_rt_period" | "cpu_rt_runtime" | "cpu_shares"
        | "oom_score_adj" | "pids_limit" | "scale" => {
            (trail.depth == 3 && trail.is("services.*.*")).then_some(Cast::Int)
        }
        "cpu_percent" | "cpus" => (trail.depth == 3 && trail.is("services.*.*")).then_some(Cast::Float),
        "init" | "oom_kill_disable" | "privileged" | "read_only" | "stdin_open" | "tty" => {
            any(&["services.*.*", "services.*.volumes.[].read_only"]).then_some(Cast::Bool)
        }
        "required" | "restart" => trail.is("services.*.depends_on.*.*").then_some(Cast::Bool),
        "replicas" => trail.is("services.*.deploy.replicas").then_some(Cast::Int),
        "parallelism" => {
            any(&["services.*.deploy.update_config.*", "services.*.deploy.rollback_config.*"]).then_some(Cast::Int)
        }
        "max_failure_ratio" => {
            any(&["services.*.deploy.update_config.*", "services.*.deploy.rollback_config.*"]).then_some(Cast::Float)
        }
        "max_attempts" => trail.is("services.*.deploy.restart_policy.*").then_some(Cast::Int),
        "max_replicas_per_node" => trail.is("services.*.deploy.placement.*").then_some(Cast::Int),
        "retries" => trail.is("services.*.healthcheck.*").then_some(Cast::Int),
        "disable" => trail.is("services.*.healthcheck.*").then_some(Cast::Bool),
        "target" => trail.is("services.*.ports.[].*").then_some(Cast::Int),
        "nocopy" => trail.is("services.*.volumes.[].volume.*").then_some(Cast::Bool),
        "external" => any(&["networks.*.*", "volumes.*.*", "secrets.*.*", "configs.*.*"]).then_some(Cast::Bool),
        "internal" | "attachable" | "enable_ipv4" | "enable_ipv6" => trail.is("networks.*.*").then_some(Cast::Bool),
        "hard" | "soft" if trail.depth == 5 => trail.is("services.*.ulimits.*.*").then_some(Cast::Int),
        _ => (trail.depth == 4 && trail.is("services.*.ulimits.*")).then_some(Cast::Int),
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    #[test]
    fn every_value_that_cannot_be_filled_in_is_named() {
        let text = "services:\n  a:\n    image: ${\n    cpus: x\n    tty: 'yes'\n    scale: ${N:?say}\n    labels: {'$K': $V}\n";
        let mut node = yaml::documents(text, 0, &mut 99).unwrap().remove(0);
        let mut notes = Notes::default();
        fill(&mut node, &Variables::new(), &mut notes);
        let said: Vec<_> = notes.problems.iter().map(|p| (p.code, p.path.as_str())).collect();
        assert_eq!(
            said,
            [
                (code::TEMPLATE, "services.a.image"),
                (code::NUMBER, "services.a.cpus"),
                (code::OLD_BOOLEAN, "services.a.tty"),
                (code::VARIABLE_REQUIRED, "services.a.scale"),
                (code::VARIABLE_UNSET, "services.a.labels.$K"),
            ]
        );
        assert_eq!(node.find(&["services", "a", "labels", "$K"]).unwrap().as_text(), Some(""));
        assert!(node.find(&["services", "a", "tty"]).unwrap().is_true());
    }
}
