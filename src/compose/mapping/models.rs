//! `models`: a cluster has no model runner, so somebody names the server of each model.

use super::{Mapper, Of, code, field, secrecy};
use crate::api::Service;
use crate::compose::node::{At, Node};

impl<'a> Mapper<'a> {
    /// The section of the project. Its users have what it says as variables.
    pub(super) fn all_models(&mut self) {
        for (_, entry) in self.project.root.entries("models") {
            for key in ["context_size", "runtime_flags"] {
                if let Some(detail) = entry.value.entry(key).filter(|detail| !detail.value.is_null()) {
                    self.says.ignored(detail, code::MODEL, "the server of the model decides it", "set it there");
                }
            }
            self.says.resolved(entry, "services.*.env", "services that use it have its address and name as variables");
        }
    }

    /// The models that a service uses: its address and its name, as variables called after it in upper case unless the service names others.
    pub(super) fn models(&mut self, of: &Of<'a>, to: &mut Service) {
        for (name, entry) in of.node.entries("models") {
            let Some(url) = self.choices.models.get(name) else {
                let message = "there is no model runner in a cluster";
                let help =
                    format!("name the server of the model: --model {name}=URL; a service of this stack can be one");
                self.says.refused(entry, code::MODEL, message, &help);
                continue;
            };
            let prefix = name.to_uppercase().replace('-', "_");
            let called = |key: &str, otherwise: String| {
                let own = entry.value.get(key).and_then(Node::as_text).filter(|own| !own.is_empty());
                own.map_or(otherwise, str::to_owned)
            };
            let model = self.project.root.find(&["models", name, "model"]).and_then(Node::as_text).unwrap_or_default();
            let variables = [
                (called("endpoint_var", format!("{prefix}_URL")), url.as_str()),
                (called("model_var", prefix.clone()), model),
            ];
            for (variable, value) in variables {
                to.env.remove(&variable);
                to.env_template.remove(&variable);
                to.secret_env.remove(&variable);
                if secrecy::inside(value).is_empty() {
                    to.env.insert(variable, value.to_owned());
                } else {
                    let credential = super::template::Credential {
                        name: variable.clone(),
                        value: value.to_owned(),
                        may_be_unset: false,
                    };
                    let from = self.secret_key(&credential, At::NOWHERE);
                    to.secret_env.insert(variable, from);
                }
            }
            self.says.resolved(entry, field(of, &self.services, "env"), "--model names its server");
        }
    }
}
