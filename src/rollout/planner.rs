//! From what is wanted and what is seen to a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::differs::{Difference, difference};
use super::gate::{self, Standing, Verdict};
use super::health::{self, Progress};
use super::parts::Parts;
use super::plan::{Body, Cause, Guard, Plan, Refusal, RefusalKind, Step, Write};
use super::prune;
use super::replicas::{self, Replicas};
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind, labels};
use crate::render::{Children, Part, Wanted};
use crate::stack::{Service, Source, Stack};

/// What the controller knows of a stack's objects.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// Live objects that carry the stack's label, pods among them.
    pub children: &'a BTreeMap<ChildId, Arc<Child>>,
    /// Writes that were refused and are not due again.
    pub refused: &'a BTreeMap<ChildId, Refusal>,
    /// Pairs of digests (sent, read back) that one write has failed to bring together.
    pub settled: &'a BTreeMap<ChildId, (Digest, Digest)>,
    /// Services that a person lets pass their gate.
    pub ungated: &'a BTreeSet<String>,
}

/// The next writes and deletes of a stack, and where each of its services stands.
pub fn plan(stack: &Stack, wanted: &Children, seen: &Seen<'_>) -> Plan {
    let parts = Parts::of(wanted, seen.children);
    let shared =
        wanted.iter().filter(|(_, w)| !matches!(w.part, Part::Service(_))).map(|(id, w)| (id, &w.part)).collect();
    let mut planner =
        Planner { stack, wanted, seen, parts: &parts, shared, out: Plan::default(), standings: BTreeMap::new() };
    for (id, child) in wanted.iter().filter(|(id, _)| !id.kind.starts_pods()) {
        planner.note_refusal(id, child);
    }
    for name in &stack.order {
        if let Some(service) = stack.services.get(name) {
            planner.service(service);
        }
    }
    for (id, child) in wanted.iter().filter(|(id, _)| !id.kind.starts_pods()) {
        planner.beside_pods(id, child);
    }
    planner.finish()
}

struct Planner<'a> {
    stack: &'a Stack,
    wanted: &'a Children,
    seen: &'a Seen<'a>,
    parts: &'a Parts<'a>,
    /// Children that are not for one service alone.
    shared: Vec<(&'a ChildId, &'a Part)>,
    out: Plan,
    standings: BTreeMap<String, Standing>,
}

impl Planner<'_> {
    /// The live child under this name, if it is ours.
    fn ours(&self, id: &ChildId, wanted: &Wanted) -> Option<&Arc<Child>> {
        self.seen
            .children
            .get(id)
            .filter(|child| child.is_of(&self.stack.name, &self.stack.uid, &wanted.labels().collect::<Vec<_>>()))
    }

    /// Notes down a foreign object in our place, or a refusal that is not due again. True if there is one.
    fn note_refusal(&mut self, id: &ChildId, wanted: &Wanted) -> bool {
        let refusal = if self.seen.children.contains_key(id) && self.ours(id, wanted).is_none() {
            let message = format!(
                "{id} exists and does not belong to this stack; it is left alone. Rename the service, or delete that object"
            );
            Some(Refusal { kind: RefusalKind::NameConflict, message, wanted: wanted.digest })
        } else {
            self.seen.refused.get(id).filter(|refusal| refusal.wanted == wanted.digest).cloned()
        };
        let refused = refusal.is_some();
        self.out.refusals.extend(refusal.map(|refusal| (id.clone(), refusal)));
        refused
    }

    fn service(&mut self, service: &Service) {
        let parts = self.parts.service(&service.name);
        let Some((id, wanted)) = parts.workload else { return };
        let refused = self.note_refusal(id, wanted);
        let live = self.ours(id, wanted).cloned();
        let progress = health::progress(live.as_deref(), &service.revision);
        let autoscaler = ChildId { kind: Kind::Autoscaler, name: id.name.clone() };
        let has_autoscaler =
            self.seen.children.get(&autoscaler).is_some_and(|child| child.label(labels::SERVICE) == service.name);
        let replicas = replicas::decide(&service.scale, live.as_deref(), has_autoscaler);
        let needed = self.needed_by(service, &parts.beside);

        // What is there already serves, though a change to it is refused; what is not there holds the service.
        let missing = |id: &&ChildId| self.wanted.get(*id).is_some_and(|w| self.ours(id, w).is_none());
        let refusal = needed.iter().filter(missing).chain([id]).find_map(|id| self.out.refusals.get(id));
        let step = if let Some(refusal) = refusal {
            Step::Failed(Cause {
                path: Vec::new(),
                reason: refusal.kind.reason().into(),
                message: refusal.message.clone(),
            })
        } else {
            self.step(id, wanted, service, live.as_deref(), &replicas)
        };
        match (&step, &live) {
            (Step::Apply, _) => self.write_workload(id, live.as_deref(), &replicas, needed),
            // The template is not at hand: it is held, or rendered otherwise than the one that is there.
            (Step::Hold(_) | Step::Failed(_) | Step::Done, Some(live))
                if replicas.change && !replicas.from_zero && !refused && !live.is_going() =>
            {
                if let Some(count) = replicas.state {
                    self.out.writes.push(Write {
                        id: id.clone(),
                        body: Body::Scale { count },
                        after: Vec::new(),
                        instead_of: None,
                    });
                }
            }
            _ => {}
        }

        let pods = || parts.pods.iter().copied();
        let facts = live.as_ref().map(|child| &child.facts);
        let standing = Standing {
            progress,
            started: health::has_started(pods(), &service.revision),
            available: (facts.map_or(0, |f| f.available_replicas), facts.and_then(|f| f.spec_replicas).unwrap_or(1)),
            trouble: pods()
                .find_map(|pod| pod.facts.pod.trouble.clone())
                .map(|(reason, message)| one_line(&reason, &message)),
            settled_behind: gate::settled_behind(service, &self.standings),
            step: step.clone(),
        };
        self.out.steps.insert(service.name.clone(), step);
        self.out.progress.insert(service.name.clone(), progress);
        self.standings.insert(service.name.clone(), standing);
    }

    fn step(
        &self,
        id: &ChildId,
        wanted: &Wanted,
        service: &Service,
        live: Option<&Child>,
        replicas: &Replicas,
    ) -> Step {
        if live.is_some_and(Child::is_going) {
            return Step::Hold(Vec::new());
        }
        let same = live.is_some_and(|child| child.annotation(labels::REVISION) == Some(service.revision.as_str()));
        let difference =
            live.map_or(Difference::Real, |live| difference(id, wanted, live, Some(&service.revision), self.seen));
        if same && !replicas.from_zero {
            return match difference {
                Difference::Real => Step::Apply,
                Difference::None if replicas.change => Step::Apply,
                Difference::None | Difference::RenderingOnly if replicas.keep_differs => Step::Apply,
                Difference::None | Difference::RenderingOnly => Step::Done,
            };
        }
        let running = live.is_some_and(|child| child.facts.available_replicas > 0);
        match gate::ask(service, running, &self.standings, self.seen.ungated.contains(&service.name)) {
            Verdict::Open => Step::Apply,
            Verdict::Shut(waits) => Step::Hold(waits),
            Verdict::Hopeless(cause) => Step::Failed(cause),
        }
    }

    fn write_workload(&mut self, id: &ChildId, live: Option<&Child>, replicas: &Replicas, after: Vec<ChildId>) {
        let guard = match live {
            Some(live) if replicas.pin => {
                Guard::Version(uid(live), live.meta.resource_version.clone().unwrap_or_default())
            }
            Some(live) => Guard::Uid(uid(live)),
            None => Guard::Absent,
        };
        let body = Body::Object { guard, replicas: replicas.state, keep: replicas.keep.clone() };
        self.out.writes.push(Write { id: id.clone(), body, after, instead_of: None });
    }

    /// What only adds goes first. What changes something that is there goes with its service, after its gate: the running pods of a held
    /// service keep their addresses and walls.
    fn beside_pods(&mut self, id: &ChildId, wanted: &Wanted) {
        if self.out.refusals.contains_key(id) {
            return;
        }
        let live = self.ours(id, wanted).cloned();
        let mut instead_of = None;
        let (guard, after) = match live {
            None => (Guard::Absent, self.after(id, wanted)),
            Some(live) if live.is_going() => return,
            Some(live) => {
                let held =
                    match &wanted.part {
                        Part::Service(name) => self.is_held(name),
                        Part::Network(network) => self.stack.services.values().any(|s| {
                            s.networks.contains(network) && self.is_held(&s.name) && self.has_workload(&s.name)
                        }),
                        Part::Stack | Part::Volume(_) | Part::Config(_) => false,
                    };
                if held || difference(id, wanted, &live, None, self.seen) == Difference::None {
                    return;
                }
                if cannot_become(id.kind, &live, wanted) {
                    instead_of = Some(live);
                    (Guard::Absent, Vec::new())
                } else {
                    (Guard::Uid(uid(&live)), Vec::new())
                }
            }
        };
        if let Part::Service(name) = &wanted.part
            && id.kind == Kind::Autoscaler
            && guard == Guard::Absent
            && !self.has_workload(name)
        {
            return;
        }
        self.out.writes.push(Write {
            id: id.clone(),
            body: Body::Object { guard, replicas: None, keep: None },
            after,
            instead_of,
        });
    }

    /// An autoscaler follows its workload: made first, it would find nothing to scale.
    fn after(&self, id: &ChildId, wanted: &Wanted) -> Vec<ChildId> {
        match &wanted.part {
            Part::Service(name) if id.kind == Kind::Autoscaler => {
                self.parts.service(name).workload.map(|(id, _)| id.clone()).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn has_workload(&self, service: &str) -> bool {
        let Some((id, _)) = self.parts.service(service).workload else { return false };
        self.out.writes.iter().any(|w| w.id == *id) || self.seen.children.contains_key(id)
    }

    /// Whether the workload of a service keeps an older template for now.
    fn is_held(&self, service: &str) -> bool {
        matches!(self.out.steps.get(service), Some(Step::Hold(_) | Step::Failed(_)))
    }

    /// Children without which the pods of a service must not start: its walls, its claims, its configs, and the names it answers to.
    fn needed_by(&self, service: &Service, beside: &[&ChildId]) -> Vec<ChildId> {
        let shared = self.shared.iter().filter(|(id, part)| match part {
            Part::Stack => true,
            Part::Network(name) => service.networks.contains(name),
            Part::Volume(name) | Part::Config(name) => mounts(service, name, id.kind),
            Part::Service(_) => false,
        });
        shared.map(|(id, _)| (*id).clone()).chain(beside.iter().map(|id| (*id).clone())).collect()
    }

    fn finish(mut self) -> Plan {
        let at_rest = |s: &Standing| matches!(s.step, Step::Done) && s.progress >= Progress::Overdue;
        let quiet = self.standings.values().all(at_rest);
        let steps = self.out.steps.clone();
        self.out.deletes = prune::prune(self.stack, self.wanted, self.seen, |name| steps.get(name).cloned(), quiet);
        self.out.writes.sort_by(|a, b| a.id.cmp(&b.id));
        self.out
    }
}

fn mounts(service: &Service, name: &str, kind: Kind) -> bool {
    service.mounts.iter().any(|mount| match &mount.source {
        Source::Volume { name: volume, .. } => kind == Kind::Claim && volume == name,
        Source::Config { name: config, .. } => kind == Kind::ConfigMap && config == name,
        Source::ConfigMap { .. } | Source::Secret { .. } | Source::Tmpfs { .. } => false,
    })
}

/// What the server would refuse, or take without acting on it: a Service to or from headless (T10); a claim that is not bound yet, which
/// holds no data and cannot grow (T9, T30).
fn cannot_become(kind: Kind, live: &Child, wanted: &Wanted) -> bool {
    match kind {
        Kind::Service => live.facts.headless != (wanted.object["spec"]["clusterIP"] == "None"),
        Kind::Claim => {
            live.facts.phase == "Pending"
                && wanted.object["spec"]["resources"]["requests"]["storage"] != live.facts.storage.as_str()
        }
        Kind::NetworkPolicy | Kind::ConfigMap | Kind::Deployment | Kind::Autoscaler | Kind::Pod => false,
    }
}

fn uid(child: &Child) -> String {
    child.meta.uid.clone().unwrap_or_default()
}

fn one_line(reason: &str, message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}
