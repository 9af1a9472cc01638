//! `appstack scale`: how many pods services have.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::server::{Asked, Which, ask};
use super::steering::{DryRun, from_git, refuse};
use crate::api::{AppStack, Mode, PodSecurity};
use crate::stack::check;

/// Set how many pods services have
#[derive(Args, Clone, Debug)]
pub struct ScaleArgs {
    #[command(flatten)]
    which: Which,
    /// A service and its count
    #[arg(required = true, value_name = "SERVICE=N", value_parser = service_and_count)]
    counts: Vec<(String, i32)>,
    #[command(flatten)]
    dry_run: DryRun,
}

fn service_and_count(text: &str) -> Result<(String, i32), String> {
    let parsed = text.split_once('=').and_then(|(service, count)| Some((service.to_owned(), count.parse().ok()?)));
    parsed
        .filter(|(service, count)| !service.is_empty() && (0..=1000).contains(count))
        .ok_or_else(|| "must be SERVICE=N with N from 0 to 1000, such as web=3".into())
}

/// Exit codes: 0 scaled, 1 refused, 3 no cluster.
pub fn run(args: &ScaleArgs) -> ExitCode {
    ask(&args.which, "scale", async |asked| scale(args, asked).await)
}

async fn scale(args: &ScaleArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    let refusals = refusals(&stack, &args.counts);
    if !refusals.is_empty() {
        refuse("nothing was scaled", &refusals);
        return Ok(ExitCode::from(1));
    }
    args.dry_run.patch(asked, "appstack-scale", &patch(&stack, &args.counts)).await?;
    let would = args.dry_run.word();
    for (service, count) in &args.counts {
        println!("{service}: {} -> {count}{would}", live_count(&stack, service));
    }
    if stack.spec.stopped == Some(true) {
        eprintln!("note: the stack is stopped: no pod starts before spec.stopped is taken back");
    }
    if let Some(manager) = from_git(&stack) {
        eprintln!("note: {manager} keeps this stack as Git has it, and will put the count back; change it there");
    }
    Ok(ExitCode::SUCCESS)
}

/// How many pods a service is to have now. Its workload knows best, as far as the operator has looked at the stack as it is written: a count that an
/// autoscaler left behind stands nowhere in the spec.
fn live_count(stack: &AppStack, service: &str) -> i32 {
    let seen = stack.status.as_ref().filter(|status| status.observed_generation == stack.metadata.generation);
    let live = seen.and_then(|status| status.services.get(service)?.desired);
    live.or_else(|| stack.spec.services.get(service)?.replicas).unwrap_or(1)
}

/// Every reason against these counts, each naming its field.
fn refusals(stack: &AppStack, counts: &[(String, i32)]) -> Vec<String> {
    let mut all = Vec::new();
    let mut scaled = stack.clone();
    for (name, count) in counts {
        let Some(service) = scaled.spec.services.get_mut(name) else {
            let names: Vec<&str> = stack.spec.services.keys().map(String::as_str).collect();
            all.push(format!("spec.services[{name}]: no such service; there are: {}", names.join(", ")));
            continue;
        };
        let mode = service.mode.unwrap_or_default();
        if service.autoscale.is_some() {
            all.push(format!("spec.services[{name}].autoscale: load sets the count; change its min and max"));
        } else if mode != Mode::Replicated {
            all.push(format!("spec.services[{name}].mode: a service of mode {mode:?} has no count"));
        }
        service.replicas = Some(*count);
    }
    if all.is_empty()
        && let (Err(problems), Ok(_)) = (check(&scaled, PodSecurity::Privileged), check(stack, PodSecurity::Privileged))
    {
        all.extend(problems.all.iter().map(ToString::to_string));
    }
    all
}

/// Only what changes, and only if the stack is still the one that was looked at.
fn patch(stack: &AppStack, counts: &[(String, i32)]) -> Value {
    let services: serde_json::Map<String, Value> =
        counts.iter().map(|(service, count)| (service.clone(), json!({"replicas": count}))).collect();
    json!({"metadata": {"resourceVersion": stack.metadata.resource_version}, "spec": {"services": services}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(services: &Value) -> AppStack {
        serde_json::from_value(
            json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"},
            "spec": {"volumes": {"data": {"size": "1Gi", "accessMode": "ReadWriteOncePod"}}, "services": services}}),
        )
        .unwrap()
    }

    #[test]
    fn what_cannot_have_a_count_is_refused_by_field() {
        let stack = stack(&json!({
            "web": {"image": "web:1"},
            "auto": {"image": "web:1", "resources": {"requests": {"cpu": 1}}, "autoscale": {"max": 3, "cpuPercent": 50}},
            "agent": {"image": "agent:1", "mode": "Global"},
            "db": {"image": "db:1", "mounts": {"/data": {"volume": "data"}}},
        }));
        let refusals = |name: &str, count| refusals(&stack, &[(name.to_owned(), count)]).concat();
        assert_eq!(refusals("web", 3), "");
        assert_eq!(refusals("db", 1), "");
        for (name, says) in [
            ("auto", "spec.services[auto].autoscale: "),
            ("agent", "spec.services[agent].mode: "),
            ("db", "spec.services[db].mounts[/data]: volume 'data' is ReadWriteOncePod"),
            ("wep", "spec.services[wep]: no such service; there are: agent, auto, db, web"),
        ] {
            assert!(refusals(name, 3).starts_with(says), "{name}: {}", refusals(name, 3));
        }
    }

    #[test]
    fn the_count_before_is_the_live_one() {
        let mut stack = stack(&json!({"web": {"image": "web:1"}, "api": {"image": "api:1", "replicas": 4}}));
        let counts = |stack: &AppStack| (live_count(stack, "web"), live_count(stack, "api"));
        assert_eq!(counts(&stack), (1, 4), "nobody has looked at it yet");
        stack.metadata.generation = Some(2);
        let desired = |count| json!({"state": "Ready", "desired": count, "since": "2026-01-01T00:00:01Z"});
        let status =
            |generation| json!({"observedGeneration": generation, "services": {"web": desired(6), "api": desired(4)}});
        stack.status = serde_json::from_value(status(2)).unwrap();
        assert_eq!(counts(&stack), (6, 4), "an autoscaler left six");
        stack.status = serde_json::from_value(status(1)).unwrap();
        assert_eq!(counts(&stack), (1, 4), "of another generation");
    }

    #[test]
    fn counts_are_read_strictly() {
        assert_eq!(service_and_count("web=3"), Ok(("web".into(), 3)));
        for text in ["web", "web=", "=3", "web=-1", "web=1001", "web=x"] {
            assert!(service_and_count(text).is_err(), "{text}");
        }
    }
}
