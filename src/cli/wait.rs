//! `appstack wait`: blocks until a stack is as somebody needs it.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;

use super::look::one_line;
use super::run::duration;
use super::server::{Asked, Which, ask};
use super::status::is_ready;
use super::table::{counts, why};
use crate::api::{AppStack, ServiceState};
use crate::stack::requests::is_answered;

/// Wait until a stack, or a service of it, is ready, or the stack is gone
#[derive(Args, Clone, Debug)]
pub struct WaitArgs {
    #[command(flatten)]
    which: Which,
    /// What to wait for: `ready`, `healthy=SERVICE` or `deleted`
    #[arg(long = "for", value_name = "GOAL", default_value = "ready", value_parser = goal)]
    goal: Goal,
    /// Give up after so long (exit code 124)
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    timeout: Duration,
    /// Wait on although waiting alone does not help: somebody may put it right meanwhile
    #[arg(long)]
    keep_going: bool,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Goal {
    Ready,
    Healthy(String),
    Deleted,
}

fn goal(text: &str) -> Result<Goal, String> {
    match (text, text.strip_prefix("healthy=")) {
        ("ready", _) => Ok(Goal::Ready),
        ("deleted", _) => Ok(Goal::Deleted),
        (_, Some(service)) if !service.is_empty() => Ok(Goal::Healthy(service.to_owned())),
        _ => Err("must be ready, healthy=SERVICE or deleted".into()),
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// Reached.
    There(String),
    /// Not yet, and why.
    Waiting(String),
    /// Waiting alone does not help.
    Lost(String),
    /// There is nothing to wait for.
    Nothing(String),
}

/// Exit codes: 0 reached, 1 it will not be (the stack or the service has failed, or there is none), 3 no cluster, 124 not in time.
pub fn run(args: &WaitArgs) -> ExitCode {
    ask(&args.which, "wait for", async |asked| wait(args, asked).await)
}

async fn wait(args: &WaitArgs, asked: &Asked) -> kube::Result<ExitCode> {
    until(asked, &args.goal, args.timeout, args.keep_going, |_| {}).await
}

/// Until all of the stack is ready at its newest spec and requests. Says what has come of it, and returns the exit code of `appstack wait`.
pub(super) async fn until_ready(asked: &Asked, timeout: Duration) -> kube::Result<ExitCode> {
    until(asked, &Goal::Ready, timeout, false, |_| {}).await
}

/// The same, which shows each state of the stack on the way.
pub(super) async fn until_ready_seen(
    asked: &Asked,
    timeout: Duration,
    see: impl FnMut(&AppStack),
) -> kube::Result<ExitCode> {
    until(asked, &Goal::Ready, timeout, false, see).await
}

async fn until(
    asked: &Asked,
    goal: &Goal,
    timeout: Duration,
    keep_going: bool,
    mut see: impl FnMut(&AppStack),
) -> kube::Result<ExitCode> {
    let mut stacks = asked.follow();
    let mut waiting_for = "the API server has not answered yet".to_owned();
    let until = tokio::time::Instant::now() + timeout;
    loop {
        let next = tokio::select! {
            next = stacks.next() => next,
            () = tokio::time::sleep_until(until) => {
                eprintln!("error: not {} after {:?}: {waiting_for}", words(goal), timeout);
                return Ok(ExitCode::from(124));
            }
        };
        let Some(next) = next else { return Ok(ExitCode::from(3)) };
        let next = next?;
        next.iter().for_each(&mut see);
        match way(goal, &asked.name, next.as_ref()) {
            Way::There(said) => {
                println!("{said}");
                return Ok(ExitCode::SUCCESS);
            }
            Way::Lost(why) if keep_going => waiting_for = why,
            Way::Lost(why) => {
                eprintln!("error: {why}; --keep-going waits on");
                return Ok(ExitCode::from(1));
            }
            Way::Nothing(why) => {
                eprintln!("error: {why} in namespace '{}'", asked.namespace);
                return Ok(ExitCode::from(1));
            }
            Way::Waiting(why) => waiting_for = why,
        }
    }
}

fn words(goal: &Goal) -> String {
    match goal {
        Goal::Ready => "ready".into(),
        Goal::Healthy(service) => format!("healthy ({service})"),
        Goal::Deleted => "deleted".into(),
    }
}

fn way(goal: &Goal, name: &str, stack: Option<&AppStack>) -> Way {
    let Some(stack) = stack else {
        return match goal {
            Goal::Deleted => Way::There(format!("{name} is gone")),
            _ => Way::Nothing(format!("there is no AppStack '{name}'")),
        };
    };
    if *goal == Goal::Deleted {
        let finalizers = stack.metadata.finalizers.clone().unwrap_or_default();
        return Way::Waiting(match &stack.metadata.deletion_timestamp {
            None => "nobody has asked for its deletion".into(),
            Some(_) if finalizers.is_empty() => "it is on its way".into(),
            Some(_) => format!("held by {}", finalizers.join(", ")),
        });
    }
    let status = stack.status.clone().unwrap_or_default();
    if !is_answered(stack) {
        return Way::Waiting("the operator has not looked at the newest spec or request yet".into());
    }
    let stalled = status.conditions.iter().find(|c| c.type_ == "Stalled" && c.status == "True");
    let Goal::Healthy(service) = goal else {
        let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
        let reason = ready.map_or_else(String::new, |c| one_line(&format!("{}: {}", c.reason, c.message)));
        return match stalled {
            _ if is_ready(stack) => Way::There(format!("{name} is ready: {}", status.summary.unwrap_or_default())),
            Some(stalled) => Way::Lost(one_line(&format!("{}: {}", stalled.reason, stalled.message))),
            None => Way::Waiting(status.waiting_on.as_deref().map_or(reason, one_line)),
        };
    };
    let Some(of_service) = status.services.get(service) else {
        return match stalled {
            Some(stalled) => Way::Lost(one_line(&format!("{}: {}", stalled.reason, stalled.message))),
            None => Way::Nothing(format!("stack '{name}' has no service '{service}' that runs")),
        };
    };
    let state = of_service.state.as_str();
    match (of_service.state, &of_service.waiting_on) {
        (ServiceState::Ready | ServiceState::Completed, _) => Way::There(format!("{service} is {state}")),
        (ServiceState::Failed, _) => Way::Lost(format!("{service}: {}", why(of_service))),
        (_, Some(waiting)) => Way::Waiting(format!("{service} waits for {}", one_line(waiting))),
        _ => {
            Way::Waiting(format!("{service}: {state} {} {}", counts(of_service), why(of_service)).trim_end().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn stack(observed: i64, conditions: &Value, services: &Value) -> AppStack {
        serde_json::from_value(json!({
            "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop", "generation": 2},
            "spec": {"services": {"db": {"image": "db:1"}}},
            "status": {"observedGeneration": observed, "summary": "1/2", "waitingOn": "web waits for db", "conditions": conditions, "services": services}}))
        .unwrap()
    }

    fn condition(r#type: &str, status: &str) -> Value {
        json!({"type": r#type, "status": status, "reason": "Why", "message": "so", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn a_goal_is_one_of_three() {
        assert_eq!(goal("healthy=db"), Ok(Goal::Healthy("db".into())));
        assert_eq!((goal("ready"), goal("deleted")), (Ok(Goal::Ready), Ok(Goal::Deleted)));
        for wrong in ["", "healthy", "healthy=", "Ready"] {
            assert!(goal(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_goal_is_reached_missed_or_waited_for_by_what_the_status_says() {
        let none = json!({});
        let ready = json!([condition("Ready", "True")]);
        let not = json!([condition("Ready", "False"), condition("Reconciling", "True")]);
        let stalled = json!([condition("Ready", "False"), condition("Stalled", "True")]);
        let healthy = |name: &str| Goal::Healthy(name.into());
        let services = json!({"db": {"state": "Failed", "reason": "JobFailed", "message": "no\nluck"}, "web": {"state": "Waiting", "waitingOn": "db (Healthy)"},
            "api": {"state": "Progressing", "ready": 0, "desired": 1}, "seed": {"state": "Completed"}});
        let behind = "the operator has not looked at the newest spec or request yet";
        for (goal, stack, expected) in [
            (Goal::Ready, stack(2, &ready, &none), Way::There("shop is ready: 1/2".into())),
            (Goal::Ready, stack(1, &ready, &none), Way::Waiting(behind.into())),
            (Goal::Ready, stack(1, &stalled, &none), Way::Waiting(behind.into())),
            (Goal::Ready, stack(2, &not, &none), Way::Waiting("web waits for db".into())),
            (Goal::Ready, stack(2, &stalled, &none), Way::Lost("Why: so".into())),
            (healthy("db"), stack(2, &not, &services), Way::Lost("db: JobFailed: no luck".into())),
            (healthy("web"), stack(2, &stalled, &services), Way::Waiting("web waits for db (Healthy)".into())),
            (healthy("api"), stack(2, &not, &services), Way::Waiting("api: Progressing 0/1".into())),
            (healthy("seed"), stack(2, &stalled, &services), Way::There("seed is Completed".into())),
            (
                healthy("none"),
                stack(2, &not, &services),
                Way::Nothing("stack 'shop' has no service 'none' that runs".into()),
            ),
            (Goal::Deleted, stack(2, &ready, &none), Way::Waiting("nobody has asked for its deletion".into())),
        ] {
            assert_eq!(way(&goal, "shop", Some(&stack)), expected, "{goal:?}");
        }
        assert_eq!(way(&Goal::Deleted, "shop", None), Way::There("shop is gone".into()));
        assert_eq!(way(&Goal::Ready, "shop", None), Way::Nothing("there is no AppStack 'shop'".into()));
    }
}
