//! One watch per kind, each object reduced on arrival; and the events that tell what no status does.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::backoff::{delay, jitter};
use super::queue::Why;
use super::reconcile::Context;
use super::store::{StackKey, Written};
use crate::child::{Child, Kind, labels};
use crate::ops::needs::{self, NEIGHBOURS, STACKS};

/// A watch that went quiet behind a load balancer is noticed after this long.
const WATCH_SECONDS: u32 = 200;
/// A list or a watch of which nothing has come for so long will bring nothing more.
pub const SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 20);
/// A page of a list holds reduced children; only its text is whole.
const PAGE: u32 = 500;

/// Between looks for a kind that the cluster lacks, where its definition cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Pods that could not be made, less what Deployments say in their own status; volumes that could not be mounted; and health checks that fail.
const NEWS: [&str; 3] = [
    "reason=FailedCreate,involvedObject.kind!=ReplicaSet",
    "reason=FailedMount,involvedObject.kind=Pod",
    "reason=Unhealthy,involvedObject.kind=Pod",
];

/// What wakes a stack.
pub(super) type Wake = (StackKey, Why);

/// Starts every watch; each feeds the store and wakes the stacks that have something new. They go on, with back-off, until dropped.
pub(super) fn start(client: &Client, context: &Arc<Context>, wakes: &UnboundedSender<Wake>) -> JoinSet<()> {
    let (namespace, selector) = (context.options.watch_namespace.as_deref(), context.options.selector.as_deref());
    let mut watches = JoinSet::new();
    context.ops.needs.expect(STACKS);
    for kind in Kind::ALL {
        context.ops.needs.expect(kind.names().kind);
        let api: Api<Child> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
            None => Api::all_with(client.clone(), &kind),
        };
        let definitions = Api::all(client.clone());
        let (context, wakes) = (context.clone(), wakes.clone());
        watches.spawn(async move {
            let mut tries = 0;
            loop {
                tries = if follow(kind, &api, &context, &wakes).await { 0 } else { tries + 1 };
                // A definition may be there long before its version is served, if it ever is.
                tokio::time::sleep(delay(tries, jitter())).await;
                defined(kind, &definitions).await;
            }
        });
    }
    for fields in NEWS {
        let api: Api<v1::Event> = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        watches.spawn(hear(api, fields, context.clone(), wakes.clone()));
    }
    let stacks = || -> Api<Written> {
        match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    };
    if let Some(selector) = selector {
        // Ours may wait for those of others.
        context.store.is_one_of_several();
        context.ops.needs.expect(NEIGHBOURS);
        watches.spawn(tell(stacks(), None, NEIGHBOURS, context.clone(), wakes.clone()));
        watches.spawn(tell(stacks(), Some(selector.to_owned()), STACKS, context.clone(), wakes.clone()));
    } else {
        watches.spawn(tell(stacks(), None, STACKS, context.clone(), wakes.clone()));
    }
    watches
}

/// Feeds the store with stacks: ours, or all as the neighbours of ours.
async fn tell(
    api: Api<Written>,
    selector: Option<String>,
    name: &'static str,
    context: Arc<Context>,
    wakes: UnboundedSender<Wake>,
) {
    let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE);
    let config = match &selector {
        Some(selector) => config.labels(selector),
        None => config,
    };
    let mut events = watcher(api, config)
        .inspect_err(|error| tracing::warn!(kind = name, %error, "watch interrupted; is the CustomResourceDefinition installed?"))
        .default_backoff()
        .boxed();
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                context.ops.needs.lacks(name, needs::lack(STACKS, &error));
                continue;
            }
        };
        heard(&context, name, &event);
        let woken =
            if name == STACKS { context.store.stack_event(event) } else { context.store.neighbour_event(&event) };
        for stack in woken {
            let _ = wakes.send((stack, Why::Spec));
        }
    }
}

/// Feeds the store with the objects of a kind, for as long as the cluster knows it. True if it did.
async fn follow(kind: Kind, api: &Api<Child>, context: &Context, wakes: &UnboundedSender<Wake>) -> bool {
    let config = watcher::Config::default().labels(labels::STACK).timeout(WATCH_SECONDS).page_size(PAGE);
    let mut events = watcher(api.clone(), config).default_backoff().boxed();
    let mut known = false;
    while let Some(event) = events.next().await {
        let (woken, ends) = match event {
            Ok(event) => {
                // The beginning of a list is told before the server has answered.
                known |= !matches!(event, Event::Init);
                heard(context, kind.names().kind, &event);
                (context.store.child_event(kind, event), false)
            }
            Err(error) if kind.definition().is_some() && is_not_for_us(&error) => {
                tracing::info!(%kind, %error, "this kind cannot be had here");
                context.ops.needs.spared(kind.names().kind, "cannot be had here, and need not be");
                (context.store.kind_missing(kind), true)
            }
            Err(error) => {
                tracing::warn!(%kind, %error, "watch interrupted");
                context.ops.needs.lacks(kind.names().kind, needs::lack(kind.names().kind, &error));
                (Vec::new(), false)
            }
        };
        for stack in woken {
            let _ = wakes.send((stack, Why::Child)); // nobody listens any more: we are shutting down
        }
        if ends {
            break;
        }
    }
    known
}

/// A watch brings something. Its beginning is told before the server has answered, and a list is whole only at its end.
fn heard<T>(context: &Context, name: &'static str, event: &Event<T>) {
    if !matches!(event, Event::Init | Event::InitApply(_)) {
        context.ops.needs.heard(name);
    }
}

/// Not known here, or not to this operator: an older ClusterRole does not name the kind. Nothing else waits for it.
fn is_not_for_us(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    let (InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error)) = error else { return false };
    matches!(error, kube::Error::Api(status) if matches!(status.code, 403 | 404))
}

/// Resolves once the cluster may have learnt a kind: its definition is there, or has changed. Who may not see definitions looks again after a while.
async fn defined(kind: Kind, definitions: &Api<PartialObjectMeta<CustomResourceDefinition>>) {
    let Some(name) = kind.definition() else { return };
    let config = watcher::Config::default().fields(&format!("metadata.name={name}")).timeout(WATCH_SECONDS);
    let mut events = watcher(definitions.clone(), config).boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(_) | Event::InitApply(_)) => return,
            Ok(Event::Init | Event::InitDone | Event::Delete(_)) => {}
            Err(error) => {
                tracing::debug!(%kind, %error, "cannot watch its definition");
                return tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// Listens to events. Nothing waits for them, and who may not read them does well without: that is said once, not with every try.
async fn hear(api: Api<v1::Event>, fields: &'static str, context: Arc<Context>, wakes: UnboundedSender<Wake>) {
    // Until all children are known, most of the news would be of strangers.
    while !context.store.is_warm() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let config = watcher::Config::default().fields(fields).timeout(WATCH_SECONDS).page_size(PAGE);
    let mut events = watcher(api, config).boxed();
    let mut failures = 0;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(event) | Event::InitApply(event)) => {
                failures = 0;
                if let Some(stack) = context.store.hear(event) {
                    let _ = wakes.send((stack, Why::Child));
                }
            }
            Ok(Event::InitDone) => failures = 0,
            Ok(Event::Init | Event::Delete(_)) => {} // an event that has expired takes nothing back
            Err(error) => {
                failures += 1;
                if failures == 1 {
                    tracing::warn!(%error, fields, "cannot read events: what only they tell is missing in statuses");
                }
                tokio::time::sleep(delay(failures, jitter())).await; // kube's own starts anew with every list
            }
        }
    }
}
