//! `appstack suspend` and `appstack resume`: the operator leaves a stack alone, and takes it up again.

use std::process::ExitCode;

use clap::Args;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::answer;
use super::server::{Asked, Which, ask};
use super::steering::{DryRun, from_git, refuse};
use crate::api::{AppStack, ServiceState};

/// Have the operator leave a stack exactly as it is
#[derive(Args, Clone, Debug)]
pub struct SuspendArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    dry_run: DryRun,
}

/// Have the operator look after a suspended stack again
#[derive(Args, Clone, Debug)]
pub struct ResumeArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    dry_run: DryRun,
}

/// Exit codes: 0 suspended, be it before, 1 refused, 3 no cluster.
pub fn suspend(args: &SuspendArgs) -> ExitCode {
    ask(&args.which, "suspend", async |asked| change(asked, &args.dry_run, true).await)
}

/// Exit codes: 0 looked after, be it before, 1 refused, 3 no cluster.
pub fn resume(args: &ResumeArgs) -> ExitCode {
    ask(&args.which, "resume", async |asked| change(asked, &args.dry_run, false).await)
}

async fn change(asked: &Asked, dry_run: &DryRun, suspend: bool) -> kube::Result<ExitCode> {
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    let name = &asked.name;
    if stack.metadata.deletion_timestamp.is_some() {
        refuse("nothing was changed", &["the stack is being deleted".into()]);
        return Ok(ExitCode::from(1));
    }
    let word = if suspend { "suspended" } else { "looked after" };
    if is_suspended(&stack) == suspend {
        return Ok(answer(&format!("{name}: is {word} already\n")));
    }
    dry_run.patch(asked, "appstack-suspend", &patch(suspend)).await?;
    let code = answer(&format!("{name}: {word}{}\n", dry_run.word()));
    for note in notes(&stack, suspend) {
        eprintln!("note: {note}");
    }
    if !dry_run.is_dry() {
        let next = if suspend { "resume" } else { "wait" };
        eprintln!("next: appstack {next} {name} -n {}", asked.namespace);
    }
    Ok(code)
}

fn is_suspended(stack: &AppStack) -> bool {
    stack.spec.suspend == Some(true)
}

/// Nothing is what a stack that is looked after says.
fn patch(suspend: bool) -> Value {
    json!({"spec": {"suspend": suspend.then_some(true)}})
}

/// What somebody may not expect.
fn notes(stack: &AppStack, suspend: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let in_state = |states: &[ServiceState]| {
        let services = stack.status.iter().flat_map(|status| &status.services);
        let names: Vec<&str> =
            services.filter(|(_, s)| states.contains(&s.state)).map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    };
    if suspend {
        let moving = in_state(&[ServiceState::Progressing]);
        if !moving.is_empty() {
            notes.push(format!("{moving}: a rollout that has begun comes to its end, as Kubernetes itself sees to it"));
        }
        let waiting = in_state(&[ServiceState::Waiting, ServiceState::Pending]);
        if !waiting.is_empty() {
            notes.push(format!("{waiting}: stays as it is until the stack is resumed"));
        }
    }
    notes.extend(from_git(stack).map(|manager| {
        let set = if suspend { "set spec.suspend" } else { "take spec.suspend away" };
        format!("{manager} keeps this stack as Git has it, and may put that back; {set} there")
    }));
    if !suspend && stack.spec.stopped == Some(true) {
        notes.push(format!("{} is stopped: no pod starts before spec.stopped is taken back", stack.name_any()));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(metadata: &Value, spec: &Value) -> AppStack {
        let mut all = json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": metadata, "spec": spec,
            "status": {"services": {"db": {"state": "Progressing"}, "web": {"state": "Waiting"}, "log": {"state": "Ready"}}}});
        all["metadata"]["name"] = json!("shop");
        all["spec"]["services"] = json!({"db": {"image": "db:1"}});
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn suspending_sets_a_field_and_resuming_takes_it_away() {
        assert_eq!(patch(true), json!({"spec": {"suspend": true}}));
        assert_eq!(patch(false), json!({"spec": {"suspend": null}}));
        assert!(is_suspended(&stack(&json!({}), &json!({"suspend": true}))));
        assert!(!is_suspended(&stack(&json!({}), &json!({"suspend": false}))));
    }

    #[test]
    fn what_is_under_way_and_who_may_put_it_back_is_said() {
        let from_git = json!({"managedFields": [{"manager": "kustomize-controller", "operation": "Apply"}]});
        let said = notes(&stack(&from_git, &json!({})), true);
        let expected = [
            "db: a rollout that has begun comes to its end, as Kubernetes itself sees to it",
            "web: stays as it is until the stack is resumed",
            "kustomize-controller keeps this stack as Git has it, and may put that back; set spec.suspend there",
        ];
        assert_eq!(said, expected);
        let said = notes(&stack(&json!({}), &json!({"suspend": true, "stopped": true})), false);
        assert_eq!(said, ["shop is stopped: no pod starts before spec.stopped is taken back"]);
    }
}
