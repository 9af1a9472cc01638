//! `Ready`, `Reconciling` and `Stalled`, as kstatus reads them.
//!
//! <https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md>

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::status::bounded;

/// How the stack stands as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As the spec wants it.
    Ready,
    /// On its way.
    Reconciling,
    /// Waiting alone will not help.
    Stalled,
    /// Neither: left alone on request.
    Resting,
}

/// The conditions for a verdict. `Reconciling` and `Stalled` are there only while true, and never both; a transition time moves only with
/// its status.
pub(super) fn conditions(
    verdict: Verdict,
    reason: &str,
    message: &str,
    generation: i64,
    before: &[Condition],
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |r#type: &str, is: bool| {
        condition((r#type, if is { "True" } else { "False" }), reason, message, generation, before, now)
    };
    let mut all = vec![condition("Ready", verdict == Verdict::Ready)];
    match verdict {
        Verdict::Reconciling => all.push(condition("Reconciling", true)),
        Verdict::Stalled => all.push(condition("Stalled", true)),
        Verdict::Ready | Verdict::Resting => {}
    }
    all
}

/// A condition of this type and status, in it since it last changed.
pub(super) fn condition(
    (r#type, status): (&str, &str),
    reason: &str,
    message: &str,
    generation: i64,
    before: &[Condition],
    now: Timestamp,
) -> Condition {
    let since = before
        .iter()
        .find(|c| c.type_ == r#type && c.status == status)
        .map_or(Time(now), |c| c.last_transition_time.clone());
    Condition {
        type_: r#type.into(),
        status: status.into(),
        reason: reason.into(),
        message: bounded(message),
        observed_generation: Some(generation),
        last_transition_time: since,
    }
}
