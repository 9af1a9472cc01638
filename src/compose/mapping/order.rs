//! `depends_on` and Jobs.

use super::{Mapper, Of};
use crate::api::Service;

impl<'a> Mapper<'a> {
    pub(super) fn order(&mut self, _of: &Of<'a>, _to: &mut Service) {}
    pub(super) fn without(&mut self, _gone: &std::collections::BTreeSet<&str>) {}
}
