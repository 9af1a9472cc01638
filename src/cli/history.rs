//! `appstack history`: what services can go back to, and what became of it.

use std::process::ExitCode;

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::answer;
use super::kept::{Past, is_a_job, keeps_none};
use super::look::{age, columns};
use super::server::{Asked, Output, Which, ask};
use super::steering::{no_such_service, refuse};
use crate::api::{AppStack, PodSecurity};
use crate::stack::{Service, Stack, Workload, check};

/// Show the revisions of services that are kept, and what became of them
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    #[command(flatten)]
    which: Which,
    /// Only of this service
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    /// How it is shown
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Exit codes: 0 shown, 1 no such stack or service, or nothing is kept of it, 3 no cluster.
pub fn run(args: &HistoryArgs) -> ExitCode {
    ask(&args.which, "read the history of", async |asked| history(args, asked).await)
}

async fn history(args: &HistoryArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    let past = Past::read(asked, &stack).await?;
    match History::of(&stack, &past, args.service.as_deref()) {
        Ok(history) => {
            let code = match args.output {
                Output::Table => answer(&history.table(Timestamp::now())),
                Output::Json => answer(&format!("{:#}\n", history.json(&stack))),
            };
            history.notes.iter().for_each(|note| eprintln!("note: {note}"));
            Ok(code)
        }
        Err(refusals) => {
            refuse("there is no history to show", &refusals);
            Ok(ExitCode::from(1))
        }
    }
}

/// A revision of a service.
#[derive(Debug, PartialEq)]
struct Row {
    service: String,
    revision: String,
    image: String,
    since: Option<Timestamp>,
    is_kept: bool,
    state: &'static str,
}

#[derive(Debug)]
struct History {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl History {
    fn of(written: &AppStack, past: &Past, only: Option<&str>) -> Result<History, Vec<String>> {
        let stack = check(written, PodSecurity::Privileged)
            .map_err(|problems| problems.all.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        if let Some(name) = only.filter(|name| !stack.services.contains_key(*name)) {
            return Err(vec![no_such_service(written, name)]);
        }
        let mut history = History { rows: Vec::new(), notes: Vec::new() };
        for service in ordered(&stack).filter(|service| only.is_none_or(|only| only == service.name)) {
            let none = if matches!(service.workload, Workload::Job(_)) {
                is_a_job(&service.name)
            } else if service.update.history == 0 && past.kept(&service.name).is_empty() {
                keeps_none(&service.name)
            } else {
                history.rows.extend(rows(service, past));
                continue;
            };
            if only.is_some() {
                return Err(vec![none]);
            }
            history.notes.push(none);
        }
        Ok(history)
    }

    fn table(&self, now: Timestamp) -> String {
        let mut rows = vec![["SERVICE", "REVISION", "IMAGE", "AGE", "STATE"].map(str::to_owned).to_vec()];
        rows.extend(self.rows.iter().map(|row| {
            let age = row.since.map_or_else(|| "-".to_owned(), |since| age(since, now));
            vec![row.service.clone(), row.revision.clone(), row.image.clone(), age, row.state.to_owned()]
        }));
        columns(&rows).iter().map(|line| format!("{line}\n")).collect()
    }

    fn json(&self, stack: &AppStack) -> Value {
        let mut services = serde_json::Map::new();
        for row in &self.rows {
            let revision = json!({"revision": row.revision, "image": row.image, "kept": row.is_kept, "state": row.state,
                "since": row.since.map(|since| since.to_string())});
            let all = services.entry(row.service.clone()).or_insert_with(|| json!([]));
            if let Value::Array(all) = all {
                all.push(revision);
            }
        }
        json!({"name": stack.metadata.name, "namespace": stack.metadata.namespace, "services": services})
    }
}

fn ordered(stack: &Stack) -> impl Iterator<Item = &Service> {
    stack.order.iter().filter_map(|name| stack.services.get(name))
}

/// What is written and not kept comes first, then what is kept, the newest first.
fn rows(service: &Service, past: &Past) -> Vec<Row> {
    let running = past.running.get(&service.name).cloned().unwrap_or_default();
    let wanted = service.revision.as_str();
    let was_put_back =
        service.put_back.as_deref() == Some(&*running.revision) || running.failed.as_deref() == Some(wanted);
    let state = |revision: &str, is_kept: bool| {
        if revision == running.revision {
            match (is_kept, was_put_back && revision != wanted) {
                (_, true) => "current, rolled back to",
                (true, false) => "current",
                (false, false) => "rolling out",
            }
        } else if running.failed.as_deref() == Some(revision) {
            "failed"
        } else if revision == wanted {
            if was_put_back { "written, rolled back from" } else { "written, waits" }
        } else if running.last_good.as_deref() == Some(revision) {
            "last good"
        } else {
            ""
        }
    };
    let row = |revision: &str, image: &str, since, is_kept| Row {
        service: service.name.clone(),
        revision: revision.to_owned(),
        image: image.to_owned(),
        since,
        is_kept,
        state: state(revision, is_kept),
    };
    let kept = past.kept(&service.name);
    let lacks = |revision: &str| !revision.is_empty() && kept.iter().all(|kept| kept.revision != revision);
    let mut rows = Vec::new();
    if wanted != running.revision && lacks(wanted) {
        rows.push(row(wanted, &service.image, None, false));
    }
    if lacks(&running.revision) {
        rows.push(row(&running.revision, &running.image, None, false));
    }
    rows.extend(kept.iter().map(|kept| row(&kept.revision, &kept.image, kept.since, true)));
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cli::kept::{Kept, Running};
    use crate::stack::requests;

    fn stack(annotations: &Value) -> AppStack {
        let services = json!({"web": {"image": "web:3", "update": {"history": 3}}, "log": {"image": "log:1"}, "seed": {"image": "seed:1", "mode": "Job"}});
        serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
            "metadata": {"name": "shop", "namespace": "n", "annotations": annotations}, "spec": {"services": services}}))
        .unwrap()
    }

    fn wanted(annotations: &Value) -> Service {
        check(&stack(annotations), PodSecurity::Baseline).unwrap().services["web"].clone()
    }

    fn past(running: &str, failed: Option<&str>, last_good: Option<&str>, more: &[&str]) -> Past {
        let kept = |revision: &str, day: i64| Kept {
            revision: revision.into(),
            definition: revision.into(),
            workload: None,
            image: format!("web:{day}"),
            since: Timestamp::from_second(day * 86_400).ok(),
        };
        let mut all = vec![kept("bbbbbbbb", 2), kept("aaaaaaaa", 1)];
        for revision in more {
            all.insert(0, kept(revision, 3));
        }
        let running = Running {
            revision: running.into(),
            last_good: last_good.map(str::to_owned),
            failed: failed.map(str::to_owned),
            image: "web:?".into(),
        };
        Past { kept: BTreeMap::from([("web".to_owned(), all)]), running: BTreeMap::from([("web".to_owned(), running)]) }
    }

    fn states(annotations: &Value, past: &Past) -> Vec<(String, &'static str)> {
        let history = History::of(&stack(annotations), past, Some("web")).unwrap();
        history.rows.into_iter().map(|row| (row.image, row.state)).collect()
    }

    #[test]
    fn a_table_of_what_is_kept_the_newest_first() {
        let written = wanted(&json!({})).revision;
        let history =
            History::of(&stack(&json!({})), &past(&written, None, Some("bbbbbbbb"), &[&written]), None).unwrap();
        let expected = format!(
            "\
SERVICE   REVISION   IMAGE   AGE   STATE
web       {written}   web:3   3d    current
web       bbbbbbbb   web:2   4d    last good
web       aaaaaaaa   web:1   5d
"
        );
        assert_eq!(history.table(Timestamp::from_second(6 * 86_400).unwrap()), expected);
        assert_eq!(history.notes, [keeps_none("log"), is_a_job("seed")], "and why there is nothing of the others");
        let json = history.json(&stack(&json!({})));
        assert_eq!(
            json["services"]["web"][2],
            json!({"revision": "aaaaaaaa", "image": "web:1", "kept": true, "state": "", "since": "1970-01-02T00:00:00Z"})
        );
    }

    #[test]
    fn each_revision_has_the_word_for_what_became_of_it() {
        let service = wanted(&json!({}));
        let written = service.revision.as_str();
        let of = |past: &Past| states(&json!({}), past);
        let row = |image: &str, state| (image.to_owned(), state);
        let (two, one) = (row("web:2", ""), row("web:1", ""));
        assert_eq!(of(&past(written, None, None, &[])), [row("web:?", "rolling out"), two.clone(), one.clone()]);
        let held = past("bbbbbbbb", None, None, &[]);
        assert_eq!(of(&held), [row("web:3", "written, waits"), row("web:2", "current"), one.clone()]);
        let failed = past("bbbbbbbb", Some(written), Some("bbbbbbbb"), &[]);
        assert_eq!(of(&failed), [row("web:3", "failed"), row("web:2", "current, rolled back to"), one]);
        let asked = json!({requests::rollback("web"): format!("{}:aaaaaaaa", service.definition)});
        let by_hand = past("aaaaaaaa", None, Some("aaaaaaaa"), &[written]);
        let expected = [row("web:3", "written, rolled back from"), two, row("web:1", "current, rolled back to")];
        assert_eq!(states(&asked, &by_hand), expected);
    }

    #[test]
    fn a_service_that_keeps_none_says_what_to_set() {
        let of = |name: &str| History::of(&stack(&json!({})), &Past::default(), Some(name)).unwrap_err().concat();
        assert!(of("log").contains("spec.services[log].update: keeps no history; set history"), "{}", of("log"));
        assert!(of("seed").contains("a Job runs once"), "{}", of("seed"));
        assert!(of("wep").contains("no such service"), "{}", of("wep"));
    }
}
