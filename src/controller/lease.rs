//! One writer at a time. Leadership is a deadline on our own monotonic clock, counted from before the renewal that earned it: a leader cut
//! off from the API server stops writing before anyone else may start, without having to be told.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::ops::Ops;
use crate::ops::needs::LEASE;

/// Annotation of the lease: the one namespace that its holder looks after. Without it, that is all of them.
pub const WATCHES: &str = "appstack.dev/watch-namespace";
/// Annotation of the lease: the labels of the stacks that its holder looks after. Without it, that is all of them.
pub const SELECTOR: &str = "appstack.dev/selector";
/// Annotation of the lease: the version of its holder.
pub const VERSION: &str = "appstack.dev/version";
/// Label of the lease, by which it is found whatever its name.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "appstack");

/// Between looks of one that stands by: it takes over that much after the term at the latest, or after the lease was given back.
const STANDING_BY: Duration = Duration::from_millis(600);

/// The leases of all operators: one for each shard, where there are several.
pub fn listed() -> ListParams {
    ListParams::default().labels(&format!("{}={}", LABEL.0, LABEL.1))
}

/// A lease that may be held.
pub struct Lock {
    api: Api<Lease>,
    name: String,
    identity: String,
    term: Duration,
    watches: Option<String>,
    selector: Option<String>,
    ops: Ops,
    /// The foreign lease as last seen, and since when it has not moved.
    seen: Option<(LeaseSpec, Instant)>,
}

/// Asked before every write; each write's own deadline ends no later.
#[derive(Clone, Debug)]
pub struct Leadership(watch::Receiver<Option<Instant>>);

impl Leadership {
    /// Leads until then, without a lease.
    #[cfg(test)]
    pub(super) fn for_test(until: Option<Instant>) -> Self {
        Leadership(watch::channel(until).1)
    }

    /// Until when we lead; none if we do not.
    pub fn until(&self) -> Option<Instant> {
        self.0.borrow().filter(|until| *until > Instant::now())
    }

    /// Returns once we lead, or once nobody renews any more.
    pub async fn gained(&mut self) {
        while self.until().is_none() && self.0.changed().await.is_ok() {}
    }

    /// Returns once the deadline passes unrenewed.
    pub async fn lost(&mut self) {
        while let Some(until) = self.until() {
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

impl Lock {
    /// The lease `name` for `identity`. A holder that does not renew it for `term` has lost it.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, term: Duration) -> Self {
        let (name, identity) = (name.to_owned(), identity.to_owned());
        let api = Api::namespaced(client, namespace);
        Lock { api, name, identity, term, watches: None, selector: None, ops: Ops::default(), seen: None }
    }

    /// Says there whether it is held, and what is wrong with it.
    #[must_use]
    pub fn reporting_to(mut self, ops: Ops) -> Self {
        ops.needs.expect(LEASE);
        self.ops = ops;
        self
    }

    /// Says on the lease which stacks its holder looks after: those of one namespace, those of these labels.
    #[must_use]
    pub fn watching(mut self, namespace: Option<String>, selector: Option<String>) -> Self {
        (self.watches, self.selector) = (namespace, selector);
        self
    }

    /// Holds the lease from when it is free for as long as a [`Leadership`] lives, then gives it back.
    pub fn hold(mut self) -> (Leadership, tokio::task::JoinHandle<()>) {
        let (until, leadership) = watch::channel(None);
        let task = tokio::spawn(async move {
            let pace = self.term / 5;
            loop {
                let asked = Instant::now();
                let answer = timeout(pace, self.claim()).await;
                self.report(&answer);
                let leads = matches!(answer, Ok(Ok(true)));
                match answer {
                    Ok(Ok(true)) => {
                        until.send_replace(Some(asked + self.term * 4 / 5));
                    }
                    Ok(Ok(false)) => {
                        until.send_replace(None);
                    }
                    // Not renewed: the deadline stands.
                    Ok(Err(error)) => tracing::warn!(%error, lease = self.name, "could not renew the lease"),
                    Err(_) => {
                        tracing::warn!(lease = self.name, "the API server did not answer in time to renew the lease");
                    }
                }
                let next = if leads { pace } else { pace.min(STANDING_BY) };
                tokio::select! { () = sleep(next) => {}, () = until.closed() => break }
            }
            if let Ok(Err(error)) = timeout(pace, self.release()).await {
                tracing::warn!(%error, lease = self.name, "could not give the lease back");
            }
        });
        (Leadership(leadership), task)
    }

    fn report(&self, answer: &Result<kube::Result<bool>, tokio::time::error::Elapsed>) {
        let Ops { metrics, needs } = &self.ops;
        match answer {
            Ok(Ok(leads)) => {
                metrics.leads(*leads);
                needs.noted(LEASE, if *leads { "held: this one leads" } else { "standing by: another one leads" });
            }
            Ok(Err(kube::Error::Api(status))) => {
                needs.lacks(LEASE, format!("could not be renewed: {}", status.message));
            }
            Ok(Err(error)) => needs.lacks(LEASE, format!("could not be renewed: {error}")),
            Err(_) => needs.lacks(LEASE, "the API server did not answer in time".into()),
        }
    }

    /// Creates, renews or takes over the lease. A foreign one is dead once it has not moved for its own term by our clock.
    async fn claim(&mut self) -> kube::Result<bool> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.ours(0)),
            };
            let lease = self.mark(lease);
            return accepted(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let free = spec.holder_identity.as_deref().is_none_or(str::is_empty);
        let mine = spec.holder_identity.as_deref() == Some(&self.identity);
        if !free && !mine && !self.has_expired(&spec) {
            return Ok(false);
        }
        let terms = spec.lease_transitions.unwrap_or(0);
        let mut ours = self.ours(if mine { terms } else { terms + 1 });
        if mine {
            ours.acquire_time = spec.acquire_time;
        }
        lease.spec = Some(ours);
        let lease = self.mark(lease);
        accepted(self.api.replace(&self.name, &PostParams::default(), &lease).await) // carries the version read: one of two claimants wins
    }

    fn mark(&self, mut lease: Lease) -> Lease {
        lease.annotations_mut().insert(VERSION.into(), env!("CARGO_PKG_VERSION").into());
        for (key, value) in [(WATCHES, &self.watches), (SELECTOR, &self.selector)] {
            match value {
                Some(value) => drop(lease.annotations_mut().insert(key.into(), value.clone())),
                None => drop(lease.annotations_mut().remove(key)),
            }
        }
        lease.labels_mut().insert(LABEL.0.into(), LABEL.1.into());
        lease
    }

    fn has_expired(&mut self, spec: &LeaseSpec) -> bool {
        let term = Duration::from_secs(spec.lease_duration_seconds.unwrap_or_default().unsigned_abs().into());
        match &self.seen {
            Some((last, at)) if last == spec => at.elapsed() >= term,
            _ => {
                self.seen = Some((spec.clone(), Instant::now()));
                false
            }
        }
    }

    async fn release(&self) -> kube::Result<()> {
        let mut lease = self.api.get(&self.name).await?;
        if let Some(spec) = &mut lease.spec
            && spec.holder_identity.as_deref() == Some(&self.identity)
        {
            spec.holder_identity = None;
            self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    fn ours(&self, transitions: i32) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.term.as_secs()).ok(),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

fn accepted(answer: kube::Result<Lease>) -> kube::Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
        Err(other) => Err(other),
    }
}
