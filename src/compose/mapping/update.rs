//! `update_config`.

use super::{Mapper, Of};
use crate::api::Service;

impl<'a> Mapper<'a> {
    pub(super) fn update(&mut self, _of: &Of<'a>, _to: &mut Service) {}
}
