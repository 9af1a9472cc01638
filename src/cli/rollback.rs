//! `appstack rollback`: a service on an earlier revision, until its definition changes.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::answer;
use super::kept::{Kept, Past, is_a_job, keeps_none};
use super::server::{Asked, Which, ask};
use super::steering::{DryRun, from_git, looked_after, no_such_service, refuse};
use crate::api::AppStack;
use crate::stack::{Service, Workload, requests};

/// Put a service back to an earlier revision, until its definition changes
#[derive(Args, Clone, Debug)]
pub struct RollbackArgs {
    #[command(flatten)]
    which: Which,
    /// Which service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The revision, as `appstack history` shows it [default: the last good one]
    #[arg(long, value_name = "REVISION")]
    to: Option<String>,
    /// Take it back: roll out what is written
    #[arg(long, conflicts_with = "to")]
    undo: bool,
    #[command(flatten)]
    dry_run: DryRun,
}

/// Exit codes: 0 asked for, 1 refused, 3 no cluster.
pub fn run(args: &RollbackArgs) -> ExitCode {
    ask(&args.which, "roll back", async |asked| rollback(args, asked).await)
}

async fn rollback(args: &RollbackArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    let past = Past::read(asked, &stack).await?;
    let step = match Back::of(&stack, &past, &args.service, args.to.as_deref(), args.undo) {
        Ok(step) => step,
        Err(refusals) => {
            refuse("nothing was rolled back", &refusals);
            return Ok(ExitCode::from(1));
        }
    };
    let annotations = json!({requests::rollback(&args.service): step.value});
    args.dry_run.patch(asked, "appstack-rollback", &json!({"metadata": {"annotations": annotations}})).await?;
    let code = answer(&format!("{}{}\n", step.says, args.dry_run.word()));
    for note in &step.notes {
        eprintln!("note: {note}");
    }
    if !args.dry_run.is_dry() {
        let follow = if step.value.is_some() { "status" } else { "wait" };
        eprintln!("next: appstack {follow} {} -n {}", asked.name, asked.namespace);
    }
    Ok(code)
}

/// What is asked of the operator.
#[derive(Debug, PartialEq)]
struct Back {
    /// The annotation; none takes it away.
    value: Option<String>,
    says: String,
    notes: Vec<String>,
}

impl Back {
    fn of(written: &AppStack, past: &Past, name: &str, to: Option<&str>, undo: bool) -> Result<Back, Vec<String>> {
        let stack = looked_after(written)?;
        let service = stack.services.get(name).ok_or_else(|| vec![no_such_service(written, name)])?;
        if matches!(service.workload, Workload::Job(_)) {
            return Err(vec![is_a_job(name)]);
        }
        let running = past.running.get(name).cloned().unwrap_or_default();
        let says =
            |to: &str, image: &str| format!("{name}: {} ({}) -> {image} ({to})", running.image, running.revision);
        if undo || (to == Some(&*service.revision) && service.put_back.is_some()) {
            return match &service.put_back {
                Some(_) => Ok(Back { value: None, says: says(&service.revision, &service.image), notes: Vec::new() }),
                None => Err(vec![format!("{name} is not rolled back by hand: there is nothing to undo")]),
            };
        }
        let kept = chosen(service, past, to).map_err(|why| vec![why])?;
        let mut notes = vec![format!(
            "it stays so until spec.services[{name}] changes, or until `appstack rollback {} {name} --undo`",
            stack.name
        )];
        notes.extend(from_git(written).map(|manager| {
            format!("{manager} keeps this stack as Git has it: it leaves this alone, and Git still says {}; revert it there", service.image)
        }));
        let behind: Vec<&str> = stack
            .services
            .values()
            .filter(|s| s.needs.get(name).is_some_and(|need| need.required))
            .map(|s| s.name.as_str())
            .collect();
        if !behind.is_empty() {
            notes.push(format!(
                "{} run on; a change of theirs fails until {name} is on what is written",
                behind.join(", ")
            ));
        }
        if stack.stopped {
            notes.push("the stack is stopped: no pod starts before spec.stopped is taken back".into());
        }
        let value = Some(format!("{}:{}", service.definition, kept.revision));
        Ok(Back { value, says: says(&kept.revision, &kept.image), notes })
    }
}

/// The revision that is named; else what runs although something else is written, what the workload would go back to by itself, or the newest that was
/// another definition.
fn chosen<'a>(service: &Service, past: &'a Past, to: Option<&str>) -> Result<&'a Kept, String> {
    let (name, all) = (&service.name, past.kept(&service.name));
    let running = past.running.get(name).cloned().unwrap_or_default();
    let listed = || all.iter().map(|kept| format!("{} ({})", kept.revision, kept.image)).collect::<Vec<_>>().join(", ");
    if all.is_empty() {
        return Err(if service.update.history == 0 {
            keeps_none(name)
        } else {
            format!("nothing is kept of {name} yet: a revision is kept once its rollout is complete")
        });
    }
    let other = || all.iter().filter(|kept| kept.definition != service.definition);
    let kept = match to {
        Some(to) if to == service.revision => return Err(format!("{to} is what is written of {name}")),
        Some(to) => all
            .iter()
            .find(|kept| kept.revision == to)
            .ok_or_else(|| format!("revision {to} of {name} is not kept; there are: {}", listed()))?,
        None if service.put_back.is_some() || running.failed.as_ref() == Some(&service.revision) => {
            let now = &running.revision;
            return Err(format!("{name} is rolled back to {now} already; --to goes to another one: {}", listed()));
        }
        None => [Some(&running.revision), running.last_good.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|revision| other().find(|kept| kept.revision == *revision))
            .or_else(|| other().next())
            .ok_or_else(|| format!("nothing is kept of {name} but what is written; there are: {}", listed()))?,
    };
    let kind = match service.workload {
        Workload::Deployment => "Deployment",
        Workload::StatefulSet => "StatefulSet",
        Workload::DaemonSet => "DaemonSet",
        Workload::Job(_) => "Job",
    };
    if kept.definition == service.definition {
        return Err(format!("{} is the definition that is written, before a restart", kept.revision));
    }
    if let Some(was) = kept.workload.as_ref().filter(|was| *was != kind) {
        return Err(format!("revision {} of {name} was a {was}, and it is a {kind} now", kept.revision));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::jiff::Timestamp;
    use serde_json::Value;

    use super::*;
    use crate::cli::kept::Running;

    fn stack(rest: &Value, annotations: &Value) -> AppStack {
        let mut spec = rest.clone();
        spec["services"] = json!({
            "web": {"image": "web:3", "update": {"history": 3}}, "log": {"image": "log:1"}, "seed": {"image": "seed:1", "mode": "Job"},
            "shop": {"image": "shop:1", "dependsOn": {"web": {}}},
        });
        serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
            "metadata": {"name": "shop", "annotations": annotations}, "spec": spec}))
        .unwrap()
    }

    fn web(annotations: &Value) -> Service {
        looked_after(&stack(&json!({}), annotations)).unwrap().services["web"].clone()
    }

    /// Two other definitions, and the one that is written, which runs.
    fn past(edit: impl FnOnce(&mut Running, &mut Vec<Kept>)) -> Past {
        let service = web(&json!({}));
        let kept = |revision: &str, image: &str, second: i64| Kept {
            revision: revision.into(),
            definition: revision.into(),
            workload: Some("Deployment".into()),
            image: image.into(),
            since: Timestamp::from_second(second).ok(),
        };
        let mut all =
            vec![kept(&service.revision, "web:3", 3), kept("bbbbbbbb", "web:2", 2), kept("aaaaaaaa", "web:1", 1)];
        let mut running = Running { revision: service.revision, image: "web:3".into(), ..Running::default() };
        edit(&mut running, &mut all);
        Past { kept: BTreeMap::from([("web".to_owned(), all)]), running: BTreeMap::from([("web".to_owned(), running)]) }
    }

    fn back(past: &Past, to: Option<&str>) -> Result<Back, Vec<String>> {
        Back::of(&stack(&json!({}), &json!({})), past, "web", to, false)
    }

    #[test]
    fn the_last_good_definition_is_put_back_unless_another_is_named() {
        let service = web(&json!({}));
        let (from, now) = (&service.definition, &service.revision);
        let plain = past(|_, _| {});
        let asked = back(&plain, None).unwrap();
        assert_eq!(asked.value, Some(format!("{from}:bbbbbbbb")));
        assert_eq!(asked.says, format!("web: web:3 ({now}) -> web:2 (bbbbbbbb)"));
        let expected = [
            "it stays so until spec.services[web] changes, or until `appstack rollback shop web --undo`",
            "shop run on; a change of theirs fails until web is on what is written",
        ];
        assert_eq!(asked.notes, expected);
        let to = |past: &Past, to| back(past, to).unwrap().value.unwrap().split_once(':').unwrap().1.to_owned();
        assert_eq!(to(&plain, Some("aaaaaaaa")), "aaaaaaaa");
        assert_eq!(to(&past(|running, _| running.last_good = Some("aaaaaaaa".into())), None), "aaaaaaaa");
        assert_eq!(
            to(&past(|running, _| running.revision = "aaaaaaaa".into()), None),
            "aaaaaaaa",
            "what runs while the written one waits"
        );
        let restarted = past(|_, all| all[1].definition.clone_from(&web(&json!({})).definition));
        assert_eq!(to(&restarted, None), "aaaaaaaa", "a restart is no other definition");
    }

    #[test]
    fn what_cannot_be_put_back_is_refused_with_the_reason() {
        let now = web(&json!({})).revision;
        let listed = format!("there are: {now} (web:3), bbbbbbbb (web:2), aaaaaaaa (web:1)");
        for (past, to, says) in [
            (past(|_, _| {}), Some("cccccccc"), format!("revision cccccccc of web is not kept; {listed}")),
            (past(|_, _| {}), Some(&*now), format!("{now} is what is written of web")),
            (
                past(|_, all| all.truncate(1)),
                None,
                format!("nothing is kept of web but what is written; there are: {now} (web:3)"),
            ),
            (past(|_, all| all.clear()), None, "nothing is kept of web yet".to_owned()),
            (
                past(|running, _| running.failed = Some(web(&json!({})).revision)),
                None,
                format!("web is rolled back to {now} already"),
            ),
            (
                past(|_, all| all[1].workload = Some("DaemonSet".into())),
                None,
                "revision bbbbbbbb of web was a DaemonSet, and it is a Deployment now".into(),
            ),
        ] {
            let refusals = back(&past, to).unwrap_err();
            assert!(refusals[0].starts_with(&says), "{refusals:?}");
        }
        let other = |name: &str, rest: &Value| {
            Back::of(&stack(rest, &json!({})), &Past::default(), name, None, false).unwrap_err().concat()
        };
        assert!(other("log", &json!({})).contains("keeps no history; set history"));
        assert!(other("seed", &json!({})).contains("a Job runs once"));
        assert!(other("wep", &json!({})).contains("no such service"));
        assert!(other("web", &json!({"suspend": true})).contains("`appstack resume shop` first"));
    }

    #[test]
    fn what_was_put_back_can_be_taken_back() {
        let service = web(&json!({}));
        let annotations = json!({requests::rollback("web"): format!("{}:bbbbbbbb", service.definition)});
        let running = past(|running, _| (running.revision, running.image) = ("bbbbbbbb".into(), "web:2".into()));
        for (to, undo) in [(None, true), (Some(&*service.revision), false)] {
            let back = Back::of(&stack(&json!({}), &annotations), &running, "web", to, undo).unwrap();
            assert_eq!(
                (back.value, back.says),
                (None, format!("web: web:2 (bbbbbbbb) -> web:3 ({})", service.revision))
            );
        }
        let again = Back::of(&stack(&json!({}), &annotations), &running, "web", None, false).unwrap_err();
        assert!(again[0].starts_with("web is rolled back to bbbbbbbb already; --to goes to another one"), "{again:?}");
        let nothing = Back::of(&stack(&json!({}), &json!({})), &running, "web", None, true).unwrap_err();
        assert_eq!(nothing, ["web is not rolled back by hand: there is nothing to undo"]);
    }
}
