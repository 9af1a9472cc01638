//! `appstack restart`: the same definition once more, in the order of the dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use k8s_openapi::jiff::{Timestamp, Unit};
use serde_json::json;

use super::look::columns;
use super::run::duration;
use super::server::{Asked, Which, ask};
use super::steering::{DryRun, looked_after, no_such_service, refuse};
use super::{answer, wait};
use crate::api::{AppStack, ServiceState};
use crate::stack::{Stack, Workload, requests};

/// Restart services, in the order of their dependencies; this is how a changed Secret is taken up
#[derive(Args, Clone, Debug)]
pub struct RestartArgs {
    #[command(flatten)]
    which: Which,
    /// Which services [default: all but Jobs, which run again only when they are named]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    dry_run: DryRun,
    /// Wait until the stack is ready again
    #[arg(long)]
    wait: bool,
    /// With --wait: give up after so long (exit code 124)
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    timeout: Duration,
}

/// Exit codes: 0 asked for (with --wait: ready again), 1 refused, or it will not be ready, 3 no cluster, 124 not in time.
pub fn run(args: &RestartArgs) -> ExitCode {
    ask(&args.which, "restart", async |asked| restart(args, asked).await)
}

async fn restart(args: &RestartArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    let round = match Round::of(&stack, &args.services, &stamp()) {
        Ok(round) => round,
        Err(refusals) => {
            refuse("nothing was restarted", &refusals);
            return Ok(ExitCode::from(1));
        }
    };
    let patch = json!({"metadata": {"annotations": round.annotations}});
    args.dry_run.patch(asked, "appstack-restart", &patch).await?;
    let code = answer(&round.table);
    for note in &round.notes {
        eprintln!("note: {note}");
    }
    if args.dry_run.is_dry() {
        eprintln!("note: nothing was changed{}", args.dry_run.word());
        return Ok(code);
    }
    if args.wait {
        return wait::until_ready(asked, args.timeout).await;
    }
    eprintln!("next: appstack wait {} -n {}", asked.name, asked.namespace);
    Ok(code)
}

/// What tells this restart from others.
pub(super) fn stamp() -> String {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now).to_string()
}

/// What one restart comes to.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) table: String,
    notes: Vec<String>,
}

impl Round {
    /// Restarts what is named, and all but Jobs where nothing is; or every reason against it. What follows is what the operator makes of the same annotations.
    pub(super) fn of(stack: &AppStack, named: &[String], stamp: &str) -> Result<Round, Vec<String>> {
        let before = looked_after(stack)?;
        if before.stopped {
            return Err(vec![
                "spec.stopped: nothing of this stack runs; what it starts when that is taken back is new anyway".into(),
            ]);
        }
        let unknown: Vec<String> = named
            .iter()
            .filter(|name| !before.services.contains_key(*name))
            .map(|name| no_such_service(stack, name))
            .collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let put_back = |name: &str| before.services.get(name).is_some_and(|service| service.put_back.is_some());
        let refused: Vec<String> =
            named.iter().filter(|name| put_back(name)).map(|name| is_put_back(stack, name)).collect();
        if !refused.is_empty() {
            return Err(refused);
        }
        let is_asked = |name: &str| {
            if named.is_empty() { !is_job(&before, name) && !put_back(name) } else { named.iter().any(|n| n == name) }
        };
        let annotations: BTreeMap<String, String> = before
            .order
            .iter()
            .filter(|name| is_asked(name))
            .map(|name| (requests::restart(name), stamp.to_owned()))
            .collect();
        if annotations.is_empty() {
            let all = before.order.join(", ");
            return Err(vec![format!(
                "every service is a Job, which runs again only when it is named, or was rolled back by hand: {all}"
            )]);
        }
        let mut written = stack.clone();
        written.metadata.annotations.get_or_insert_default().extend(annotations.clone());
        let after = looked_after(&written)?;
        let moves: Vec<&str> = after
            .order
            .iter()
            .filter(|name| revision(&before, name) != revision(&after, name) && !put_back(name))
            .map(String::as_str)
            .collect();
        let table = table(stack, &after, &moves, is_asked);
        let notes = notes(stack, &after, &moves);
        Ok(Round { annotations, table, notes })
    }
}

fn is_put_back(stack: &AppStack, service: &str) -> String {
    let name = stack.metadata.name.as_deref().unwrap_or_default();
    format!("{service} was rolled back by hand, and stays as it is; `appstack rollback {name} {service} --undo` first")
}

fn revision<'a>(stack: &'a Stack, service: &str) -> Option<&'a str> {
    stack.services.get(service).map(|service| service.revision.as_str())
}

fn is_job(stack: &Stack, service: &str) -> bool {
    stack.services.get(service).is_some_and(|service| matches!(service.workload, Workload::Job(_)))
}

/// What restarts, in the order in which it does.
fn table(written: &AppStack, stack: &Stack, moves: &[&str], is_asked: impl Fn(&str) -> bool) -> String {
    let mut rows = vec![["SERVICE", "WHAT", "AFTER"].map(str::to_owned).to_vec()];
    let mut nearest: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in &stack.order {
        let Some(service) = stack.services.get(name) else { continue };
        let mut after = BTreeSet::new();
        for on in service.needs.keys() {
            if moves.contains(&on.as_str()) {
                after.insert(on.as_str());
            } else {
                after.extend(nearest.get(on.as_str()).into_iter().flatten());
            }
        }
        if moves.contains(&name.as_str()) {
            let verb = if is_job(stack, name) { "runs again" } else { "restarts" };
            let edges = written.spec.services.get(name).into_iter().flat_map(|service| &service.depends_on);
            let followed = edges.filter(|(on, edge)| edge.restart == Some(true) && moves.contains(&on.as_str()));
            let followed: Vec<&str> = followed.map(|(on, _)| on.as_str()).collect();
            let what = if is_asked(name) { verb.to_owned() } else { format!("{verb} with {}", followed.join(", ")) };
            rows.push(vec![name.clone(), what, after.iter().copied().collect::<Vec<_>>().join(", ")]);
        }
        nearest.insert(name, after);
    }
    columns(&rows).iter().map(|line| format!("{line}\n")).collect()
}

/// What somebody may not expect.
fn notes(written: &AppStack, stack: &Stack, moves: &[&str]) -> Vec<String> {
    let mut notes = Vec::new();
    let left_out: Vec<&str> =
        stack.order.iter().map(String::as_str).filter(|name| is_job(stack, name) && !moves.contains(name)).collect();
    if !left_out.is_empty() {
        notes.push(format!("left as they are: {}; a Job runs again only when it is named", left_out.join(", ")));
    }
    let put_back = stack.services.values().filter(|service| service.put_back.is_some());
    notes.extend(put_back.map(|service| is_put_back(written, &service.name)));
    let status = written.status.clone().unwrap_or_default();
    for (name, service) in status.services.iter().filter(|(name, _)| stack.services.contains_key(*name)) {
        let state = service.state.as_str();
        match service.state {
            ServiceState::RolledBack if moves.contains(&name.as_str()) => {
                notes.push(format!("{name} is {state}: what had failed of it is tried again"));
            }
            ServiceState::Failed | ServiceState::RolledBack if !moves.contains(&name.as_str()) => {
                notes.push(format!("{name} is {state}: what depends on it restarts once that is put right"));
            }
            _ => {}
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn shop() -> Value {
        json!({
            "db": {"image": "db:1"},
            "migrate": {"image": "migrate:1", "mode": "Job", "dependsOn": {"db": {}}},
            "api": {"image": "api:1", "dependsOn": {"migrate": {}}},
            "cache": {"image": "cache:1", "dependsOn": {"db": {"restart": true}}},
            "web": {"image": "web:1", "dependsOn": {"api": {}, "cache": {}}},
            "debug": {"image": "debug:1", "profiles": ["dev"]},
        })
    }

    fn stack(rest: &Value) -> AppStack {
        let mut spec = rest.clone();
        if spec["services"].is_null() {
            spec["services"] = shop();
        }
        serde_json::from_value(
            json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"}, "spec": spec}),
        )
        .unwrap()
    }

    fn of(rest: &Value, named: &[&str]) -> Result<Round, Vec<String>> {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        Round::of(&stack(rest), &named, "2026-01-01T00:00:00Z")
    }

    #[test]
    fn everything_restarts_in_order_and_jobs_are_left_out_by_name() {
        let round = of(&json!({}), &[]).unwrap();
        let expected = "\
SERVICE   WHAT       AFTER
db        restarts
cache     restarts   db
api       restarts   db
web       restarts   api, cache
";
        assert_eq!(round.table, expected);
        assert_eq!(round.notes, ["left as they are: migrate; a Job runs again only when it is named"]);
        let stamped: Vec<&String> = round.annotations.keys().collect();
        assert_eq!(stamped, ["api", "cache", "db", "web"].map(requests::restart).iter().collect::<Vec<_>>());
        assert!(round.annotations.values().all(|stamp| stamp == "2026-01-01T00:00:00Z"));
    }

    #[test]
    fn a_named_service_takes_along_who_restarts_with_it() {
        let expected = "\
SERVICE   WHAT               AFTER
db        restarts
cache     restarts with db   db
migrate   runs again         db
";
        let round = of(&json!({}), &["migrate", "db"]).unwrap();
        assert_eq!(round.table, expected);
        assert_eq!(round.annotations.len(), 2, "who follows has no stamp of its own");
        assert!(round.notes.is_empty());
    }

    #[test]
    fn what_cannot_restart_is_refused_with_the_reason() {
        let jobs = json!({"services": {"one": {"image": "a:1", "mode": "Job"}}});
        let broken = json!({"services": {"web": {"image": "a:1", "dependsOn": {"gone": {}}}}});
        for (rest, named, says) in [
            (
                json!({}),
                &["wep", "api"][..],
                "spec.services[wep]: no such service; there are: api, cache, db, debug, migrate, web",
            ),
            (json!({}), &["debug"], "spec.services[debug]: is off: it runs only with profile dev in spec.profiles"),
            (json!({"stopped": true}), &[], "spec.stopped: nothing of this stack runs"),
            (
                json!({"suspend": true}),
                &[],
                "spec.suspend: the operator leaves this stack alone; `appstack resume shop` first",
            ),
            (
                jobs,
                &[],
                "every service is a Job, which runs again only when it is named, or was rolled back by hand: one",
            ),
            (broken, &[], "the operator changes nothing of a stack that cannot be run as it is written"),
        ] {
            let refusals = of(&rest, named).unwrap_err();
            assert!(refusals[0].starts_with(says), "{refusals:?}");
        }
        assert!(of(&json!({"profiles": ["dev"]}), &["debug"]).is_ok());
    }

    #[test]
    fn what_was_rolled_back_by_hand_stays_as_it_is() {
        let mut stack = stack(&json!({}));
        let definition = looked_after(&stack).unwrap().services["cache"].definition.clone();
        stack.metadata.annotations = Some([(requests::rollback("cache"), format!("{definition}:0123abcd"))].into());
        let says = "cache was rolled back by hand, and stays as it is; `appstack rollback shop cache --undo` first";
        assert_eq!(Round::of(&stack, &["cache".to_owned()], "1").unwrap_err(), [says]);
        let all = Round::of(&stack, &[], "1").unwrap();
        assert!(!all.table.contains("\ncache") && all.notes.contains(&says.to_owned()), "{all:?}");
    }

    #[test]
    fn what_stands_in_the_way_is_said() {
        let mut stack = stack(&json!({}));
        let services = json!({"db": {"state": "Failed"}, "web": {"state": "RolledBack"}, "gone": {"state": "Failed"}});
        stack.status = serde_json::from_value(json!({"services": services})).unwrap();
        let round = Round::of(&stack, &["web".to_owned()], "1").unwrap();
        let expected = [
            "left as they are: migrate; a Job runs again only when it is named",
            "db is Failed: what depends on it restarts once that is put right",
            "web is RolledBack: what had failed of it is tried again",
        ];
        assert_eq!(round.notes, expected);
    }
}
