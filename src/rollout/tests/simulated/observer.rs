//! Who watches, and judges by rules of their own: they read in which phase each workload is, which only the simulation knows, and share no code with the gate
//! or with what it asks.
//!
//! Two look at the order. One looks at every plan, with the eyes of the operator: what it sees must allow what it plans. The other looks at the server, when
//! something starts: what it waited for must once have been true there, since the last time that it was changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::nodes::{phase, service, starters};
use super::operator::Model;
use super::server::Server;
use crate::api::Condition;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::Part;
use crate::rollout::{Body, Delete, Plan, Step};
use crate::stack::{Need, Scale, names};

type Seen = BTreeMap<ChildId, Arc<Child>>;

/// What is wanted, and what can be seen of it.
struct Scene<'a> {
    model: &'a Model,
    children: &'a Seen,
    plan: &'a Plan,
}

fn is_revision(child: &Child, revision: &str) -> bool {
    child.annotation(labels::REVISION) == Some(revision)
}

/// What runs, or would run, a service's pods. None where a stack that is stopped wants no such object.
fn workload<'a>(model: &'a Model, name: &str) -> Option<&'a ChildId> {
    let is_its = |part: &Part| matches!(part, Part::Service(service) if service == name);
    model.wanted.iter().find(|(id, wanted)| id.kind.starts_pods() && is_its(&wanted.part)).map(|(id, _)| id)
}

impl Scene<'_> {
    fn live(&self, name: &str) -> Option<&Child> {
        self.children.get(workload(self.model, name)?).map(AsRef::as_ref).filter(|live| !live.is_going())
    }

    fn pods(&self, name: &str) -> impl Iterator<Item = &Child> {
        let name = name.to_owned();
        let pods = self.children.iter().filter(|(id, _)| id.kind == Kind::Pod).map(|(_, pod)| pod.as_ref());
        pods.filter(move |pod| service(pod) == name && pod.label(labels::POPULATE).is_empty())
    }

    /// Its workload is of the wanted revision, and in one of these phases.
    fn is(&self, name: &str, phases: &[&str]) -> bool {
        let revision = &self.model.stack.services[name].revision;
        self.live(name).is_some_and(|live| is_revision(live, revision) && phases.contains(&phase(live)))
    }

    fn has_started(&self, name: &str) -> bool {
        let revision = &self.model.stack.services[name].revision;
        self.live(name).is_some_and(|live| is_revision(live, revision) && live.facts.spec_replicas == Some(0))
            || self.is(name, &["home", "hurt", "failed"])
            || self.pods(name).any(|pod| is_revision(pod, revision) && pod.facts.pod.has_run && !pod.is_going())
    }

    /// It has failed, or something that it needs has while it is not there yet.
    fn has_failed(&self, name: &str) -> bool {
        let service = &self.model.stack.services[name];
        let refused = matches!(self.plan.steps.get(name), Some(Step::Failed(cause)) if cause.path.is_empty() || cause.path[0].starts_with("volume "));
        let is_back =
            || self.live(name).is_some_and(|live| live.annotation(labels::FAILED_REVISION) == Some(&service.revision));
        refused
            || self.is(name, &["stuck", "failed"])
            || is_back()
            || service.needs.iter().any(|(on, need)| need.required && self.has_failed(on))
    }

    fn runs(&self, name: &str) -> bool {
        self.live(name).is_some_and(|live| live.facts.available_replicas > 0)
            || self.pods(name).any(|pod| pod.facts.pod.ready && !pod.is_going())
    }

    /// What a service needs holds, and nothing behind that is on the move.
    fn check(&self, name: &str) {
        for (on, need) in &self.model.stack.services[name].needs {
            if !need.required && self.has_failed(on) {
                continue;
            }
            let available = || self.live(on).is_some_and(|live| live.facts.available_replicas > 0);
            let held = match need.condition {
                Condition::Started => self.has_started(on),
                Condition::Healthy | Condition::Completed => {
                    self.is(on, &["home"]) || self.runs(name) && self.is(on, &["hurt"]) && available()
                }
            };
            assert!(held, "law: {name} goes before {on}, which is {:?}", self.live(on).map(phase));
            self.nothing_moves_behind(on);
        }
    }

    fn nothing_moves_behind(&self, name: &str) {
        for (on, Need { condition, required }) in &self.model.stack.services[name].needs {
            if !required && self.has_failed(on) {
                continue;
            }
            let still = match condition {
                Condition::Started => self.has_started(on),
                Condition::Healthy | Condition::Completed => self.is(on, &["home", "hurt"]),
            };
            assert!(still, "law: {on}, behind {name}, is {:?}", self.live(on).map(phase));
            self.nothing_moves_behind(on);
        }
    }
}

/// Every workload that a plan would create, or whose template it would change, comes after what it depends on; its volumes are there and filled.
pub(super) fn respects_order(model: &Model, children: &Seen, plan: &Plan, unready: &BTreeMap<String, String>) {
    let scene = Scene { model, children, plan };
    for write in plan.writes.iter().filter(|write| write.id.kind.starts_pods()) {
        let live = children.get(&write.id);
        let runs = live.is_some_and(|live| live.facts.spec_replicas > Some(0));
        let replicas = match &write.body {
            Body::Scale { count } => {
                let is_back = live.is_some_and(|live| live.annotation(labels::FAILED_REVISION).is_some());
                assert!(*count == 0 || runs || is_back, "law: the count alone never starts {}", write.id);
                continue;
            }
            Body::Object { replicas, .. } => *replicas,
            Body::Restore { .. } | Body::Grow { .. } => continue,
        };
        let wanted = &model.wanted[&write.id];
        if model.stack.stopped {
            assert!(replicas == Some(0) || wanted.object["spec"]["suspend"] == true, "law: {} starts", write.id);
            continue;
        }
        let volumes = wanted.object["spec"]["template"]["spec"]["volumes"].as_array();
        for name in volumes.into_iter().flatten().filter_map(|v| v["persistentVolumeClaim"]["claimName"].as_str()) {
            let claim = ChildId { kind: Kind::Claim, name: name.to_owned() };
            let comes_first = write.after.contains(&claim) && plan.writes.iter().any(|write| write.id == claim);
            assert!(comes_first || children.contains_key(&claim), "law: {} goes before {claim}", write.id);
        }
        if live.is_none() {
            assert!(unready.is_empty(), "law: {} does not wait for another stack", write.id);
        }
        let Part::Service(name) = &wanted.part else { continue };
        let service = &model.stack.services[name];
        let goes_on = |live: &Arc<Child>| {
            let stays_idle = live.facts.spec_replicas == Some(0) && replicas == Some(0);
            is_revision(live, &service.revision)
                && (live.facts.spec_replicas != Some(0) || stays_idle)
                && !live.facts.suspended
        };
        if live.is_some_and(goes_on) {
            continue;
        }
        scene.check(name);
        for volume in service.mounts.iter().filter_map(|mount| mount.source.volume()) {
            let part = Part::Volume(volume.to_owned());
            let fill = model.wanted.iter().find(|(id, wanted)| id.kind == Kind::Job && wanted.part == part);
            let filled = fill
                .is_none_or(|(id, _)| children.get(id).is_some_and(|job| job.facts.condition("Complete").is_some()));
            // Its Job may be gone: then the claim says that it was there.
            let populate = model.stack.volumes.get(volume).and_then(|volume| volume.populate.as_ref());
            let wanted = populate.map(|populate| populate.revision.as_str());
            let marked = children.iter().any(|(id, claim)| {
                let is_its = id.kind == Kind::Claim && claim.label(labels::VOLUME) == volume;
                is_its && wanted.is_some() && claim.annotation(labels::FILLED) == wanted
            });
            assert!(filled || marked, "law: {name} goes before {volume} is filled");
        }
    }
}

/// What the operator deletes may go: no data, nothing that pods read, and, while a service of the stack still runs an older template, none of what is for no
/// service that the stack has, but for who wrote a volume that another service is to write.
pub(super) fn may_go(model: &Model, children: &Seen, delete: &Delete) {
    let (id, child) = (&delete.id, &delete.child);
    assert!(id.kind != Kind::Claim, "law: {id} holds data, and goes");
    if id.kind == Kind::ConfigMap {
        let reads =
            |(_, other): (&ChildId, &Arc<Child>)| other.facts.config_maps.contains(&id.name) && !other.facts.pod.ended;
        assert!(!children.iter().any(reads), "law: {id} is read, and goes");
    }
    let is_shared = matches!(id.kind, Kind::Service | Kind::NetworkPolicy | Kind::ConfigMap) || id.kind.starts_pods();
    let of = [service(child), child.label(labels::POPULATE)];
    let is_of_one =
        model.stack.services.contains_key(of[0]) || !of[1].is_empty() || child.has_label(labels::HISTORY_OF);
    if !is_shared || is_of_one || model.stack.stopped {
        return;
    }
    // A volume with room for one writer is to have another: the old one goes before the new one starts, and not while that runs as it is wanted.
    let has_heir =
        model.stack.services.iter().filter(|(_, service)| service.writes_exclusive_claim).any(|(name, service)| {
            let mut volumes = service.mounts.iter().filter_map(|mount| mount.source.volume());
            let takes = volumes.any(|volume| child.facts.claims.contains(&names::joined(&[&model.stack.name, volume])));
            let runs = |live: &Arc<Child>| is_revision(live, &service.revision) && live.facts.spec_replicas != Some(0);
            takes && !workload(model, name).and_then(|id| children.get(id)).is_some_and(runs)
        });
    if id.kind.starts_pods() && has_heir {
        return;
    }
    for (name, service) in &model.stack.services {
        let Some(live) = workload(model, name).and_then(|id| children.get(id)) else { continue };
        assert!(is_revision(live, &service.revision), "law: {id} goes, and {name} still runs an older template");
        let is_older = |pod: &Child| {
            super::nodes::service(pod) == name && !pod.is_going() && pod.facts.template != live.facts.template
        };
        let mut pods = children.iter().filter(|(id, pod)| id.kind == Kind::Pod && !pod.facts.pod.ended);
        let moves = matches!(phase(live), "new" | "rolling") && pods.any(|(_, pod)| is_older(pod));
        assert!(!moves, "law: {id} goes, and {name} is {}", phase(live));
    }
}

/// In a stack that goes, a service goes after the pods of those that need it, and all else after the last pod.
pub(super) fn may_leave(model: &Model, children: &Seen, delete: &Delete) {
    let (id, child) = (&delete.id, &delete.child);
    assert!(id.kind != Kind::Claim || child.owner().is_some(), "law: {id} is to stay, and goes");
    let pods = || children.iter().filter(|(id, _)| id.kind == Kind::Pod).map(|(_, pod)| pod);
    if !id.kind.starts_pods() {
        let alone = matches!(id.kind, Kind::Pod | Kind::Autoscaler);
        assert!(alone || pods().next().is_none(), "law: {id} goes, and pods are left");
        return;
    }
    for (name, other) in &model.stack.services {
        let is_left =
            pods().any(|pod| service(pod) == name) || workload(model, name).is_some_and(|id| children.contains_key(id));
        assert!(!other.needs.contains_key(service(child)) || !is_left, "law: {id} goes, and {name} is left");
    }
}

/// What was true on the server, and when something there starts.
#[derive(Default)]
pub(super) struct Witness {
    /// Service, revision, and whether all its pods were there (or some pod of it has run).
    held: BTreeSet<(String, String, bool)>,
}

impl Witness {
    /// Takes down what is true now.
    pub(super) fn notes(&mut self, server: &Server) {
        for id in starters(server) {
            let Some(child) = server.child(&id) else { continue };
            let revision = child.annotation(labels::REVISION).unwrap_or_default().to_owned();
            if phase(child) == "home" {
                self.held.insert((service(child).to_owned(), revision.clone(), true));
                self.held.insert((service(child).to_owned(), revision, false));
            } else if child.facts.spec_replicas == Some(0) || phase(child) == "failed" {
                self.held.insert((service(child).to_owned(), revision, false));
            }
        }
        for (_, pod) in
            server.of_kind(Kind::Pod).filter(|(_, pod)| pod.child.facts.pod.has_run && !pod.child.is_going())
        {
            let revision = pod.child.annotation(labels::REVISION).unwrap_or_default();
            self.held.insert((service(&pod.child).to_owned(), revision.to_owned(), false));
        }
    }

    /// A write of the operator may have started pods. `goes_back`: to what was good.
    pub(super) fn sees(
        &mut self,
        model: &Model,
        server: &Server,
        id: &ChildId,
        (was, is): (Option<&Child>, Option<&Child>),
        goes_back: bool,
    ) {
        let Some(is) = is.filter(|_| id.kind.starts_pods()) else { return };
        let count = |child: &Child| child.facts.spec_replicas.unwrap_or(1);
        let idle = |child: &Child| child.facts.suspended || count(child) == 0 && id.kind.has_replicas();
        let same = was.is_some_and(|was| {
            was.meta.uid == is.meta.uid && was.facts.template == is.facts.template && (!idle(was) || idle(is))
        });
        if let (Some(was), Some(service)) =
            (was.filter(|was| was.meta.uid == is.meta.uid), model.stack.services.get(service(is)))
            && let Scale::Auto(auto) = &service.scale
            && !model.stack.stopped
        {
            let dips = count(is) < count(was) && count(is) < auto.max;
            assert!(!dips, "law: {id} had {} pods by its autoscaler, and has {} now", count(was), count(is));
        }
        if same || idle(is) {
            return;
        }
        let name = service(is);
        if let Some(service) = model.stack.services.get(name).filter(|_| !goes_back) {
            for (on, need) in service.needs.iter().filter(|(_, need)| need.required) {
                let revision = &model.stack.services[on].revision;
                let whole = need.condition != Condition::Started;
                let is_idle = || workload(model, on).and_then(|id| server.child(id)).is_some_and(|on| count(on) == 0);
                let held = self.held.contains(&(on.clone(), revision.clone(), whole)) || !whole && is_idle();
                assert!(held, "law: {name} starts, and {on} has never been {:?} since it was written", need.condition);
            }
        }
        let revision = is.annotation(labels::REVISION).unwrap_or_default().to_owned();
        for whole in [true, false] {
            self.held.remove(&(name.to_owned(), revision.clone(), whole));
        }
        self.notes(server); // pods that a Job had before it was held back for a moment
    }
}
