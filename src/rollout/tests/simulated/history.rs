//! A history: a stack, what happens to it, and the rest that follows when nothing more goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;

use super::draft::{self, Draft, Edit};
use super::nodes::{self, Work, has_ended, service, starters};
use super::observer::Witness;
use super::operator::{Model, Operator};
use super::requests::{Fault, Pass};
use super::rest;
use super::server::{Object, Server, going};
use super::story::{Counts, say};
use crate::child::digest::Digest;
use crate::child::{Child, ChildId, Kind, ReplicasOwner, labels};

/// What happens next. Numbers choose among what is there.
#[derive(Clone, Debug)]
pub(super) enum Move {
    /// Kubernetes does something about a workload.
    Work(usize, Work),
    /// Pods that were told to go are gone.
    Reap,
    /// The operator makes a pass, after all watches have told all, or after nothing was told. `due`: what failed before may be tried again.
    Pass { up_to_date: bool, due: bool, fault: Fault, tells: u16 },
    /// Watches of some kinds tell some of their news, those of others none.
    Hear { kinds: u16, most: usize },
    /// A watch breaks and begins anew.
    Relist(usize),
    /// The user edits; the operator hears of it now or later.
    Edit(Edit, bool),
    /// Somebody else changes something.
    Drift(usize, Drift),
    /// Another stack that this one waits for is ready no more, or again.
    Unready(bool),
}

/// What others do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Drift {
    Delete,
    Edit,
    /// Takes our labels off: no watch shows it any more.
    Strip,
    Scale(i32),
    DeletePod,
    /// Has an object under a name that is wanted.
    Foreign,
}

pub(super) type History = (Draft, Vec<Move>, bool);

pub(super) fn history() -> impl Strategy<Value = History> {
    let at = || 0..64usize;
    let work = prop_oneof![
        1 => Just(Work::Observe),
        3 => Just(Work::Begin),
        6 => Just(Work::Complete),
        2 => Just(Work::Fail),
        1 => Just(Work::Hurt),
        1 => (2..6i32).prop_map(Work::Scale),
    ];
    let number = || 0..10usize;
    let fault = prop_oneof![
        6 => Just(Fault::None),
        3 => number().prop_map(Fault::Crash),
        2 => number().prop_map(Fault::Lost),
        1 => number().prop_map(Fault::Busy),
        1 => number().prop_map(Fault::Race),
    ];
    let drift = prop_oneof![
        3 => Just(Drift::Delete),
        2 => Just(Drift::Edit),
        1 => Just(Drift::Strip),
        1 => prop_oneof![Just(0), Just(3)].prop_map(Drift::Scale),
        1 => Just(Drift::DeletePod),
        1 => Just(Drift::Foreign),
    ];
    let pass = (any::<bool>(), any::<bool>(), fault, any::<u16>())
        .prop_map(|(up_to_date, due, fault, tells)| Move::Pass { up_to_date, due, fault, tells });
    let one = prop_oneof![
        10 => (at(), work).prop_map(|(at, work)| Move::Work(at, work)),
        2 => Just(Move::Reap),
        9 => pass,
        3 => (any::<u16>(), 1..4usize).prop_map(|(kinds, most)| Move::Hear { kinds, most }),
        1 => at().prop_map(Move::Relist),
        4 => (draft::edit(), prop::bool::weighted(0.8)).prop_map(|(edit, told)| Move::Edit(edit, told)),
        2 => (at(), drift).prop_map(|(at, drift)| Move::Drift(at, drift)),
        1 => any::<bool>().prop_map(Move::Unready),
    ];
    (draft::draft(), prop::collection::vec(one, 0..36), prop::bool::weighted(0.2))
}

pub(super) struct Cluster {
    pub(super) server: Server,
    pub(super) operator: Operator,
    pub(super) witness: Witness,
    pub(super) counts: Counts,
    pub(super) draft: Draft,
    pub(super) model: Arc<Model>,
    before: Draft,
}

/// Lives through a history, rests, and is deleted in order if the history says so.
pub(super) fn live((first, moves, is_deleted): &History) -> Counts {
    let mut cluster = Cluster::new(first.clone());
    say(|| format!("  stack{first:?}"));
    for step in moves {
        say(|| format!("  {step:?}"));
        cluster.live(step);
        cluster.witness.notes(&cluster.server);
    }
    say(|| "  all faults are over".into());
    rest::come_to_rest(&mut cluster);
    rest::is_as_wanted(&cluster);
    rest::is_as_made_anew(&cluster);
    rest::stays_at_rest(&mut cluster);
    if *is_deleted {
        say(|| "  the stack is deleted".into());
        rest::goes_in_order(&mut cluster, moves);
    }
    cluster.counts.histories = 1;
    cluster.counts
}

impl Cluster {
    pub(super) fn new(draft: Draft) -> Self {
        let model = Model::of(&draft.spec());
        Self::of(draft, model)
    }

    pub(super) fn of(draft: Draft, model: Arc<Model>) -> Self {
        Cluster {
            server: Server::default(),
            operator: Operator::new(model.clone()),
            witness: Witness::default(),
            counts: Counts::default(),
            before: draft.clone(),
            draft,
            model,
        }
    }

    fn live(&mut self, step: &Move) {
        match step {
            Move::Work(at, work) => {
                let all = starters(&self.server);
                if let Some(id) = all.get(at % all.len().max(1)) {
                    self.counts.failures += u64::from(matches!(work, Work::Fail | Work::Hurt));
                    nodes::work(&mut self.server, id, *work);
                }
            }
            Move::Reap => nodes::reap(&mut self.server),
            Move::Pass { up_to_date, due, fault, tells } => {
                if *up_to_date {
                    self.tell_all();
                }
                if *due {
                    self.operator.wait();
                }
                self.pass(*fault, *tells);
            }
            Move::Hear { kinds, most } => {
                for (bit, kind) in Kind::ALL.into_iter().enumerate() {
                    if kinds >> bit & 1 == 1 {
                        self.count_overtaken(kind);
                        self.operator.hear(&mut self.server, kind, *most);
                    }
                }
            }
            Move::Relist(at) => {
                self.counts.relists += 1;
                self.operator.list(&mut self.server, Kind::ALL[at % Kind::ALL.len()]);
            }
            Move::Edit(edit, told) => {
                self.counts.edits += 1;
                let next = self.draft.after(edit, &self.before);
                self.edit(next);
                if *told {
                    self.operator.read(&mut self.server, self.model.clone());
                }
            }
            Move::Drift(at, drift) => {
                self.counts.drifts += 1;
                self.drift(*at, *drift);
            }
            Move::Unready(unready) => {
                let why = || BTreeMap::from([("infra".to_owned(), "0/1 services ready".to_owned())]);
                self.operator.unready = if *unready { why() } else { BTreeMap::new() };
            }
        }
    }

    pub(super) fn edit(&mut self, next: Draft) {
        self.before = std::mem::replace(&mut self.draft, next);
        self.model = Model::of(&self.draft.spec());
        say(|| format!("    becomes{:?}", self.draft));
    }

    pub(super) fn tell_all(&mut self) {
        self.operator.hear_all(&mut self.server);
        if !Arc::ptr_eq(&self.operator.model, &self.model) {
            self.operator.read(&mut self.server, self.model.clone());
        }
    }

    /// Older news of other kinds are still to be told when this kind's are.
    fn count_overtaken(&mut self, kind: Kind) {
        let first = |kind: &Kind| self.server.first_news(*kind);
        if let Some(first_of_it) = first(&kind) {
            let overtaken = Kind::ALL.iter().filter_map(first).any(|other| other < first_of_it);
            self.counts.reordered += u64::from(overtaken);
        }
    }

    /// Returns how many requests were made. An operator that dies is followed by one that knows what the server has, and nothing else.
    pub(super) fn pass(&mut self, fault: Fault, tells: u16) -> usize {
        let mut pass =
            Pass { server: &mut self.server, witness: &mut self.witness, counts: &mut self.counts, fault, requests: 0 };
        let lives = self.operator.pass(&mut pass, tells);
        let requests = pass.requests;
        if !lives {
            self.restart();
        }
        requests
    }

    pub(super) fn restart(&mut self) {
        let unready = std::mem::take(&mut self.operator.unready);
        self.operator = Operator::new(self.model.clone());
        self.operator.unready = unready;
    }

    fn drift(&mut self, at: usize, drift: Drift) {
        let fits = |(id, object): &(&ChildId, &Object)| match drift {
            Drift::Delete => !matches!(id.kind, Kind::Claim | Kind::Pod),
            Drift::Edit => !matches!(id.kind, Kind::Claim | Kind::Pod | Kind::Record) && !has_ended(&object.child),
            Drift::Strip => {
                matches!(id.kind, Kind::Service | Kind::NetworkPolicy | Kind::ConfigMap | Kind::Budget | Kind::Ingress)
            }
            Drift::Scale(_) => id.kind.has_replicas(),
            Drift::DeletePod => id.kind == Kind::Pod,
            Drift::Foreign => false,
        };
        let all: Vec<ChildId> =
            self.server.objects.iter().filter(fits).filter(|(_, o)| !is_foreign(o)).map(|(id, _)| id.clone()).collect();
        if let Drift::Foreign = drift {
            let free: Vec<&ChildId> =
                self.model.wanted.keys().filter(|id| !self.server.objects.contains_key(*id)).collect();
            if let Some(id) = free.get(at % free.len().max(1)) {
                let mut child = Child::default();
                child.meta.name = Some(id.name.clone());
                child.meta.uid = Some("foreign".into());
                self.server.put(id, Object { child: Arc::new(child), body: Arc::new(Value::Null), hidden: true });
            }
            return;
        }
        let Some(id) = all.get(at % all.len().max(1)) else { return };
        say(|| format!("    {id}"));
        match drift {
            Drift::Delete => self.server.delete_anyway(id, false),
            Drift::Edit => self.server.alter(id, |child| {
                child.digest = Some(Digest::of(&Value::from("edited by hand")));
                child.meta.generation = child.meta.generation.map(|g| g + 1);
            }),
            Drift::Strip => {
                if let Some(mut object) = self.server.objects.get(id).cloned() {
                    Arc::make_mut(&mut object.child).meta.labels = None;
                    object.hidden = true;
                    self.server.put(id, object);
                }
            }
            Drift::Scale(count) => drop(self.server.scale(id, count, ReplicasOwner::Other)),
            Drift::DeletePod => {
                self.server.alter(id, going);
                for id in starters(&self.server) {
                    nodes::work(&mut self.server, &id, Work::Observe);
                }
            }
            Drift::Foreign => {}
        }
    }

    /// What only people can put right: objects of others under our names are gone, what has failed is to be tried again.
    pub(super) fn people_help(&mut self) {
        let foreign: Vec<ChildId> =
            self.server.objects.iter().filter(|(_, o)| is_foreign(o)).map(|(id, _)| id.clone()).collect();
        for id in &foreign {
            self.server.remove(id);
        }
        // Labels taken off, and at once wanted as what it cannot become.
        let stuck =
            self.operator.refused().filter(|id| self.server.objects.get(*id).is_some_and(|object| object.hidden));
        let stuck: Vec<ChildId> = stuck.cloned().collect();
        for id in &stuck {
            self.server.remove(id);
        }
        for id in starters(&self.server) {
            if self.server.child(&id).is_some_and(|job| job.facts.condition("Failed").is_some()) {
                self.server.delete_anyway(&id, false);
            }
            self.server.alter(&id, |child| {
                child.meta.annotations.get_or_insert_default().remove(labels::FAILED_REVISION);
            });
        }
    }

    /// Pods of a service that have not ended.
    pub(super) fn pods(&self, name: &str) -> impl Iterator<Item = &Object> {
        let name = name.to_owned();
        let pods = self.server.of_kind(Kind::Pod).map(|(_, pod)| pod);
        pods.filter(move |pod| service(&pod.child) == name && !pod.child.facts.pod.ended)
    }
}

fn is_foreign(object: &Object) -> bool {
    object.child.meta.uid.as_deref() == Some("foreign")
}
