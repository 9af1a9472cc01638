//! What is counted, and what is told of one history.

use std::cell::Cell;
use std::fmt;
use std::ops::AddAssign;

/// What the histories of a run were made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) histories: u64,
    pub(super) passes: u64,
    pub(super) plans: u64,
    pub(super) requests: u64,
    pub(super) refused: u64,
    pub(super) edits: u64,
    pub(super) crashes: u64,
    pub(super) lost: u64,
    pub(super) busy: u64,
    pub(super) races: u64,
    pub(super) stale: u64,
    pub(super) reordered: u64,
    pub(super) relists: u64,
    pub(super) drifts: u64,
    pub(super) failures: u64,
    pub(super) teardowns: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.histories += other.histories;
        self.passes += other.passes;
        self.plans += other.plans;
        self.requests += other.requests;
        self.refused += other.refused;
        self.edits += other.edits;
        self.crashes += other.crashes;
        self.lost += other.lost;
        self.busy += other.busy;
        self.races += other.races;
        self.stale += other.stale;
        self.reordered += other.reordered;
        self.relists += other.relists;
        self.drifts += other.drifts;
        self.failures += other.failures;
        self.teardowns += other.teardowns;
    }
}

thread_local! {
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

/// Tells one line of a history, where somebody listens.
pub(super) fn say(line: impl FnOnce() -> String) {
    if TELLS.get() {
        eprintln!("{}", line());
    }
}

/// Does something that is no part of the story.
pub(super) fn aside<T>(work: impl FnOnce() -> T) -> T {
    let told = TELLS.replace(false);
    let done = work();
    TELLS.set(told);
    done
}

/// Tells what happens in a history from now on, or no more.
pub(super) fn tell(tells: bool) {
    TELLS.set(tells);
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.histories, "histories"),
            (self.passes, "passes"),
            (self.plans, "plans"),
            (self.requests, "requests"),
            (self.refused, "requests refused"),
            (self.edits, "edits"),
            (self.crashes, "crashes"),
            (self.lost, "answers lost"),
            (self.busy, "requests that the server was too busy for"),
            (self.races, "writes by others just before ours"),
            (self.stale, "passes on a view that was not up to date"),
            (self.reordered, "events told before older ones of other kinds"),
            (self.relists, "watches begun anew"),
            (self.drifts, "changes by other hands"),
            (self.failures, "rollouts and Jobs that failed, nodes lost"),
            (self.teardowns, "stacks deleted in order"),
        ];
        all.iter().try_for_each(|(count, what)| writeln!(f, "{count:>9} {what}"))
    }
}
