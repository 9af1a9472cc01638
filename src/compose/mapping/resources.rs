//! Limits, reservations and shared memory.

use super::{Mapper, Of, code, field, units};
use crate::api::{Amounts, Quantity, Resources, Service};
use crate::compose::node::Entry;

/// What `ipc: host` gives instead of the node's own shared memory, where no `shm_size` says more.
const SHARED_MEMORY: &str = "1Gi";

impl<'a> Mapper<'a> {
    /// What it may use, and what is set aside for it.
    pub(super) fn resources(&mut self, of: &Of<'a>, to: &mut Service) {
        let (mut limits, mut requests) = (Amounts::default(), Amounts::default());
        let at = |path: &[&str]| {
            let (last, above) = path.split_last()?;
            of.node.find(above)?.entry(last).filter(|entry| !entry.value.is_null())
        };
        let limit_cpu = [at(&["cpus"]), at(&["deploy", "resources", "limits", "cpus"])];
        let limit_memory = [at(&["mem_limit"]), at(&["deploy", "resources", "limits", "memory"])];
        let request_cpu = [at(&["deploy", "resources", "reservations", "cpus"]), None];
        let request_memory = [at(&["mem_reservation"]), at(&["deploy", "resources", "reservations", "memory"])];
        for (entries, slot, name) in [
            (limit_cpu, &mut limits.cpu, "limits.cpu"),
            (request_cpu, &mut requests.cpu, "requests.cpu"),
            (limit_memory, &mut limits.memory, "limits.memory"),
            (request_memory, &mut requests.memory, "requests.memory"),
        ] {
            for entry in entries.into_iter().flatten() {
                *slot = self.amount(of, entry, name);
            }
        }
        self.cpu_time(of, &mut limits, &mut requests);
        if let Some(entry) = of.entry("storage_opt") {
            self.storage(of, entry, &mut limits);
        }
        for (limit, request, entries) in
            [(&limits.cpu, &mut requests.cpu, limit_cpu), (&limits.memory, &mut requests.memory, limit_memory)]
        {
            let (Some(_), None, Some(entry)) = (limit, &request, entries.into_iter().flatten().next()) else {
                continue;
            };
            if self.choices.no_requests {
                *request = Some(Quantity::Text("0".to_owned()));
            } else {
                let message = "without a reservation Kubernetes sets the whole limit aside, which Compose never does";
                self.says.noted(entry.at, code::LIMIT_ONLY, message, "write a reservation, or --requests none");
            }
        }
        let some = |amounts: Amounts| Some(amounts).filter(|amounts| *amounts != Amounts::default());
        let resources = Resources { limits: some(limits), requests: some(requests) };
        if resources != Resources::default() {
            to.resources = Some(resources);
        }
        self.shared_memory(of, to);
        self.gpu(of, to);
    }

    /// Processors or bytes; 0 is no limit.
    fn amount(&mut self, of: &Of<'a>, entry: &'a Entry, name: &str) -> Option<Quantity> {
        let node = &entry.value;
        let quantity = if name.ends_with("cpu") {
            let number = node.as_float().or_else(|| node.as_text().and_then(|text| text.parse().ok()));
            number.filter(|cpus| *cpus > 0.0).map(units::cpus)
        } else {
            node.as_int().filter(|bytes| *bytes > 0).map(units::bytes)
        };
        match &quantity {
            Some(_) => self.says.mapped(entry, field(of, &self.services, &format!("resources.{name}"))),
            None => self.says.nothing(entry, "nothing is no limit"),
        }
        quantity
    }

    fn cpu_time(&mut self, of: &Of<'a>, limits: &mut Amounts, requests: &mut Amounts) {
        let int = |key: &str| of.entry(key).and_then(|entry| entry.value.as_int()).filter(|number| *number > 0);
        let period = int("cpu_period").unwrap_or(100_000);
        for key in ["cpu_quota", "cpu_period"] {
            let Some(entry) = of.entry(key) else { continue };
            let Some(quota) = int("cpu_quota") else {
                self.says.nothing(entry, "without a quota it limits nothing");
                continue;
            };
            #[allow(clippy::cast_precision_loss)] // microseconds
            let cpus = quota as f64 / period as f64;
            limits.cpu = Some(units::cpus(cpus));
            let message = "quota by period is a limit of so many processors";
            let here = field(of, &self.services, "resources.limits.cpu");
            self.says.approximated(entry, code::CPU_SHARES, here, message, "write cpus");
        }
        if let Some(entry) = of.entry("cpu_shares") {
            let Some(shares) = int("cpu_shares") else { return self.says.nothing(entry, "it says nothing") };
            #[allow(clippy::cast_precision_loss)] // at most 262,144
            let cpus = shares as f64 / 1024.0;
            requests.cpu = requests.cpu.take().or_else(|| Some(units::cpus(cpus)));
            let message = "shares are a part of what is there; here 1024 of them set one processor aside";
            let here = field(of, &self.services, "resources.requests.cpu");
            self.says.approximated(entry, code::CPU_SHARES, here, message, "");
        }
    }

    fn storage(&mut self, of: &Of<'a>, entry: &'a Entry, limits: &mut Amounts) {
        let here = field(of, &self.services, "resources.limits.ephemeral-storage");
        for (name, option) in entry.value.as_map().into_iter().flatten() {
            let size = option.value.printed().as_deref().and_then(crate::compose::units::bytes);
            match size.filter(|_| name == "size") {
                Some(size) => {
                    limits.ephemeral_storage = Some(units::bytes(size));
                    let message = "a pod that writes more is evicted, where Docker says that the disk is full";
                    self.says.approximated(option, code::STORAGE_OPTION, &here, message, "");
                }
                None => self.says.ignored(option, code::STORAGE_OPTION, "nodes decide where containers write", ""),
            }
        }
    }

    /// `ipc: host` is nearly always there to have more shared memory.
    fn shared_memory(&mut self, of: &Of<'a>, to: &mut Service) {
        let here = field(of, &self.services, "shmSize");
        if let Some(entry) = of.entry("shm_size") {
            to.shm_size = entry.value.as_int().filter(|bytes| *bytes > 0).map(units::bytes);
            self.says.mapped(entry, &here);
        }
        let Some(entry) = of.entry("ipc") else { return };
        match entry.value.as_text().unwrap_or_default() {
            "host" if self.choices.allows(code::HOST_IPC) => {
                super::security::patch(to, "hostIPC");
                let message = "it shares the node's memory with everything else that does";
                let here = field(of, &self.services, "podTemplatePatch");
                self.says.approximated(entry, code::HOST_IPC, here, message, "");
            }
            "host" => {
                to.shm_size = to.shm_size.take().or_else(|| Some(Quantity::Text(SHARED_MEMORY.to_owned())));
                let message = "it gets shared memory of its own, which is what most want of the host's";
                let help = "shm_size says how much; --allow hostipc takes the node's";
                self.says.approximated(entry, code::IPC, here, message, help);
            }
            "" | "none" | "private" | "shareable" => self.says.nothing(entry, "every pod has shared memory of its own"),
            _ => {
                let message = "two services share no memory: each pod has its own";
                self.says.refused(entry, code::IPC, message, "write both as one service");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::choices::Choices;
    use super::super::code;
    use super::super::says::Class::{Approximated, Ignored, Refused};
    use super::super::tests::{found, mapped_with, service};

    #[test]
    fn limits_and_reservations_keep_their_amounts() {
        for (lines, resources) in [
            ("mem_limit: 50m\ncpus: 0.5", json!({"limits": {"cpu": "500m", "memory": "50Mi"}})),
            (
                "deploy: {resources: {limits: {cpus: '2', memory: 8g}, reservations: {cpus: '0.25', memory: 256M}}}",
                json!({"limits": {"cpu": "2", "memory": "8Gi"}, "requests": {"cpu": "250m", "memory": "256Mi"}}),
            ),
            ("cpu_quota: 50000", json!({"limits": {"cpu": "500m"}})),
            ("cpu_shares: 512", json!({"requests": {"cpu": "500m"}})),
            ("storage_opt: {size: 2g}", json!({"limits": {"ephemeral-storage": "2Gi"}})),
            ("mem_limit: 0\ncpus: 0", json!(null)),
        ] {
            assert_eq!(service(lines)["resources"], resources, "{lines}");
        }
        assert_eq!(found("mem_limit: 50m"), [(Approximated, code::LIMIT_ONLY.0)]);
        assert_eq!(found("mem_limit: 50m\nmem_reservation: 20m"), []);
        assert_eq!(found("memswap_limit: 1g"), [(Ignored, code::NODE_LIMIT.0)]);
        let text = "services:\n  a: {image: a:1, mem_limit: 50m}\n";
        let choices = Choices { no_requests: true, ..Choices::default() };
        let mapped = mapped_with(&[("compose.yaml", text)], &choices);
        let resources = serde_json::to_value(&mapped.stack.spec.services["a"].resources).unwrap();
        assert_eq!(resources, json!({"limits": {"memory": "50Mi"}, "requests": {"memory": "0"}}));
    }

    #[test]
    fn shared_memory_of_the_host_is_more_shared_memory() {
        assert_eq!(service("ipc: host")["shmSize"], json!("1Gi"));
        assert_eq!(service("ipc: host\nshm_size: 2g")["shmSize"], json!("2Gi"));
        assert_eq!(found("ipc: container:b"), [(Refused, code::IPC.0)]);
        assert_eq!(found("ipc: shareable"), []);
    }
}
