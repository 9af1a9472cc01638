//! The operator's main loop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::backoff::jitter;
use super::lease::Lock;
use super::publish::Publisher;
use super::queue::{Outcome, Queue};
use super::reconcile::{Context, reconcile};
use super::standings::Standings;
use super::store::{StackKey, Store};
use super::watch;
use super::writer::Writer;
use crate::api::PodSecurity;
use crate::child::digest::Digest;
use crate::ops::Ops;
use crate::ops::metrics::Pass;
use crate::ops::needs::SilenceOf;
use crate::render::Settings;
use crate::stack::ApplyAs;

/// Stacks looked at at once.
const WINDOW: usize = 8;
/// How long running passes may take to end when we are told to stop.
const DRAIN: Duration = Duration::from_secs(4);

/// How the operator runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only this namespace; none: all.
    pub watch_namespace: Option<String>,
    /// Only stacks whose labels match; none: all. Others are looked after by other operators, each of whom has a lease of its own.
    pub selector: Option<String>,
    /// Where the lease is kept.
    pub lease_namespace: String,
    /// Who we are among replicas.
    pub identity: String,
    /// A holder that does not renew the lease for so long has lost it.
    pub lease_term: Duration,
    /// Until a name that was taken is tried again: foreign objects give no event.
    pub conflict_retry: Duration,
    /// Until a write that the server refused is tried again unchanged: quotas and rights give no event.
    pub refusal_retry: Duration,
    /// The highest Pod Security level a stack may ask for.
    pub max_pod_security: PodSecurity,
    /// Whether stacks may say in whose name they are written.
    pub apply_as: ApplyAs,
    /// Who the operator is to the API server; none where it may not ask.
    pub own_user: Option<String>,
    /// What flags say about rendering.
    pub rendering: Settings,
}

/// Why the operator ended although nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another one leads now, or the API server has been away for longer than the lease lasts. Started again, we stand by.
    #[error("the lease '{0}' was lost; exiting so that only one operator writes")]
    LeaseLost(String),
}

/// Name of the lease.
pub const LEASE: &str = "appstack-operator";

/// Name of the lease of those who look after the stacks that match a selector.
pub fn lease_name(selector: Option<&str>) -> String {
    selector.map_or_else(|| LEASE.to_owned(), |selector| format!("{LEASE}-{}", Digest::of(&json!(selector)).hex8()))
}

/// Runs until `stop` resolves or the lease is lost. Running passes are given a few seconds to end, and the lease is given back.
pub async fn run(client: Client, options: Options, ops: Ops, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let name = lease_name(options.selector.as_deref());
    let lock = Lock::new(client.clone(), &options.lease_namespace, &name, &options.identity, options.lease_term)
        .watching(options.watch_namespace.clone(), options.selector.clone())
        .reporting_to(ops.clone());
    let (mut leadership, lease) = lock.hold();
    tokio::pin!(stop);
    let (wakes, mut woken) = mpsc::unbounded_channel();
    let (store, writer) = (Arc::new(Store::default()), Writer::new(client.clone(), leadership.clone()));
    let reporter = Reporter { controller: "appstack".into(), instance: Some(options.identity.clone()) };
    let context = Arc::new(Context {
        publisher: Publisher::new(store.clone(), writer.clone(), Recorder::new(client.clone(), reporter)),
        store,
        writer,
        memories: Mutex::new(HashMap::new()),
        ops: ops.clone(),
        options,
    });
    ops.metrics.collect(Box::new(SilenceOf(ops.needs.clone())));
    ops.metrics.collect(Box::new(Standings(context.store.clone())));
    // A stand-by watches too, so that it can take over at once.
    let watches = watch::start(&client, &context, &wakes);
    tracing::info!(identity = context.options.identity, "waiting for the lease");
    tokio::select! {
        () = leadership.gained() => tracing::info!("leading"),
        () = &mut stop => return Ok(()),
    }

    let mut queue: Queue<StackKey> = Queue::new(WINDOW);
    let mut passes: JoinSet<(StackKey, Outcome)> = JoinSet::new();
    let ended = loop {
        while context.store.is_warm()
            && let Some(key) = queue.start(Instant::now())
        {
            let context = context.clone();
            ops.metrics.turn(queue.waited(&key));
            passes.spawn(async move {
                let begin = Instant::now();
                // A panic must end as a failed pass: its stack would never be looked at again.
                let pass = std::panic::AssertUnwindSafe(reconcile(&context, &key)).catch_unwind();
                let outcome = pass.await;
                let how = match &outcome {
                    Ok(Outcome::Settled) => Pass::Settled,
                    Ok(Outcome::At(_)) => Pass::Later,
                    Ok(Outcome::Failed) => Pass::Failed,
                    Err(_) => Pass::Panicked,
                };
                context.ops.metrics.pass(how, begin.elapsed());
                let outcome = outcome.unwrap_or_else(|_| {
                    tracing::error!(stack = %key, "a pass ended in a panic; this is a bug of the operator");
                    Outcome::Failed
                });
                (key, outcome)
            });
        }
        ops.metrics.queued(queue.waiting());
        let timer = queue.next_timer();
        tokio::select! {
            Some((key, why)) = woken.recv() => queue.wake(key, why, Instant::now()),
            Some(Ok((key, outcome))) = passes.join_next() => queue.finish(key, outcome, jitter(), Instant::now()),
            () = sleep_until(timer) => {}
            () = leadership.lost() => break Err(RunError::LeaseLost(name)),
            () = &mut stop => break Ok(()),
        }
    };
    if ended.is_ok() {
        tracing::info!("stopping");
        let rest = async {
            while passes.join_next().await.is_some() {}
            context.publisher.hasten(); // what the last passes had to say as well
            context.publisher.settled().await;
        };
        let drained = tokio::time::timeout(DRAIN, rest).await;
        if drained.is_err() {
            tracing::warn!("passes were still running after {DRAIN:?}; the next leader goes on with them");
        }
    }
    drop((watches, passes, context, leadership));
    let _ = tokio::time::timeout(Duration::from_secs(1), lease).await; // gives it back; at worst the term runs out
    ended
}

async fn sleep_until(timer: Option<Instant>) {
    match timer {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
