//! `environment`, `env_file` and `models`.

use super::{Mapper, Of, field};
use crate::api::Service;

impl<'a> Mapper<'a> {
    /// Variables. One without a value, which the project does not set either, is not there.
    pub(super) fn env(&mut self, of: &Of<'a>, to: &mut Service) {
        for (name, entry) in of.node.entries("environment") {
            match entry.value.printed().filter(|_| !entry.value.is_null()) {
                Some(value) => {
                    to.env.insert(name.clone(), value);
                    self.says.mapped(entry, field(of, &self.services, &format!("env.{name}")));
                }
                None => self.says.nothing(entry, "the project does not set it, so the container does not have it"),
            }
        }
    }
}
