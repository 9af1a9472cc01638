//! `appstack down`: deletes a stack, and follows it to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::time::{Instant, sleep, sleep_until};

use super::answer;
use super::family;
use super::look::columns;
use super::plugin::in_words_of_caller;
use super::run::duration;
use super::server::{Asked, Which, ask, is_refused};
use super::steering::{DryRun, from_git, refuse};
use super::up;
use crate::api::{AppStack, PodSecurity, Teardown};
use crate::child::{Kind, labels};
use crate::stack::check;

/// Delete a stack and follow it to the end; claims that it does not own stay, and are named
#[derive(Args, Clone, Debug)]
pub struct DownArgs {
    #[command(flatten)]
    which: Which,
    /// Delete the claims of its volumes too, and what is in them. Those that the stack names by claimName always stay
    #[arg(long, short)]
    volumes: bool,
    #[command(flatten)]
    dry_run: DryRun,
    /// Give up following after so long (exit code 124); the deletion goes on
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    timeout: Duration,
}

/// Exit codes: 0 gone, 1 there is none, or its claims are in use, 3 no cluster, 124 not in time.
pub fn run(args: &DownArgs) -> ExitCode {
    ask(&args.which, "delete", async |asked| down(args, asked).await)
}

async fn down(args: &DownArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let stack = asked.api.get_opt(&asked.name).await?;
    let ours = ListParams::default().labels(&format!("{}={}", labels::STACK, asked.name));
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(asked.client.clone(), &asked.namespace);
    let pods: Api<Pod> = Api::namespaced(asked.client.clone(), &asked.namespace);
    let staying: Vec<_> = claims.list(&ours).await?.items.into_iter().filter(stays).collect();
    let has_claims_to_delete = args.volumes && !staying.is_empty();
    if stack.is_none() && !has_claims_to_delete {
        eprintln!("error: no AppStack '{}' in namespace '{}'; -n names another", asked.name, asked.namespace);
        if !staying.is_empty() {
            eprintln!("{}", kept(&asked.name, &staying).trim_end());
        }
        return Ok(ExitCode::from(1));
    }
    if args.volumes {
        let used = users(&asked.name, &staying, &pods.list(&ListParams::default()).await?.items);
        if !used.is_empty() {
            refuse("nothing was deleted", &used);
            return Ok(ExitCode::from(1));
        }
    }
    if args.dry_run.is_dry() {
        return dry(args, asked, stack.as_ref(), &staying).await;
    }
    let until = Instant::now() + args.timeout;
    if let Some(stack) = &stack {
        if let Some(git) = from_git(stack) {
            eprintln!("note: {git} keeps this stack as Git has it: it comes back unless it goes there too");
        }
        if stack.metadata.deletion_timestamp.is_none() {
            let this = Preconditions { uid: stack.uid(), resource_version: None };
            gone_already(asked.api.delete(&asked.name, &DeleteParams::background().preconditions(this)).await)?;
        }
        if let Some(late) = follow(asked, stack, until).await? {
            eprintln!("error: not gone after {:?}: {late}; the deletion goes on", args.timeout);
            return Ok(ExitCode::from(124));
        }
        let code = answer(&format!("{} is gone\n", asked.name));
        if let Some(note) = up::left_by(asked).await {
            eprintln!("{note}");
        }
        if staying.is_empty() || code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    if !args.volumes {
        return Ok(answer(&in_words_of_caller(&kept(&asked.name, &staying))));
    }
    delete_claims(&claims, &staying, until).await
}

/// Whether nobody's end is its end. One that carries our labels was made for a volume of this stack.
fn stays(claim: &PersistentVolumeClaim) -> bool {
    let label = |key: &str| claim.labels().get(key).map_or("", String::as_str);
    claim.owner_references().is_empty()
        && !label(labels::VOLUME).is_empty()
        && label("app.kubernetes.io/managed-by") == "appstack"
}

/// The claims that stay, and how they would go.
fn kept(name: &str, staying: &[PersistentVolumeClaim]) -> String {
    format!("kept, with what is in them (`appstack down {name} --volumes` deletes them):\n{}", table(staying))
}

fn table(claims: &[PersistentVolumeClaim]) -> String {
    let row = |claim: &PersistentVolumeClaim| {
        let status = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
        let spec = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        let size = status.or(spec).and_then(|sizes| sizes.get("storage")).map_or("", |size| size.0.as_str());
        let volume = claim.labels().get(labels::VOLUME).cloned().unwrap_or_default();
        vec![claim.name_any(), volume, size.to_owned()]
    };
    let mut rows = vec![["CLAIM", "VOLUME", "SIZE"].map(str::to_owned).to_vec()];
    rows.extend(claims.iter().map(row));
    columns(&rows).iter().map(|line| format!("  {line}\n")).collect()
}

/// Pods of others that mount these claims: their deletion would hang until those end.
fn users(name: &str, claims: &[PersistentVolumeClaim], pods: &[Pod]) -> Vec<String> {
    let names: BTreeSet<String> = claims.iter().map(ResourceExt::name_any).collect();
    let others = pods.iter().filter(|pod| {
        let ended =
            pod.status.as_ref().and_then(|s| s.phase.as_deref()).is_some_and(|p| p == "Succeeded" || p == "Failed");
        !ended && pod.labels().get(labels::STACK).is_none_or(|stack| stack != name)
    });
    let mounts = |pod: &Pod| {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        volumes.filter_map(|v| Some(v.persistent_volume_claim.as_ref()?.claim_name.clone())).collect::<Vec<_>>()
    };
    let used = others.flat_map(|pod| mounts(pod).into_iter().map(move |claim| (claim, pod)));
    used.filter(|(claim, _)| names.contains(claim))
        .map(|(claim, pod)| match pod.labels().get(labels::STACK) {
            Some(stack) => {
                format!("claim {claim} is in use by pod {} of stack {stack}; that goes first", pod.name_any())
            }
            None => format!("claim {claim} is in use by pod {}, which is of no stack; that goes first", pod.name_any()),
        })
        .collect()
}

async fn dry(
    args: &DownArgs,
    asked: &Asked,
    stack: Option<&AppStack>,
    staying: &[PersistentVolumeClaim],
) -> kube::Result<ExitCode> {
    let mut text = String::new();
    if let Some(stack) = stack {
        args.dry_run.delete(&asked.api, &asked.name).await?;
        text.push_str(&format!("{} would be deleted{}\n", asked.name, order(stack)));
    }
    if !staying.is_empty() {
        if args.volumes {
            let claims: Api<PersistentVolumeClaim> = Api::namespaced(asked.client.clone(), &asked.namespace);
            for claim in staying {
                args.dry_run.delete(&claims, &claim.name_any()).await?;
            }
            text.push_str(&format!("claims that would be deleted, with what is in them:\n{}", table(staying)));
        } else {
            text.push_str(&kept(&asked.name, staying));
        }
    }
    let code = answer(&text);
    eprintln!("note: nothing was changed{}", args.dry_run.word());
    Ok(code)
}

/// In which order its services go.
fn order(stack: &AppStack) -> String {
    if stack.spec.teardown != Some(Teardown::Ordered) || stack.spec.suspend == Some(true) {
        return ", all of its services at once".into();
    }
    let order = check(stack, PodSecurity::Privileged).map(|stack| stack.order).unwrap_or_default();
    format!(", its services in this order: {}", order.iter().rev().cloned().collect::<Vec<_>>().join(", "))
}

fn gone_already<T>(answer: kube::Result<T>) -> kube::Result<()> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(|_| ()),
    }
}

/// What the two watches tell.
enum News {
    Stack(Option<Box<AppStack>>),
    Pods(Box<watcher::Event<Pod>>),
}

/// Until the stack and its pods are gone; a line on standard error for each service that is. What it still waits for, when the time is up.
async fn follow(asked: &Asked, stack: &AppStack, until: Instant) -> kube::Result<Option<String>> {
    let pods: Api<Pod> = Api::namespaced(asked.client.clone(), &asked.namespace);
    let config = watcher::Config::default().labels(&format!("{}={}", labels::STACK, asked.name));
    let pods = watcher(pods, config).default_backoff();
    let mut news: BoxStream<'_, Result<News, watcher::Error>> = futures::stream::select(
        asked.follow().map(|answer| {
            answer.map(|stack| News::Stack(stack.map(Box::new))).map_err(watcher::Error::InitialListFailed)
        }),
        pods.map(|event| event.map(|event| News::Pods(Box::new(event)))),
    )
    .boxed();
    let (mut left, mut listed) = (Left::default(), false);
    let uid = stack.uid();
    let mut there = Some(Box::new(stack.clone()));
    loop {
        if there.is_none() && listed && left.pods.is_empty() && !workloads_are_left(asked).await? {
            return Ok(None);
        }
        let next = tokio::select! {
            next = news.next() => next,
            // The garbage collector tells nobody of workloads that had no pods.
            () = sleep(Duration::from_millis(500)), if there.is_none() && left.pods.is_empty() => continue,
            () = sleep_until(until) => return Ok(Some(left.waits(there.as_deref()))),
        };
        match next {
            // Another stack of that name is none of ours.
            Some(Ok(News::Stack(now))) => there = now.filter(|now| now.uid() == uid),
            Some(Ok(News::Pods(event))) => {
                listed |= matches!(*event, watcher::Event::InitDone);
                for line in left.hear(*event) {
                    eprintln!("{line}");
                }
            }
            Some(Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)))
                if is_refused(&error) =>
            {
                return Err(error);
            }
            Some(Err(error)) => eprintln!("watch interrupted, and taken up again: {error}"),
            None => return Ok(Some("the watch has ended".into())),
        }
    }
}

async fn workloads_are_left(asked: &Asked) -> kube::Result<bool> {
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.starts_pods()).collect();
    Ok(!family::objects(asked, &kinds).await?.is_empty())
}

/// The pods that are left, by name with their service.
#[derive(Debug, Default)]
struct Left {
    pods: BTreeMap<String, String>,
}

impl Left {
    /// Takes in an event; a line for a service whose last pod it was.
    fn hear(&mut self, event: watcher::Event<Pod>) -> Vec<String> {
        match event {
            watcher::Event::Init => {
                self.pods.clear();
                Vec::new()
            }
            watcher::Event::InitApply(pod) | watcher::Event::Apply(pod) => {
                let label = |key: &str| pod.labels().get(key).cloned();
                let service = label(labels::SERVICE).or_else(|| label(labels::JOB));
                self.pods.insert(pod.name_any(), service.unwrap_or_default());
                Vec::new()
            }
            watcher::Event::InitDone => Vec::new(),
            watcher::Event::Delete(pod) => {
                let Some(service) = self.pods.remove(&pod.name_any()) else { return Vec::new() };
                let last = !service.is_empty() && self.pods.values().all(|other| *other != service);
                if last { vec![format!("{service} is gone")] } else { Vec::new() }
            }
        }
    }

    fn waits(&self, stack: Option<&AppStack>) -> String {
        let said = stack.and_then(|stack| stack.status.as_ref()?.waiting_on.clone());
        let finalizers = stack.map(|stack| stack.finalizers().join(", ")).unwrap_or_default();
        let pods: Vec<&str> = self.pods.keys().map(String::as_str).collect();
        match said {
            Some(said) => said,
            None if !pods.is_empty() => format!("pods are left: {}", pods.join(", ")),
            None if !finalizers.is_empty() => format!("held by {finalizers}; does an operator run?"),
            None => "workloads are left".into(),
        }
    }
}

/// Deletes them, and waits until they are gone: what still mounts them holds them.
async fn delete_claims(
    claims: &Api<PersistentVolumeClaim>,
    staying: &[PersistentVolumeClaim],
    until: Instant,
) -> kube::Result<ExitCode> {
    for claim in staying {
        let this = Preconditions { uid: claim.uid(), resource_version: None };
        gone_already(claims.delete(&claim.name_any(), &DeleteParams::default().preconditions(this)).await)?;
    }
    for claim in staying {
        while claims.get_opt(&claim.name_any()).await?.is_some_and(|now| now.uid() == claim.uid()) {
            if Instant::now() > until {
                eprintln!(
                    "error: claim {} is not gone: something still mounts it; the deletion goes on",
                    claim.name_any()
                );
                return Ok(ExitCode::from(124));
            }
            sleep(Duration::from_millis(250)).await;
        }
    }
    Ok(answer(&format!("claims deleted, with what was in them:\n{}", table(staying))))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(name: &str, labels: &Value, owner: Option<&str>) -> PersistentVolumeClaim {
        let owners: Vec<Value> =
            owner.iter().map(|uid| json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid})).collect();
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels, "ownerReferences": owners},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}}}))
        .unwrap()
    }

    fn ours() -> Value {
        json!({labels::STACK: "shop", labels::VOLUME: "data", "app.kubernetes.io/managed-by": "appstack"})
    }

    #[test]
    fn what_has_an_owner_goes_with_it_and_what_we_did_not_make_is_left_alone() {
        assert!(stays(&claim("shop-data", &ours(), None)));
        assert!(!stays(&claim("shop-data", &ours(), Some("the stack"))), "retention: Delete, or a StatefulSet's");
        assert!(!stays(&claim("mine", &json!({labels::STACK: "shop"}), None)), "somebody's own, with a label of ours");
        let text = kept("shop", &[claim("shop-data", &ours(), None)]);
        let expected = "\
kept, with what is in them (`appstack down shop --volumes` deletes them):
  CLAIM       VOLUME   SIZE
  shop-data   data     1Gi
";
        assert_eq!(text, expected);
    }

    #[test]
    fn pods_of_others_keep_a_claim_and_those_of_the_stack_do_not() {
        let pod = |name: &str, stack: Option<&str>, phase: &str| -> Pod {
            let labels = stack.map(|stack| json!({labels::STACK: stack}));
            let volumes = json!([{"name": "a", "emptyDir": {}}, {"name": "b", "persistentVolumeClaim": {"claimName": "shop-data"}}]);
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels},
                "spec": {"containers": [], "volumes": volumes}, "status": {"phase": phase}}))
            .unwrap()
        };
        let pods = [
            pod("own", Some("shop"), "Running"),
            pod("ended", None, "Succeeded"),
            pod("other", Some("reports"), "Running"),
            pod("alone", None, "Pending"),
        ];
        let expected = [
            "claim shop-data is in use by pod other of stack reports; that goes first",
            "claim shop-data is in use by pod alone, which is of no stack; that goes first",
        ];
        assert_eq!(users("shop", &[claim("shop-data", &ours(), None)], &pods), expected);
        assert!(users("shop", &[claim("shop-more", &ours(), None)], &pods).is_empty());
    }

    #[test]
    fn a_service_is_gone_with_its_last_pod() {
        let pod = |name: &str, service: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {"name": name, "labels": {labels::SERVICE: service}}})).unwrap()
        };
        let mut left = Left::default();
        for (name, service) in [("a", "web"), ("b", "web"), ("c", "db")] {
            assert!(left.hear(watcher::Event::Apply(pod(name, service))).is_empty());
        }
        assert!(left.hear(watcher::Event::Delete(pod("a", "web"))).is_empty());
        assert_eq!(left.hear(watcher::Event::Delete(pod("b", "web"))), ["web is gone"]);
        assert_eq!(left.waits(None), "pods are left: c");
        assert_eq!(left.hear(watcher::Event::Delete(pod("c", "db"))), ["db is gone"]);
    }

    #[test]
    fn a_dry_run_says_in_which_order_services_would_go() {
        let stack = |teardown: &str| -> AppStack {
            let services = json!({"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {}}}});
            serde_json::from_value(
                json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"},
                "spec": {"teardown": teardown, "services": services}}),
            )
            .unwrap()
        };
        assert_eq!(order(&stack("Ordered")), ", its services in this order: web, db");
        assert_eq!(order(&stack("Immediate")), ", all of its services at once");
    }
}
