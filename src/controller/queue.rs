//! Which stack is looked at next. Pure: time and jitter are arguments.
//!
//! A stack has one place however often it is woken, first come first served, at most `window` at once, never the same one twice at once. One that failed waits
//! out its own delay: news of its children does not shorten it, news of its spec does.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::backoff::delay;

/// Why a stack is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its spec has changed: whatever failed before may go well now.
    Spec,
    /// A child of it has.
    Child,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to do until something changes.
    Settled,
    /// To be looked at again at this instant.
    At(Instant),
    /// To be tried again after a delay.
    Failed,
}

/// Stacks that wait for their turn.
#[derive(Debug)]
pub struct Queue<K> {
    window: usize,
    running: usize,
    ready: VecDeque<K>,
    timers: BTreeSet<(Instant, K)>,
    places: HashMap<K, Place>,
}

#[derive(Debug, Default)]
struct Place {
    /// Since when it waits for its turn.
    queued: Option<Instant>,
    /// How long it has waited for the pass that runs.
    waited: Duration,
    running: bool,
    again: Option<Why>,
    failures: u32,
    retry: Option<Instant>,
    timer: Option<Instant>,
}

impl<K: Clone + Ord + Hash> Queue<K> {
    /// With room for `window` passes at once.
    pub fn new(window: usize) -> Self {
        Queue { window, running: 0, ready: VecDeque::new(), timers: BTreeSet::new(), places: HashMap::new() }
    }

    /// Something about `key` has changed.
    pub fn wake(&mut self, key: K, why: Why, now: Instant) {
        let place = self.places.entry(key.clone()).or_default();
        if why == Why::Spec {
            (place.failures, place.retry) = (0, None);
        }
        if place.running {
            place.again = if place.again == Some(Why::Spec) { place.again } else { Some(why) };
            return;
        }
        if place.queued.is_some() || place.retry.is_some_and(|at| at > now) {
            return;
        }
        place.queued = Some(now);
        self.ready.push_back(key);
    }

    /// The one to start now, if one is due and there is room.
    pub fn start(&mut self, now: Instant) -> Option<K> {
        while let Some((at, key)) = self.timers.first().cloned()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(place) = self.places.get_mut(&key) {
                (place.timer, place.retry) = (None, None);
            }
            self.wake(key, Why::Child, now);
        }
        if self.running == self.window {
            return None;
        }
        let key = self.ready.pop_front()?;
        let place = self.places.get_mut(&key)?;
        place.waited = place.queued.take().map_or(Duration::ZERO, |since| now - since);
        place.running = true;
        self.running += 1;
        if let Some(at) = place.timer.take() {
            self.timers.remove(&(at, key.clone()));
        }
        Some(key)
    }

    /// How long the stack that was started has waited for its turn.
    pub fn waited(&self, key: &K) -> Duration {
        self.places.get(key).map_or(Duration::ZERO, |place| place.waited)
    }

    /// How many wait for their turn.
    pub fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// The pass over `key` has ended. `jitter` is in 0..1.
    pub fn finish(&mut self, key: K, outcome: Outcome, jitter: f64, now: Instant) {
        let Some(place) = self.places.get_mut(&key) else { return };
        place.running = false;
        self.running = self.running.saturating_sub(1);
        let again = place.again.take();
        let timer = match outcome {
            Outcome::Settled => {
                place.failures = 0;
                None
            }
            Outcome::At(at) => {
                place.failures = 0;
                Some(at)
            }
            Outcome::Failed => {
                place.failures += 1;
                place.retry = Some(now + delay(place.failures, jitter));
                place.retry
            }
        };
        place.timer = timer;
        if let Some(at) = timer {
            self.timers.insert((at, key.clone()));
        }
        match (again, timer) {
            (Some(why), _) => self.wake(key, why, now),
            (None, None) => {
                self.places.remove(&key);
            }
            (None, Some(_)) => {}
        }
    }

    /// When [`Queue::start`] may have something although nothing was woken.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether no pass is running.
    pub fn is_idle(&self) -> bool {
        self.running == 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::controller::backoff::FIRST;

    #[test]
    fn many_wakes_are_one_run_and_first_come_is_first_served() {
        let (mut queue, now) = (Queue::new(1), Instant::now());
        for key in ["a", "b", "a", "c", "a"] {
            queue.wake(key, Why::Child, now);
        }
        for key in ["a", "b", "c"] {
            assert_eq!(queue.start(now), Some(key));
            assert_eq!(queue.start(now), None);
            queue.finish(key, Outcome::Settled, 0.0, now);
        }
        assert_eq!(queue.start(now), None);
        assert!(queue.places.is_empty());
    }

    #[test]
    fn a_wake_during_a_run_runs_once_more() {
        let (mut queue, now) = (Queue::new(8), Instant::now());
        queue.wake("a", Why::Child, now);
        queue.start(now);
        queue.wake("a", Why::Child, now);
        queue.wake("a", Why::Child, now);
        assert_eq!(queue.start(now), None);
        queue.finish("a", Outcome::Settled, 0.0, now);
        assert_eq!(queue.start(now), Some("a"));
    }

    #[test]
    fn a_failed_stack_waits_out_its_delay_unless_its_spec_changes() {
        let (mut queue, now) = (Queue::new(8), Instant::now());
        queue.wake("a", Why::Child, now);
        queue.start(now);
        queue.finish("a", Outcome::Failed, 1.0, now);
        queue.wake("a", Why::Child, now);
        assert_eq!(queue.start(now), None);
        assert_eq!(queue.start(now + FIRST), Some("a"));
        queue.finish("a", Outcome::Failed, 1.0, now);
        queue.wake("a", Why::Spec, now);
        assert_eq!(queue.start(now), Some("a"));
    }

    #[test]
    fn a_new_spec_during_a_failing_run_is_tried_at_once() {
        let (mut queue, now) = (Queue::new(8), Instant::now());
        queue.wake("a", Why::Child, now);
        queue.start(now);
        queue.wake("a", Why::Spec, now);
        queue.wake("a", Why::Child, now);
        queue.finish("a", Outcome::Failed, 1.0, now);
        assert_eq!(queue.start(now), Some("a"));
    }

    #[test]
    fn a_deadline_comes_at_its_instant() {
        let (mut queue, now) = (Queue::new(8), Instant::now());
        let at = now + Duration::from_secs(9);
        queue.wake("a", Why::Child, now);
        queue.start(now);
        queue.finish("a", Outcome::At(at), 0.0, now);
        assert_eq!(queue.start(now), None);
        assert_eq!(queue.next_timer(), Some(at));
        assert_eq!(queue.start(at), Some("a"));
    }
}
