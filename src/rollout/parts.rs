//! What belongs to each service, found once per pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::child::{Child, ChildId, Kind, labels};
use crate::render::{Children, Part, Wanted};

/// Wanted children and live pods, by service.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    services: BTreeMap<&'a str, OfService<'a>>,
    filling: BTreeMap<&'a str, Vec<&'a Child>>,
}

/// What belongs to one service.
#[derive(Clone, Debug, Default)]
pub struct OfService<'a> {
    /// What runs its pods.
    pub workload: Option<(&'a ChildId, &'a Wanted)>,
    /// Its names and published walls.
    pub beside: Vec<&'a ChildId>,
    /// Its live pods, of any revision.
    pub pods: Vec<&'a Child>,
}

impl<'a> Parts<'a> {
    /// Sorts them by service.
    pub fn of(wanted: &'a Children, children: &'a BTreeMap<ChildId, Arc<Child>>) -> Self {
        let mut parts = Parts::default();
        for (id, wanted) in wanted {
            let Part::Service(name) = &wanted.part else { continue };
            let service = parts.services.entry(name).or_default();
            if id.kind.starts_pods() {
                service.workload = Some((id, wanted));
            } else if matches!(id.kind, Kind::Service | Kind::NetworkPolicy) {
                service.beside.push(id);
            }
        }
        for pod in children.iter().filter(|(id, _)| id.kind == Kind::Pod).map(|(_, pod)| pod.as_ref()) {
            if !pod.label(labels::POPULATE).is_empty() {
                parts.filling.entry(pod.label(labels::POPULATE)).or_default().push(pod);
                continue;
            }
            let service = Some(pod.label(labels::SERVICE)).filter(|name| !name.is_empty());
            parts.services.entry(service.unwrap_or(pod.label(labels::JOB))).or_default().pods.push(pod);
        }
        parts
    }

    /// Live pods that fill this volume.
    pub fn filling(&self, volume: &str) -> impl Iterator<Item = &'a Child> {
        self.filling.get(volume).into_iter().flatten().copied()
    }

    /// What belongs to this service.
    pub fn service(&self, name: &str) -> OfService<'a> {
        self.services.get(name).cloned().unwrap_or_default()
    }
}
