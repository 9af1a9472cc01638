//! One request after the other, and what becomes of each.

use super::observer::Witness;
use super::operator::Model;
use super::server::{Failure, Server};
use super::story::{Counts, say};
use crate::child::{Child, ChildId};

/// What goes wrong with one request of a pass, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The operator dies after so many.
    Crash(usize),
    /// The server does it, and its answer is lost.
    Lost(usize),
    /// The server does not do it now.
    Busy(usize),
    /// Somebody else writes to that object first.
    Race(usize),
}

/// One pass on its way.
pub(super) struct Pass<'a> {
    pub(super) server: &'a mut Server,
    pub(super) witness: &'a mut Witness,
    pub(super) counts: &'a mut Counts,
    pub(super) fault: Fault,
    pub(super) requests: usize,
}

/// It has died.
pub(super) struct Dead;

impl Pass<'_> {
    /// One request, and what becomes of it.
    pub(super) fn request<T>(
        &mut self,
        id: &ChildId,
        call: impl FnOnce(&mut Server) -> Result<T, Failure>,
    ) -> Result<Result<T, Failure>, Dead> {
        let number = self.requests;
        self.requests += 1;
        match self.fault {
            Fault::Crash(after) if number >= after => {
                self.counts.crashes += 1;
                return Err(Dead);
            }
            Fault::Busy(at) if number == at => {
                self.counts.busy += 1;
                return Ok(Err(Failure::Transient));
            }
            Fault::Race(at) if number == at && self.server.objects.contains_key(id) => {
                self.counts.races += 1;
                self.server.alter(id, |child| {
                    let notes = child.meta.annotations.get_or_insert_default();
                    let turn = notes.get("somebody/else").map_or(0, String::len);
                    notes.insert("somebody/else".into(), "x".repeat(turn + 1));
                });
            }
            _ => {}
        }
        let answer = call(self.server);
        self.counts.requests += 1;
        self.counts.refused += u64::from(answer.is_err());
        say(|| {
            format!(
                "    {id}{}",
                match &answer {
                    Ok(_) => String::new(),
                    Err(failure) => format!(": {failure:?}"),
                }
            )
        });
        if self.fault == Fault::Lost(number) {
            self.counts.lost += 1;
            return Ok(Err(Failure::Transient));
        }
        Ok(answer)
    }

    /// A request that may start pods: a witness looks on.
    pub(super) fn start(
        &mut self,
        model: &Model,
        id: &ChildId,
        goes_back: bool,
        call: impl FnOnce(&mut Server) -> Result<Child, Failure>,
    ) -> Result<Result<Child, Failure>, Dead> {
        let was = self.server.objects.get(id).map(|object| object.child.clone());
        let answer = self.request(id, call);
        let is = self.server.objects.get(id).map(|object| object.child.clone());
        self.witness.sees(model, self.server, id, (was.as_deref(), is.as_deref()), goes_back);
        answer
    }
}
