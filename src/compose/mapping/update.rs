//! `deploy.update_config` and `deploy.endpoint_mode`.

use super::{Mapper, Of, code, field, units};
use crate::api::{EndpointMode, OnFailure, Service, Update, UpdateOrder};

impl<'a> Mapper<'a> {
    /// How pods are replaced. What is not written is AppStack's own way, which starts the new pod first.
    pub(super) fn update(&mut self, of: &Of<'a>, to: &mut Service) {
        let Some(deploy) = of.node.get("deploy") else { return };
        if let Some(entry) = deploy.entry("endpoint_mode").filter(|entry| !entry.value.is_null()) {
            to.endpoint_mode = match entry.value.as_text() {
                Some("dnsrr") => Some(EndpointMode::Dnsrr),
                Some("vip") => Some(EndpointMode::Vip),
                _ => None,
            };
            self.says.mapped(entry, field(of, &self.services, "endpointMode"));
        }
        let Some(config) = deploy.get("update_config") else { return };
        let here = field(of, &self.services, "update");
        let mut update = Update::default();
        let entry = |key: &str| config.entry(key).filter(|entry| !entry.value.is_null());
        if let Some(order) = entry("order") {
            update.order = match order.value.as_text() {
                Some("start-first") => Some(UpdateOrder::StartFirst),
                Some("stop-first") => Some(UpdateOrder::StopFirst),
                _ => None,
            };
            self.says.mapped(order, format!("{here}.order"));
        }
        if let Some(parallelism) = entry("parallelism") {
            let to_field = format!("{here}.parallelism");
            let count = parallelism.value.as_int().and_then(|count| i32::try_from(count).ok()).unwrap_or_default();
            if count > 0 {
                update.parallelism = Some(count.min(1000));
                self.says.mapped(parallelism, to_field);
            } else {
                update.parallelism = to.replicas.filter(|count| *count > 0);
                let message = "all at once is written as the number of replicas";
                self.says.approximated(parallelism, code::UPDATE, to_field, message, "");
            }
        }
        let times =
            ["delay", "monitor"].map(|key| entry(key).and_then(|entry| entry.value.as_int()).unwrap_or_default());
        let longest = times.into_iter().max().unwrap_or_default().clamp(0, 3600 * 1_000_000_000);
        if longest > 0 {
            update.min_ready = Some(units::duration(longest));
        }
        for entry in ["delay", "monitor"].into_iter().filter_map(entry) {
            if longest == 0 {
                self.says.nothing(entry, "it says nothing");
                continue;
            }
            let message = "a new pod has to be ready for the longer of 'delay' and 'monitor' before the next goes";
            self.says.approximated(entry, code::UPDATE, format!("{here}.minReady"), message, "");
        }
        if let Some(action) = entry("failure_action") {
            update.on_failure = match action.value.as_text() {
                Some("continue") => Some(OnFailure::Continue),
                Some("rollback") => Some(OnFailure::Rollback),
                _ => None,
            };
            self.says.mapped(action, format!("{here}.onFailure"));
        }
        if update != Update::default() {
            to.update = Some(update);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::code;
    use super::super::says::Class::{Approximated, Ignored};
    use super::super::tests::{found, service};

    #[test]
    fn what_is_written_of_an_update_is_kept() {
        let lines = "deploy: {replicas: 4, update_config: {order: start-first, parallelism: 2, delay: 5s, monitor: 10s, failure_action: rollback}}";
        assert_eq!(
            service(lines)["update"],
            json!({"order": "StartFirst", "parallelism": 2, "minReady": "10s", "onFailure": "Rollback"})
        );
        assert_eq!(service("deploy: {update_config: {failure_action: pause}}").get("update"), None);
        assert_eq!(service("deploy: {endpoint_mode: dnsrr}")["endpointMode"], json!("DNSRR"));
        let all = service("deploy: {replicas: 3, update_config: {parallelism: 0}}");
        assert_eq!(all["update"], json!({"parallelism": 3}));
        assert_eq!(found("deploy: {update_config: {parallelism: 0}}"), [(Approximated, code::UPDATE.0)]);
        assert_eq!(found("deploy: {update_config: {max_failure_ratio: 0.1}}"), [(Ignored, code::UPDATE.0)]);
        assert_eq!(found("deploy: {rollback_config: {order: stop-first}}"), [(Ignored, code::ROLLBACK.0)]);
    }
}
