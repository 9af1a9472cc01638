//! Whether the walls hold: a cluster takes NetworkPolicies whether or not anything enforces them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;

use super::conditions::condition;
use crate::api::Isolation;
use crate::stack::Stack;

/// Type of the condition.
pub const NETWORK_ISOLATION: &str = "NetworkIsolation";
/// Annotation of a stack: what `appstack check --isolation` has seen in its namespace, as [`Proof`] writes it.
pub const PROOF: &str = "appstack.dev/network-isolation";

/// What was seen, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// A forbidden connection was cut off.
    pub enforced: bool,
    /// When.
    pub at: Timestamp,
    /// Uid of the stack that it was noted on: a copy of that stack elsewhere has proved nothing.
    pub of: String,
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:.0} {}", if self.enforced { "Enforced" } else { "NotEnforced" }, self.at, self.of)
    }
}

impl std::str::FromStr for Proof {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let [word, at, of] = text.split(' ').collect::<Vec<_>>().try_into().map_err(|_| ())?;
        let enforced = match word {
            "Enforced" => true,
            "NotEnforced" => false,
            _ => return Err(()),
        };
        Ok(Proof { enforced, at: at.parse().map_err(|_| ())?, of: of.to_owned() })
    }
}

/// `Unknown` until somebody has proved it.
pub(super) fn isolation(
    stack: &Stack,
    proof: Option<&Proof>,
    generation: i64,
    before: &[Condition],
    now: Timestamp,
) -> Condition {
    let check = format!("`appstack check --isolation -n {}`", stack.namespace);
    let proof = proof.filter(|proof| proof.of == stack.uid);
    let (status, reason, message) = match (stack.isolation, proof) {
        (Isolation::None, _) => {
            ("False", "NoWalls", "spec.isolation is None: nothing keeps the services apart".to_owned())
        }
        (_, None) => {
            let message = format!("nobody has proved that this cluster enforces NetworkPolicies; {check} tries it out");
            ("Unknown", "NotProven", message)
        }
        (_, Some(Proof { enforced: true, at, .. })) => {
            ("True", "Enforced", format!("{check} saw at {at:.0} that this cluster enforces NetworkPolicies"))
        }
        (_, Some(Proof { enforced: false, at, .. })) => {
            let message = format!(
                "{check} saw at {at:.0} that this cluster does not enforce NetworkPolicies: every service can be reached from anywhere; its network plugin has to be one that does"
            );
            ("False", "NotEnforced", message)
        }
    };
    condition((NETWORK_ISOLATION, status), reason, &message, generation, before, now)
}

/// What was said of it before, of a stack that is left alone.
pub(super) fn kept(before: &[Condition]) -> Option<Condition> {
    before.iter().find(|c| c.type_ == NETWORK_ISOLATION).cloned()
}

/// What is said to people where the walls are known not to hold.
pub fn not_enforced(conditions: &[Condition]) -> Option<&str> {
    let condition = conditions.iter().find(|c| c.type_ == NETWORK_ISOLATION)?;
    (condition.reason == "NotEnforced").then_some(condition.message.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_reads_back_and_nothing_else_is_one() {
        let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        for enforced in [true, false] {
            let proof = Proof { enforced, at, of: "u".into() };
            assert_eq!(proof.to_string().parse(), Ok(proof));
        }
        assert_eq!(Proof { enforced: true, at, of: "u".into() }.to_string(), "Enforced 2026-01-02T03:04:05Z u");
        for text in
            ["", "Enforced", "True 2026-01-02T03:04:05Z u", "Enforced yesterday u", "Enforced 2026-01-02T03:04:05Z"]
        {
            assert_eq!(text.parse::<Proof>(), Err(()), "{text}");
        }
    }
}
