//! `volumes`, `tmpfs`, `configs`, `secrets` and `volumes_from`, and the sections of the project that they name.

use super::{Mapper, Of};
use crate::api::Service;

impl<'a> Mapper<'a> {
    /// The volumes of the project.
    pub(super) fn all_volumes(&mut self) {}

    /// What a service finds at which path.
    pub(super) fn mounts(&mut self, _of: &Of<'a>, _to: &mut Service) {}

    /// What all users of a volume decide together.
    pub(super) fn judge_volumes(&mut self) {}
}
