//! Draws histories by number, on all cores, and replays one.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::Instant;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::history::{History, history, live};
use super::story::{Counts, tell};

/// Number of the first history, unless `LAWS_SEED` says another, or `random`. It is fixed, so that a change is judged by the same histories as the one before
/// it, and nobody's run fails by what somebody else broke; who looks for more says `random`.
const SEED: u64 = 0x5eed;
/// Histories in `cargo test`, unless `LAWS_HISTORIES` says more; `make laws` does.
const HISTORIES: u64 = 200;

thread_local! {
    /// Panics of this thread are results, and told by whoever asked for them.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

#[test]
fn any_history_keeps_the_laws_and_comes_to_rest_as_if_made_anew() {
    let first = match std::env::var("LAWS_SEED").as_deref() {
        Err(_) => SEED,
        Ok("random") => random(),
        Ok(text) => number(text),
    };
    let count = std::env::var("LAWS_HISTORIES").map_or(HISTORIES, |text| number(&text));
    let began = Instant::now();
    let (counts, broken) = draw(first, count);
    println!("seed {first:#x}, {:.1} s\n{counts}", began.elapsed().as_secs_f32());
    if let Some(seed) = broken {
        retell(seed);
        panic!(
            "a law is broken by history {seed:#x}, number {} of this run. Again, alone:\n  LAWS_SEED={seed:#x} LAWS_HISTORIES=1 cargo test --lib simulated -- --nocapture",
            seed.wrapping_sub(first)
        );
    }
}

fn number(text: &str) -> u64 {
    let parsed = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16));
    parsed.unwrap_or_else(|_| panic!("'{text}' must be a number, such as 24301 or 0x5eed"))
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() >> 16
}

/// Draws so many histories. Returns what they were made of, and the number of one that breaks a law: the lowest of those that were found.
fn draw(first: u64, count: u64) -> (Counts, Option<u64>) {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (counts, broken) = (Mutex::new(Counts::default()), Mutex::new(None::<u64>));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                be_quiet();
                let mut sum = Counts::default();
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        break;
                    }
                    let seed = first.wrapping_add(at);
                    if let Ok(counted) = one(seed, 0) {
                        sum += counted;
                        continue;
                    }
                    stop.store(true, Ordering::Relaxed);
                    let mut broken = broken.lock().unwrap();
                    *broken = Some(broken.map_or(seed, |other| other.min(seed)));
                }
                *counts.lock().unwrap() += sum;
            });
        }
    });
    (counts.into_inner().unwrap(), broken.into_inner().unwrap())
}

/// One history by its number; what breaks a law is made smaller, in so many tries.
fn one(seed: u64, shrink: u32) -> Result<Counts, Box<(String, History)>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: 1, failure_persistence: None, max_shrink_iters: shrink, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let counted = Cell::new(Counts::default());
    let outcome = runner.run(&history(), |history| {
        let lived = panic::catch_unwind(AssertUnwindSafe(|| live(&history)));
        lived.map(|counts| counted.set(counts)).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            TestCaseError::fail(text.unwrap_or_default())
        })
    });
    match outcome {
        Ok(()) => Ok(counted.get()),
        Err(TestError::Fail(reason, history)) => Err(Box::new((reason.to_string(), history))),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}

/// Makes a history that breaks a law smaller, and tells it step by step.
fn retell(seed: u64) {
    be_quiet();
    if let Err(broken) = one(seed, 4000) {
        let (why, history) = *broken;
        eprintln!("history {seed:#x}, made as small as it gets:");
        tell(true);
        let _ = panic::catch_unwind(AssertUnwindSafe(|| live(&history)));
        tell(false);
        eprintln!("  {why}");
    }
    QUIET.set(false);
}

fn be_quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                others(info);
            }
        }));
    });
    QUIET.set(true);
}
