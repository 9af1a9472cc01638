//! The two pods of a check, and the policies around them. Pure.

use serde_json::{Value, json};

/// Label of everything that a check makes: its name.
pub(super) const MARK: &str = "appstack.dev/check";
/// Label of the two pods: which is which.
const ROLE: &str = "appstack.dev/check-role";
/// Where the one listens. No privilege is needed for it.
const PORT: u16 = 8080;
/// What it says to who reaches it: a proxy that takes every call in does not know it.
const WORD: &str = "appstack-check";
/// A call is tried for so long: policies need a moment to reach the node.
const PATIENCE_SECONDS: u32 = 60;
/// Exit code of a caller whose call did not do what was expected. Any other code but 0 says nothing about the call.
pub(super) const OTHERWISE: i32 = 3;

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

/// One check: what its objects are called, and how long they may live.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) image: String,
    /// A pod that nobody came back for ends by itself.
    pub(super) seconds: u64,
}

impl Check {
    /// The pod that is called.
    pub(super) fn listener(&self) -> Value {
        let script = format!("while true; do echo {WORD} | nc -l -p {PORT} > /dev/null; done");
        self.pod("listener", "Always", &script)
    }

    /// A pod that calls these addresses: it ends with 0 once what is expected happens at each. A call that is cut off is believed after three in a row.
    pub(super) fn caller(&self, call: usize, addresses: &[String], expect: Expect) -> Value {
        let addresses = addresses.join(" ");
        let reached = format!("[ \"$(nc -w 2 $a {PORT} < /dev/null 2> /dev/null)\" = {WORD} ]");
        let tries = match expect {
            Expect::Arrives => format!(
                "all() {{ for a in {addresses}; do {reached} || return 1; done; }}; try() {{ all && exit 0; true; }}"
            ),
            Expect::CutOff => format!(
                "any() {{ for a in {addresses}; do {reached} && return 0; done; return 1; }}; cut=0; try() {{ if any; then cut=0; else cut=$((cut + 1)); fi; [ $cut -lt 3 ] || exit 0; }}"
            ),
        };
        let end = format!("end=$(($(date +%s) + {PATIENCE_SECONDS}))");
        let script = format!("{tries}; {end}; while [ $(date +%s) -lt $end ]; do try; sleep 1; done; exit {OTHERWISE}");
        let mut pod = self.pod("caller", "Never", &script);
        pod["metadata"]["name"] = json!(self.caller_name(call));
        pod
    }

    /// Each call has a pod of its own name: what is still said of one that has gone cannot be meant for the next.
    pub(super) fn caller_name(&self, call: usize) -> String {
        format!("{}-caller-{call}", self.name)
    }

    /// What passes at every Pod Security level and under most quotas, without a proxy beside it, and on another node than the other pod where there is one.
    fn pod(&self, role: &str, restart: &str, script: &str) -> Value {
        let apart = json!({"weight": 100, "podAffinityTerm": {
            "labelSelector": {"matchLabels": {MARK: self.name}}, "topologyKey": "kubernetes.io/hostname",
        }});
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("{}-{role}", self.name),
                "labels": {MARK: self.name, ROLE: role, "sidecar.istio.io/inject": "false"},
                "annotations": {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
            },
            "spec": {
                "restartPolicy": restart, "activeDeadlineSeconds": self.seconds, "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": false, "enableServiceLinks": false,
                "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [apart]}},
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": role, "image": self.image, "command": ["sh", "-c", script],
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "32Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        })
    }

    /// One policy for each pod and direction, so that policies of the namespace that deny everything do not answer for the cluster.
    pub(super) fn policies(&self, walls: Walls) -> [Value; 2] {
        let policy = |role: &str, direction: &str, open: bool| {
            let mut spec = json!({
                "podSelector": {"matchLabels": {MARK: self.name, ROLE: role}},
                "policyTypes": [direction],
            });
            if open {
                spec[direction.to_lowercase()] = json!([{}]);
            }
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": format!("{}-{role}", self.name), "labels": {MARK: self.name}}, "spec": spec,
            })
        };
        [policy("listener", "Ingress", walls != Walls::NoWayIn), policy("caller", "Egress", walls != Walls::NoWayOut)]
    }
}

/// Whether somebody else's policy lets pods in or out that it cannot mean by their labels: it selects by what they do not have. Policies add up, so under such
/// a one nothing is cut off.
pub(super) fn lets_through(policy: &Value) -> bool {
    let spec = &policy["spec"];
    let is_of_a_check = !policy["metadata"]["labels"][MARK].is_null();
    let by_label = spec["podSelector"]["matchLabels"].as_object().is_some_and(|labels| !labels.is_empty());
    let asks = spec["podSelector"]["matchExpressions"].as_array().into_iter().flatten();
    let by_absence = asks.into_iter().all(|e| matches!(e["operator"].as_str(), Some("NotIn" | "DoesNotExist")));
    let opens = |direction: &str| spec[direction].as_array().is_some_and(|rules| !rules.is_empty());
    !is_of_a_check && !by_label && by_absence && (opens("ingress") || opens("egress"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Check {
        Check { name: "c".into(), image: "busybox".into(), seconds: 240 }
    }

    #[test]
    fn each_wall_shuts_one_direction_of_one_pod() {
        for (walls, way_in, way_out) in
            [(Walls::Open, true, true), (Walls::NoWayIn, false, true), (Walls::NoWayOut, true, false)]
        {
            let [listener, caller] = check().policies(walls);
            assert_eq!(listener["spec"]["ingress"].is_array(), way_in, "{walls:?}");
            assert_eq!(caller["spec"]["egress"].is_array(), way_out, "{walls:?}");
        }
    }

    #[test]
    fn policies_that_would_hide_the_answer_are_recognised() {
        let policy = |spec: Value| json!({"metadata": {"name": "p"}, "spec": spec});
        let all = json!({});
        for (spec, hides) in [
            (json!({"podSelector": all, "ingress": [{}]}), true),
            (json!({"podSelector": all, "egress": [{"to": []}]}), true),
            (
                json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, "ingress": [{}]}),
                true,
            ),
            (
                json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}, "ingress": [{}]}),
                false,
            ),
            (json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]}), false),
            (json!({"podSelector": all, "policyTypes": ["Ingress"]}), false),
        ] {
            assert_eq!(lets_through(&policy(spec.clone())), hides, "{spec}");
        }
        assert!(!lets_through(&check().policies(Walls::Open)[0]));
    }

    /// The scripts of the pods, run by this machine's shell. `nc` is played by a function that says the word, or nothing.
    #[test]
    fn a_caller_ends_by_what_is_expected() {
        for (expect, says, code) in [
            (Expect::Arrives, "appstack-check", 0),
            (Expect::CutOff, "", 0),
            (Expect::Arrives, "", OTHERWISE),
            (Expect::CutOff, "appstack-check", OTHERWISE),
            (Expect::CutOff, "HTTP/1.1 503 from a proxy", 0),
        ] {
            let pod = check().caller(1, &["10.0.0.1".into(), "fd00::1".into()], expect);
            let script = pod["spec"]["containers"][0]["command"][2].as_str().unwrap();
            // Time flies: each look at the clock is a second later.
            let played = format!(
                "nc() {{ echo '{says}'; }}; sleep() {{ :; }}; file=$(mktemp); echo 0 > $file; date() {{ n=$(cat $file); echo $((n + 1)) > $file; echo $n; }}; {script}"
            );
            let ended = std::process::Command::new("sh").args(["-c", &played]).status().unwrap();
            assert_eq!(ended.code(), Some(code), "{expect:?}, when '{says}' is heard");
        }
    }
}
