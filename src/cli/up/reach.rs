//! Whether the cluster knows stacks, and an operator looks after those of a namespace.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, sleep};

use crate::api::{API_VERSION, AppStack};
use crate::controller::LEASE;
use crate::controller::lease::{self, WATCHES};

/// The one command that makes a cluster know stacks and looks after them.
pub(in crate::cli) const INSTALL: &str = "appstack crd | kubectl apply --server-side -f - && appstack run";

/// What is known of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Reach {
    /// One answers for the namespace.
    Answers,
    /// The caller may not see.
    Untold,
    /// None, for this reason.
    None(String),
}

/// Looks for the definition, then for a lease that somebody renews: one in another namespace counts too, if its holder looks after this one.
pub(in crate::cli) async fn operator(client: &Client, namespace: &str) -> kube::Result<Reach> {
    let unknown = || Reach::None("this cluster does not know AppStacks".to_owned());
    match client.list_api_group_resources(API_VERSION).await {
        Ok(known) if known.resources.iter().any(|resource| resource.name == "appstacks") => {}
        Ok(_) => return Ok(unknown()),
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(unknown()),
        Err(kube::Error::Api(status)) if status.code == 403 => {}
        Err(error) => return Err(error),
    }
    let nobody = || Reach::None(format!("no operator looks after namespace '{namespace}'"));
    let Some(mut held) = held(client, namespace).await? else { return Ok(Reach::Untold) };
    let now = Timestamp::now();
    if held.iter().any(|lease| lease.spec.as_ref().is_some_and(|spec| is_fresh(spec, now))) {
        return Ok(Reach::Answers);
    }
    // Its clock may be another than ours: who lives renews five times in a term.
    let until = Instant::now() + held.iter().map(patience).max().unwrap_or_default();
    while !held.is_empty() && Instant::now() < until {
        sleep(Duration::from_millis(500)).await;
        let again = self::held(client, namespace).await?.unwrap_or_default();
        if again.iter().any(|lease| held.iter().all(|before| before.resource_version() != lease.resource_version())) {
            return Ok(Reach::Answers);
        }
        held.retain(|before| again.iter().any(|lease| lease.resource_version() == before.resource_version()));
    }
    Ok(nobody())
}

/// Volumes of a stack that nothing on this cluster will ever fill with storage: they name no class, and no class is the default. None where the caller may
/// not see that.
pub(super) async fn without_class(client: &Client, stack: &AppStack) -> Vec<String> {
    let needs = stack
        .spec
        .volumes
        .iter()
        .filter(|(_, volume)| volume.storage_class_name.is_none() && volume.claim_name.is_none());
    let names: Vec<String> = needs.map(|(name, _)| name.clone()).collect();
    if names.is_empty() {
        return names;
    }
    let classes = Api::<StorageClass>::all(client.clone()).list_metadata(&ListParams::default()).await;
    let is_default = |class: &PartialObjectMeta<StorageClass>| {
        class.annotations().get("storageclass.kubernetes.io/is-default-class").is_some_and(|is| is == "true")
    };
    match classes {
        Ok(classes) if !classes.items.iter().any(is_default) => names,
        _ => Vec::new(),
    }
}

/// The leases that somebody holds who looks after this namespace; none if the caller may not see them.
async fn held(client: &Client, namespace: &str) -> kube::Result<Option<Vec<Lease>>> {
    let here = Api::<Lease>::namespaced(client.clone(), namespace);
    let leases = match Api::<Lease>::all(client.clone()).list(&lease::listed()).await {
        Ok(list) => list.items,
        // Who may see one is not always who may list.
        Err(kube::Error::Api(status)) if status.code == 403 => match here.get_opt(LEASE).await {
            Ok(Some(lease)) => vec![lease],
            Ok(None) => return Ok(None),
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(None),
            Err(error) => return Err(error),
        },
        Err(error) => return Err(error),
    };
    let looks_here = |lease: &Lease| lease.annotations().get(WATCHES).is_none_or(|watched| watched == namespace);
    Ok(Some(leases.into_iter().filter(|lease| looks_here(lease) && is_held(lease)).collect()))
}

fn is_held(lease: &Lease) -> bool {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
    holder.is_some_and(|holder| !holder.is_empty())
}

fn term(spec: &LeaseSpec) -> i64 {
    spec.lease_duration_seconds.unwrap_or_default().clamp(0, 600).into()
}

fn is_fresh(spec: &LeaseSpec, now: Timestamp) -> bool {
    let age = spec.renew_time.as_ref().map(|renewed| now.as_second() - renewed.0.as_second());
    age.is_some_and(|age| age.abs() <= term(spec))
}

/// Two renewals, and a bit.
fn patience(lease: &Lease) -> Duration {
    let term = lease.spec.as_ref().map_or(0, term).unsigned_abs();
    Duration::from_secs(term * 2 / 5 + 1)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    use super::*;

    #[test]
    fn a_lease_is_fresh_for_its_term_whichever_clock_is_ahead() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let spec =
            LeaseSpec { lease_duration_seconds: Some(15), renew_time: Some(MicroTime(at(0))), ..LeaseSpec::default() };
        for (second, fresh) in [(0, true), (15, true), (16, false), (-15, true), (-16, false)] {
            assert_eq!(is_fresh(&spec, at(second)), fresh, "{second}");
        }
        assert!(!is_fresh(&LeaseSpec::default(), at(0)), "never renewed");
    }
}
