//! `networks`.

use super::{Mapper, Of};
use crate::api::Service;

impl<'a> Mapper<'a> {
    pub(super) fn joins(&mut self, _of: &Of<'a>, _to: &mut Service) {}
    pub(super) fn all_networks(&mut self) {}
    pub(super) fn infer_names(&mut self) {}
}
