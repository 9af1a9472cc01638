//! `x-appstack` of services and of the project: what a stack can say and Compose cannot.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Mapper, Of, field};
use crate::api::{
    Autoscale, EndpointMode, Gateway, Isolation, Mode, PodSecurity, Publish, Route, Service, Teardown, Update,
};

/// What a service may say, in the words of the stack.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OfService {
    autoscale: Option<Autoscale>,
    mode: Option<Mode>,
    publish: Option<Publish>,
    endpoint_mode: Option<EndpointMode>,
    update: Option<Update>,
    pod_security: Option<PodSecurity>,
    routes: BTreeMap<String, Route>,
}

/// What the project may say, in the words of the stack.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OfProject {
    publish: Option<Publish>,
    gateway: Option<Gateway>,
    ingress_class_name: Option<String>,
    isolation: Option<Isolation>,
    pod_security: Option<PodSecurity>,
    teardown: Option<Teardown>,
}

/// Takes over what is said, and leaves what is not.
fn take<T>(to: &mut Option<T>, said: Option<T>) {
    if said.is_some() {
        *to = said;
    }
}

impl<'a> Mapper<'a> {
    /// Of a service: it wins over what the keys of Compose say.
    pub(super) fn own(&mut self, of: &Of<'a>, to: &mut Service) {
        let Some(entry) = of.entry("x-appstack") else { return };
        let Some(said) = self.extension::<OfService>(entry) else { return };
        if said.autoscale.is_some() {
            to.replicas = None;
        }
        take(&mut to.autoscale, said.autoscale);
        take(&mut to.mode, said.mode);
        take(&mut to.publish, said.publish);
        take(&mut to.endpoint_mode, said.endpoint_mode);
        take(&mut to.update, said.update);
        take(&mut to.pod_security, said.pod_security);
        to.routes.extend(said.routes);
        for (name, key) in entry.value.as_map().into_iter().flatten() {
            self.says.mapped(key, field(of, &self.services, name));
        }
        self.says.mapped(entry, field(of, &self.services, "*"));
    }

    /// Of the project.
    pub(super) fn own_of_project(&mut self) {
        let Some(entry) = self.project.root.entry("x-appstack").filter(|entry| !entry.value.is_null()) else { return };
        let Some(said) = self.extension::<OfProject>(entry) else { return };
        if said.gateway.is_some() {
            self.spec.ingress_class_name = None;
        }
        take(&mut self.spec.publish, said.publish);
        take(&mut self.spec.gateway, said.gateway);
        take(&mut self.spec.ingress_class_name, said.ingress_class_name);
        take(&mut self.spec.isolation, said.isolation);
        take(&mut self.spec.pod_security, said.pod_security);
        take(&mut self.spec.teardown, said.teardown);
        for (name, key) in entry.value.as_map().into_iter().flatten() {
            self.says.mapped(key, format!("spec.{name}"));
        }
        self.says.mapped(entry, "spec.*");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::code;
    use super::super::says::Class::Refused;
    use super::super::tests::{found, mapped, service};

    #[test]
    fn an_extension_says_what_compose_cannot() {
        let lines = "deploy: {replicas: 2, resources: {reservations: {cpus: '1'}}}
x-appstack: {autoscale: {min: 2, max: 9, cpuPercent: 70}, endpointMode: DNSRR, update: {onFailure: Rollback}, routes: {web: {path: /x}}}";
        let a = service(lines);
        assert_eq!(a["autoscale"], json!({"min": 2, "max": 9, "cpuPercent": 70}));
        assert!(a.get("replicas").is_none());
        assert_eq!((&a["endpointMode"], &a["update"]), (&json!("DNSRR"), &json!({"onFailure": "Rollback"})));
        assert_eq!(a["routes"], json!({"web": {"path": "/x"}}));
        let text = "x-appstack: {isolation: Namespace, publish: {type: NodePort}}\nservices: {a: {image: a:1}}\n";
        let spec = serde_json::to_value(&mapped(text).stack.spec).unwrap();
        assert_eq!((&spec["isolation"], &spec["publish"]), (&json!("Namespace"), &json!({"type": "NodePort"})));
    }

    #[test]
    fn an_unknown_or_wrong_field_of_an_extension_is_refused() {
        assert_eq!(found("x-appstack: {autoscal: {max: 3}}"), [(Refused, code::EXTENSION.0)]);
        assert!(found("x-appstack: {mode: Sometimes}").contains(&(Refused, code::EXTENSION.0)));
    }
}
