//! Graphics processors and other devices: `gpus`, reservations, `devices` and the runtime `nvidia`.

use super::{Mapper, Of, code, field};
use crate::api::{Gpu, Service};
use crate::compose::node::Node;

const PLUGIN: &str = "write gpu with the resource of its device plugin";

impl<'a> Mapper<'a> {
    /// All of these ask for graphics processors; which ones they are is up to the node.
    pub(super) fn gpu(&mut self, of: &Of<'a>, to: &mut Service) {
        let here = field(of, &self.services, "gpu");
        let chosen = self.choices.gpus.get(of.name).and_then(|count| i32::try_from(*count).ok());
        let help = format!("--gpu {}=N says how many", of.name);
        let reservations = of.node.find(&["deploy", "resources", "reservations"]);
        let reserved = |key: &str| reservations.map_or(&[][..], |node| node.items(key));
        let mut gpu: Option<Gpu> = None;
        for request in of.node.items("gpus").iter().chain(reserved("devices")) {
            gpu = self.request(request, chosen, &here, &help).or(gpu);
        }
        for generic in reserved("generic_resources") {
            let spec = generic.get("discrete_resource_spec");
            let kind = spec.and_then(|spec| spec.get("kind")).and_then(Node::as_text).unwrap_or_default();
            let count = spec.and_then(|spec| spec.get("value")).and_then(Node::as_int);
            let count = count.and_then(|count| i32::try_from(count).ok());
            if kind.contains('/') {
                gpu = Some(Gpu { count: chosen.or(count).unwrap_or(1).max(1), resource: Some(kind.to_owned()) });
                self.says.mapped(generic, here.clone());
            } else {
                let message = format!("'{kind}' is no resource of Kubernetes");
                self.says.refused(generic, code::DEVICE_PLUGIN, &message, "write it as nvidia.com/gpu");
            }
        }
        for device in of.node.items("devices") {
            let source = device.get("source").and_then(Node::as_text).unwrap_or_default();
            let amd = source.starts_with("/dev/kfd");
            if amd || source.starts_with("/dev/nvidia") || source.starts_with("nvidia.com/gpu") {
                let resource = amd.then(|| "amd.com/gpu".to_owned());
                gpu = gpu.or(Some(Gpu { count: chosen.unwrap_or(1), resource }));
                let message = "a device plugin hands out whole processors, not device files: it gets one";
                self.says.approximated(device, code::GPU_COUNT, here.clone(), message, &help);
            } else {
                let message = format!("pods get devices from device plugins only, not '{source}' of a node");
                let help = "install the plugin of the device, and write gpu with its resource";
                self.says.refused(device, code::DEVICE_PLUGIN, &message, help);
            }
        }
        if let Some(entry) = of.entry("runtime").filter(|entry| entry.value.as_text() == Some("nvidia")) {
            gpu = gpu.or(Some(Gpu { count: chosen.unwrap_or(1), resource: None }));
            let message = "the runtime follows from the graphics processor that it asks for: it gets one";
            self.says.approximated(entry, code::GPU_COUNT, here.clone(), message, &help);
        }
        if let Some(entry) = of.entry("gpus") {
            self.says.mapped(entry, here);
        }
        to.gpu = gpu;
    }

    /// One request by capability: so many, or these, or all of a node.
    fn request(&mut self, request: &'a Node, chosen: Option<i32>, here: &str, help: &str) -> Option<Gpu> {
        let capabilities = request.items("capabilities");
        let is_gpu = capabilities.is_empty() || capabilities.iter().any(|item| item.as_text() == Some("gpu"));
        if !is_gpu {
            let message = "only graphics processors are known by their capability";
            self.says.refused(request, code::DEVICE_PLUGIN, message, PLUGIN);
            return None;
        }
        let resource = match request.get("driver").and_then(Node::as_text).unwrap_or_default() {
            "" | "nvidia" | "cdi" => None,
            "amd" | "amdgpu" => Some("amd.com/gpu".to_owned()),
            "intel" | "i915" => Some("gpu.intel.com/i915".to_owned()),
            other => {
                let message = format!("the driver '{other}' is not known");
                self.says.refused(request, code::DEVICE_PLUGIN, &message, PLUGIN);
                return None;
            }
        };
        let some = |count: i64| i32::try_from(count).ok().filter(|count| *count > 0);
        let count = request.get("count").and_then(Node::as_int).and_then(some);
        let ids = some(i64::try_from(request.items("device_ids").len()).unwrap_or_default());
        if chosen.is_none() && count.is_none() {
            let message = match ids {
                Some(_) => "which processors they are is up to the node: it gets as many",
                None => "how many a node has is not known here: it gets one",
            };
            self.says.approximated(request, code::GPU_COUNT, here, message, help);
        }
        for (key, entry) in request.as_map().into_iter().flatten() {
            match key.as_str() {
                "capabilities" | "driver" | "count" | "device_ids" => {}
                "options" => {
                    self.says.ignored(entry, code::DEVICE_PLUGIN, "device plugins take no options of a pod", "");
                }
                _ => self.says.nothing(entry, "Compose passes over it"),
            }
        }
        self.says.mapped(request, here);
        Some(Gpu { count: chosen.or(count).or(ids).unwrap_or(1), resource })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::code;
    use super::super::says::Class::{Approximated, Refused};
    use super::super::tests::{found, service};

    #[test]
    fn graphics_processors_are_asked_for_in_many_ways() {
        for (lines, gpu) in [
            ("gpus: all", json!({"count": 1})),
            ("gpus: [{count: 2}]", json!({"count": 2})),
            (
                "deploy: {resources: {reservations: {devices: [{driver: nvidia, device_ids: ['0', '3'], capabilities: [gpu]}]}}}",
                json!({"count": 2}),
            ),
            ("runtime: nvidia", json!({"count": 1})),
            ("devices: ['/dev/nvidia0']", json!({"count": 1})),
            (
                "deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: x.y/z, value: 2}}]}}}",
                json!({"count": 2, "resource": "x.y/z"}),
            ),
        ] {
            assert_eq!(service(lines)["gpu"], gpu, "{lines}");
        }
        assert_eq!(found("devices: ['/dev/ttyUSB0']"), [(Refused, code::DEVICE_PLUGIN.0)]);
        assert_eq!(found("runtime: nvidia"), [(Approximated, code::GPU_COUNT.0)]);
    }
}
