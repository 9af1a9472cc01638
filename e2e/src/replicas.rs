//! The no-dip law: counts of a workload over time.

use crate::observer::Seen;
use crate::workload::{available, wanted};

/// The counts of a workload at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// `spec.replicas`.
    pub wanted: i64,
    /// Pods that are available.
    pub available: i64,
}

/// The counts over time, without repetitions. `history` is that of one workload, in order.
pub fn over_time(history: &[Seen]) -> Vec<Counts> {
    let mut counts: Vec<Counts> = history
        .iter()
        .filter(|seen| !seen.deleted)
        .map(|seen| Counts { wanted: wanted(seen.kind, &seen.object), available: available(seen.kind, &seen.object) })
        .collect();
    counts.dedup();
    counts
}

/// Fails if, once `least` pods were wanted or available, fewer ever were.
pub fn assert_no_dip(history: &[Seen], least: i64) {
    let counts = over_time(history);
    for (what, of) in [("wanted", (|c| c.wanted) as fn(&Counts) -> i64), ("available", |c| c.available)] {
        let reached = counts.iter().skip_while(|c| of(c) < least);
        assert!(counts.iter().any(|c| of(c) >= least), "{least} pods were never {what}: {counts:?}");
        let dip = reached.copied().find(|c| of(c) < least);
        assert!(dip.is_none(), "expected never fewer than {least} pods {what}, saw {dip:?} in {counts:?}");
    }
}
