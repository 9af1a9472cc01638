//! The claim of a volume.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Part, metadata};
use crate::api::Retention;
use crate::stack::{self, Stack, Volume, names};

/// `<stack>-<volume>`. Under `Retain` it has no owner: nothing but a person deletes it.
pub(super) fn claim(stack: &Stack, volume: &str, wanted: &Volume) -> PersistentVolumeClaim {
    let part = Part::Volume(volume.to_owned());
    let name = name(stack, volume);
    PersistentVolumeClaim {
        metadata: match wanted.retention {
            Retention::Retain => metadata::kept(stack, name, &part),
            Retention::Delete => metadata::owned(stack, name, &part),
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![wanted.access_mode.as_str().into()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".into(), Quantity(stack::bytes(wanted.size)))])),
                limits: None,
            }),
            storage_class_name: wanted.storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// Name of a volume's claim.
pub(super) fn name(stack: &Stack, volume: &str) -> String {
    names::joined(&[&stack.name, volume])
}
