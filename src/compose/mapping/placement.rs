//! `deploy.placement`: on which nodes.

use serde_json::{Value, json};

use super::{Mapper, Of, code, field};
use crate::api::{PodTemplatePatch, Service, Spread, SpreadMode, TaintEffect, Toleration, TolerationOperator};
use crate::compose::node::Node;

/// The label and taint of nodes that run the control plane.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

impl<'a> Mapper<'a> {
    /// Labels that nodes must have, and whether pods keep apart.
    pub(super) fn placement(&mut self, of: &Of<'a>, to: &mut Service) {
        let Some(placement) = of.node.find(&["deploy", "placement"]) else { return };
        for constraint in placement.items("constraints") {
            self.constraint(of, constraint, to);
        }
        for preference in placement.items("preferences") {
            self.preference(of, preference, to);
        }
        if let Some(entry) = placement.entry("max_replicas_per_node").filter(|entry| !entry.value.is_null()) {
            match entry.value.as_int() {
                Some(1) => {
                    to.spread.get_or_insert_with(Spread::default).host = Some(SpreadMode::Required);
                    let message = "pods are spread over nodes evenly: a second goes to a node when all have one";
                    let here = field(of, &self.services, "spread.host");
                    self.says.approximated(
                        entry,
                        code::PER_NODE,
                        here,
                        message,
                        "mode: global runs exactly one on each",
                    );
                }
                Some(0) => self.says.nothing(entry, "it is no limit"),
                _ => self.says.ignored(entry, code::PER_NODE, "pods of a node are not counted by service", ""),
            }
        }
    }

    fn constraint(&mut self, of: &Of<'a>, item: &'a Node, to: &mut Service) {
        let text = item.as_text().unwrap_or_default();
        let split = text.split_once("==").map(|(key, value)| (key, true, value));
        let split = split.or_else(|| text.split_once("!=").map(|(key, value)| (key, false, value)));
        let Some((key, equal, value)) = split.map(|(key, equal, value)| (key.trim(), equal, value.trim())) else {
            let message = format!("'{text}' is no constraint");
            return self.says.refused(item, code::CONSTRAINT, &message, "write KEY==VALUE or KEY!=VALUE");
        };
        let label = match key {
            "node.hostname" => "kubernetes.io/hostname",
            "node.platform.os" => "kubernetes.io/os",
            "node.platform.arch" => "kubernetes.io/arch",
            "node.role" => return self.role(of, item, equal == (value == "manager"), to),
            _ => match key.strip_prefix("node.labels.") {
                Some(label) => label,
                None => {
                    let message = format!("Kubernetes does not know nodes by '{key}'");
                    let help = "label the nodes and write node.labels.NAME";
                    return self.says.refused(item, code::CONSTRAINT, &message, help);
                }
            },
        };
        let value = match (label, value) {
            ("kubernetes.io/arch", "x86_64") => "amd64",
            ("kubernetes.io/arch", "aarch64") => "arm64",
            _ => value,
        };
        if equal {
            to.node_selector.insert(label.to_owned(), value.to_owned());
            return self.says.mapped(item, field(of, &self.services, "nodeSelector"));
        }
        self.affinity(of, item, json!({"key": label, "operator": "NotIn", "values": [value]}), to);
    }

    /// Nodes of the control plane, or all but them.
    fn role(&mut self, of: &Of<'a>, item: &'a Node, manager: bool, to: &mut Service) {
        if !manager {
            return self.affinity(of, item, json!({"key": CONTROL_PLANE, "operator": "DoesNotExist"}), to);
        }
        to.node_selector.insert(CONTROL_PLANE.to_owned(), String::new());
        to.tolerations.push(Toleration {
            key: Some(CONTROL_PLANE.to_owned()),
            operator: Some(TolerationOperator::Exists),
            effect: Some(TaintEffect::NoSchedule),
            ..Toleration::default()
        });
        let message = "managers are the nodes of the control plane, which clusters of others do not show";
        let here = field(of, &self.services, "nodeSelector");
        let help = "label some nodes and write node.labels.NAME";
        self.says.approximated(item, code::CONSTRAINT, here, message, help);
    }

    /// What a node selector cannot say.
    fn affinity(&mut self, of: &Of<'a>, item: &'a Node, expression: Value, to: &mut Service) {
        const TERMS: &str = "requiredDuringSchedulingIgnoredDuringExecution";
        let patch = to.pod_template_patch.get_or_insert_with(PodTemplatePatch::default);
        let affinity = patch.spec.entry("affinity").or_insert_with(|| json!({}));
        let there = format!("/nodeAffinity/{TERMS}/nodeSelectorTerms/0/matchExpressions");
        match affinity.pointer_mut(&there).and_then(Value::as_array_mut) {
            Some(all) => all.push(expression),
            None => {
                *affinity =
                    json!({"nodeAffinity": {TERMS: {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}});
            }
        }
        let message = "it is written as node affinity in the pod's own words";
        let here = field(of, &self.services, "podTemplatePatch");
        self.says.approximated(item, code::CONSTRAINT, here, message, "");
    }

    fn preference(&mut self, of: &Of<'a>, item: &'a Node, to: &mut Service) {
        let spread = item.get("spread").and_then(Node::as_text).unwrap_or_default();
        let label = spread.strip_prefix("node.labels.").unwrap_or(spread);
        let here = field(of, &self.services, "spread");
        if ["zone", "datacenter", "region"].iter().any(|end| label.ends_with(end)) {
            to.spread.get_or_insert_with(Spread::default).zone = Some(SpreadMode::Preferred);
            if label == "topology.kubernetes.io/zone" {
                return self.says.mapped(item, here);
            }
            let message = "zones are told apart by the label topology.kubernetes.io/zone";
            return self.says.approximated(item, code::PREFERENCE, here, message, "");
        }
        if matches!(label, "node.hostname" | "kubernetes.io/hostname" | "hostname") {
            let spread = to.spread.get_or_insert_with(Spread::default);
            spread.host = spread.host.or(Some(SpreadMode::Preferred));
            return self.says.mapped(item, here);
        }
        let message = "pods are spread over nodes and zones, not over other labels";
        self.says.ignored(item, code::PREFERENCE, message, "topologySpreadConstraints in podTemplatePatch can");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::code;
    use super::super::says::Class::{Approximated, Ignored, Refused};
    use super::super::tests::{found, service};

    #[test]
    fn constraints_name_labels_of_nodes() {
        let one = |constraint: &str| format!("deploy: {{placement: {{constraints: ['{constraint}']}}}}");
        assert_eq!(service(&one("node.labels.disk == ssd"))["nodeSelector"], json!({"disk": "ssd"}));
        assert_eq!(service(&one("node.platform.arch==x86_64"))["nodeSelector"], json!({"kubernetes.io/arch": "amd64"}));
        let both = service("deploy: {placement: {constraints: ['node.labels.a!=b', 'node.role!=manager']}}");
        let affinity = &both["podTemplatePatch"]["spec"]["affinity"]["nodeAffinity"];
        assert_eq!(
            affinity["requiredDuringSchedulingIgnoredDuringExecution"],
            json!({"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "a", "operator": "NotIn", "values": ["b"]},
                {"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"},
            ]}]})
        );
        assert_eq!(service(&one("node.role==manager"))["tolerations"].as_array().map(Vec::len), Some(1));
        assert_eq!(found(&one("node.id==x")), [(Refused, code::CONSTRAINT.0)]);
        assert_eq!(found(&one("node.role==worker")), [(Approximated, code::CONSTRAINT.0)]);
        let spread = "deploy: {placement: {preferences: [{spread: node.labels.zone}], max_replicas_per_node: 1}}";
        assert_eq!(service(spread)["spread"], json!({"zone": "Preferred", "host": "Required"}));
        let rack = "deploy: {placement: {preferences: [{spread: node.labels.rack}]}}";
        assert_eq!(found(rack), [(Ignored, code::PREFERENCE.0)]);
    }
}
