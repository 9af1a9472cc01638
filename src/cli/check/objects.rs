//! The two pods of a check, and the policies around them. Pure.

use serde_json::{Value, json};

/// Label of everything that a check makes: its name.
pub(super) const MARK: &str = "appstack.dev/check";
/// Label of the two pods: which is which.
const ROLE: &str = "appstack.dev/check-role";
/// Where the one listens. No privilege is needed for it.
const PORT: u16 = 8080;
/// A pod that nobody came back for ends by itself.
const LONGEST_SECONDS: u32 = 300;

/// What a call is expected to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// Arrive, sooner or later.
    Arrives,
    /// Be cut off, sooner or later, and stay so.
    CutOff,
}

/// Who may talk to whom while a call is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walls {
    /// Both pods may do anything.
    Open,
    /// The listener lets nobody in.
    NoWayIn,
    /// The caller has no way out.
    NoWayOut,
}

/// The pod that is called.
pub(super) fn listener(check: &str, image: &str) -> Value {
    let script = format!("while true; do nc -l -p {PORT} < /dev/null > /dev/null; done");
    pod(check, "listener", image, "Always", &script)
}

/// A pod that calls `address`, and ends well if what is expected happens within a minute. A call that is cut off is believed after three in a row: policies
/// need a moment to reach the node.
pub(super) fn caller(check: &str, image: &str, address: &str, expect: Expect) -> Value {
    let call = format!("nc -w 2 {address} {PORT} < /dev/null > /dev/null 2>&1");
    let script = match expect {
        Expect::Arrives => format!("for i in $(seq 20); do {call} && exit 0; sleep 1; done; exit 1"),
        Expect::CutOff => format!(
            "cut=0; for i in $(seq 20); do if {call}; then cut=0; else cut=$((cut + 1)); fi; [ $cut = 3 ] && exit 0; sleep 1; done; exit 1"
        ),
    };
    pod(check, "caller", image, "Never", &script)
}

/// What passes at every Pod Security level and under most quotas.
fn pod(check: &str, role: &str, image: &str, restart: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{check}-{role}"), "labels": {MARK: check, ROLE: role}},
        "spec": {
            "restartPolicy": restart, "activeDeadlineSeconds": LONGEST_SECONDS, "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false, "enableServiceLinks": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": role, "image": image, "command": ["sh", "-c", script],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "32Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// One policy for each pod and direction, so that policies of the namespace that deny everything do not answer for the cluster.
pub(super) fn policies(check: &str, walls: Walls) -> [Value; 2] {
    let policy = |role: &str, direction: &str, open: bool| {
        let mut spec = json!({
            "podSelector": {"matchLabels": {MARK: check, ROLE: role}},
            "policyTypes": [direction],
        });
        if open {
            spec[direction.to_lowercase()] = json!([{}]);
        }
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("{check}-{role}"), "labels": {MARK: check}}, "spec": spec,
        })
    };
    [policy("listener", "Ingress", walls != Walls::NoWayIn), policy("caller", "Egress", walls != Walls::NoWayOut)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wall_shuts_one_direction_of_one_pod() {
        for (walls, way_in, way_out) in
            [(Walls::Open, true, true), (Walls::NoWayIn, false, true), (Walls::NoWayOut, true, false)]
        {
            let [listener, caller] = policies("c", walls);
            assert_eq!(listener["spec"]["ingress"].is_array(), way_in, "{walls:?}");
            assert_eq!(caller["spec"]["egress"].is_array(), way_out, "{walls:?}");
        }
    }
}
