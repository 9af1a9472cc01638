//! Checks that get no answer, in figures: a check that hangs costs its whole timeout, which Docker adds to the interval and the kubelet does not.
//!
//! Bad for good, Docker says unhealthy at most retries x (interval + timeout) after it; the kubelet after (failureThreshold - 1) x the longer of period and
//! timeout, and a period and a timeout. It is sooner without a start period, by at most retries x timeout; and later with one where the timeout is longer than
//! `startInterval`, for the threshold counts checks and each takes the timeout. No numbers of one probe hold for both a check that fails at once and one
//! that hangs, unless it runs interval x timeout / (interval + timeout) apart; a timeout of no more than `startInterval` keeps both near Docker's.

use super::*;

/// Seconds from the moment it hangs to Docker's verdict and to unready, and of one that always hung, from its start to Docker's verdict and to the kill.
type Hang = (Row, [&'static str; 4]);

#[rustfmt::skip]
const HANGS: [Hang; 7] = [
    // Nothing said: sooner than Docker.
    ((30_000, 30_000, 3, 0, 5000, IGNORE, (30, 30, 3), None), ["153.7-179.9", "93.7-119.9", "180.0", "never"]),
    // A start period, and the default timeout: later.
    ((30_000, 30_000, 3, 60_000, 5000, IGNORE, (5, 30, 18), None), ["151.2-177.4", "541.2-544.9", "250.0", "never"]),
    // The same with a timeout of startInterval: as with Docker, but for retries x timeout.
    ((30_000, 5000, 3, 60_000, 5000, IGNORE, (5, 5, 18), None), ["78.7-104.9", "91.2-94.9", "165.0", "never"]),
    ((10_000, 10_000, 5, 0, 5000, IGNORE, (10, 10, 5), None), ["91.2-99.9", "51.2-59.9", "100.0", "never"]),
    ((30_000, 30_000, 3, 0, 5000, RESTART, (30, 30, 3), Some((5, 30, 19))), ["153.7-179.9", "91.2-119.9", "180.0", "570.0-575.0"]),
    ((30_000, 30_000, 3, 60_000, 5000, RESTART, (30, 30, 3), Some((5, 30, 31))), ["151.2-177.4", "91.2-119.9", "250.0", "930.0-935.0"]),
    ((30_000, 5000, 3, 60_000, 5000, RESTART, (30, 5, 3), Some((5, 5, 31))), ["78.7-104.9", "66.2-94.9", "165.0", "155.0-160.0"]),
];

#[test]
fn a_check_that_hangs_is_counted_once_for_each_timeout() {
    let mut wrong = Vec::new();
    for (row, figures) in &HANGS {
        let check = Check::of(row);
        let probes = check.probes();
        let numbers = Numbers::of(probes.readiness.as_ref().unwrap());
        let mut seen = [const { Seen(None) }; 4];
        let (settled, until) = (10 * (check.interval + check.timeout), 100_000_000);
        for quarter in 0..8 {
            let bad = settled + check.interval * quarter / 8 + 1;
            let service = Service { changes: vec![0, bad], hangs: true };
            let ill = when(&docker(check, &service, until), false, bad).unwrap();
            assert!(ill - bad <= check.retries * (check.interval + check.timeout));
            seen[0].see(Some(ill - bad));
            for phase in PHASES {
                let kubelet = kubelet(&probes, phase, &service, until);
                let unready = when(&kubelet.ready, false, bad).unwrap() - bad;
                let most = (numbers.failures - 1) * numbers.cycle(true) + numbers.period + numbers.timeout;
                assert!(unready <= most, "{check:?}: {unready}, {most}");
                seen[1].see(Some(unready));
                assert_eq!(kubelet.killed.is_some(), check.restart);
            }
        }
        let never = Service { changes: Vec::new(), hangs: true };
        seen[2].see(when(&docker(check, &never, until), false, 0));
        for phase in PHASES {
            seen[3].see(kubelet(&probes, phase, &never, until).killed);
        }
        let found = seen.map(|seen| seen.to_string());
        if found != *figures {
            wrong.push(format!("{row:?}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
