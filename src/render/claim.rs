//! The claims behind volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Part, filled, metadata};
use crate::api::{AccessMode, Retention};
use crate::stack::{self, Claim, Stack, Storage, Volume, names};

/// `<stack>-<volume>`, unless somebody else keeps it or each pod has its own. Under `Retain` it has no owner: nothing but a person deletes it.
pub(super) fn claim(stack: &Stack, volume: &str, wanted: &Volume) -> Option<PersistentVolumeClaim> {
    let Claim::Own(storage) = &wanted.claim else { return None };
    let part = Part::Volume(volume.to_owned());
    let name = name(stack, volume);
    let mut metadata = match storage.retention {
        Retention::Retain => metadata::kept(stack, name, &part),
        Retention::Delete => metadata::owned(stack, name, &part),
    };
    metadata.annotations = filled(storage.annotations.clone());
    Some(PersistentVolumeClaim { metadata, spec: Some(spec(storage, wanted.access_mode)), status: None })
}

/// From which a StatefulSet makes a claim for each pod: `volume-<volume>-<stack>-<service>-<number>`. Written with all that the server would add,
/// since the list is one atomic field.
pub(super) fn template(stack: &Stack, volume: &str, storage: &Storage, mode: AccessMode) -> PersistentVolumeClaim {
    let mut metadata = metadata::kept(stack, volume_name(volume), &Part::Volume(volume.to_owned()));
    metadata.namespace = None;
    metadata.annotations = filled(storage.annotations.clone());
    PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec { volume_mode: Some("Filesystem".into()), ..spec(storage, mode) }),
        status: Some(PersistentVolumeClaimStatus {
            phase: Some("Pending".into()),
            ..PersistentVolumeClaimStatus::default()
        }),
    }
}

fn spec(storage: &Storage, mode: AccessMode) -> PersistentVolumeClaimSpec {
    PersistentVolumeClaimSpec {
        access_modes: Some(vec![mode.as_str().into()]),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([("storage".into(), Quantity(stack::bytes(storage.size)))])),
            limits: None,
        }),
        storage_class_name: storage.storage_class_name.clone(),
        ..PersistentVolumeClaimSpec::default()
    }
}

/// Name of a volume's claim.
pub(super) fn name(stack: &Stack, volume: &str) -> String {
    names::joined(&[&stack.name, volume])
}

/// Name of a volume among those of a pod.
pub(super) fn volume_name(volume: &str) -> String {
    format!("volume-{volume}")
}
