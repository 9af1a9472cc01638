//! `healthcheck`.

use super::{Mapper, Of};
use crate::api::Service;

impl<'a> Mapper<'a> {
    pub(super) fn health(&mut self, _of: &Of<'a>, _to: &mut Service) {}
}
