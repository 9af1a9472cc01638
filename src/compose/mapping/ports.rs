//! `ports` and `expose`.

use super::{Mapper, Of};
use crate::api::Service;

impl<'a> Mapper<'a> {
    pub(super) fn ports(&mut self, _of: &Of<'a>, _to: &mut Service) {}
    pub(super) fn infer_ports(&mut self) {}
}
