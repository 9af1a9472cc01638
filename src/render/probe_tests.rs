//! Docker's health engine and the kubelet's probes, side by side on one clock.
//!
//! What the arithmetic promises, for every case of the table, whenever the kubelet's first check falls:
//!
//! - **Ready** at most one period after Docker would say healthy.
//! - **Unready** after at least `retries` failures in a row, no sooner than Docker could at the soonest ((retries - 1) x interval after it went bad) nor
//!   more than a period before Docker does, and at most an interval and a period after it.
//! - **`Ignore`** kills nothing, ever.
//! - **`Restart`** kills nothing that has never been healthy before startPeriod + retries x interval, and then within an interval and two
//!   periods of Docker's unhealthy; and what has been healthy by the same rule as unready.
//!
//! A period is `periodSeconds` of the probe in question. To "at most" comes what rounding a fraction of a second up to a whole one adds, once for each
//! check. A check that hangs takes its whole timeout: Docker waits for the interval after it, the kubelet does not, so its verdict comes
//! after failureThreshold x the longer of period and timeout, sooner than Docker's or later.

use super::*;

#[path = "probe_hang_tests.rs"]
mod hangs;
#[path = "probe_measured_tests.rs"]
mod measured;

const IGNORE: bool = false;
const RESTART: bool = true;

/// interval, timeout, retries, startPeriod, startInterval (ms) and onUnhealthy; then (period, timeout, failureThreshold) of readiness, which
/// liveness shares, and of startup.
type Row = (u64, u64, i32, u64, u64, bool, (i32, i32, i32), Option<(i32, i32, i32)>);

#[rustfmt::skip]
const TABLE: [Row; 66] = [
    (30_000, 30_000, 3, 0, 5000, IGNORE, (30, 30, 3), None),
    (10_000, 5000, 5, 0, 5000, IGNORE, (10, 5, 5), None),
    (30_000, 10_000, 3, 40_000, 5000, IGNORE, (5, 10, 18), None),
    (5000, 5000, 10, 0, 5000, IGNORE, (5, 5, 10), None),
    (10_000, 10_000, 10, 30_000, 5000, IGNORE, (5, 10, 20), None),
    (2000, 1000, 3, 40_000, 5000, IGNORE, (2, 1, 3), None),
    (1000, 1000, 30, 0, 5000, IGNORE, (1, 1, 30), None),
    (15_000, 5000, 3, 60_000, 1000, IGNORE, (1, 5, 45), None),
    (60_000, 10_000, 3, 300_000, 5000, IGNORE, (5, 10, 36), None),
    (20_000, 20_000, 1, 20_000, 5000, IGNORE, (5, 20, 4), None),
    (30_000, 5000, 2, 1000, 5000, IGNORE, (5, 5, 12), None),
    (7000, 1000, 2, 1000, 5000, IGNORE, (5, 1, 3), None),
    (7000, 3000, 3, 10_000, 3000, IGNORE, (3, 3, 7), None),
    (10_000, 1000, 1, 0, 5000, IGNORE, (10, 1, 1), None),
    (10_000, 1000, 1, 10_000, 1000, IGNORE, (1, 1, 10), None),
    (500, 100, 1, 0, 5000, IGNORE, (1, 1, 1), None),
    (500, 100, 5, 10_000, 5000, IGNORE, (1, 1, 5), None),
    (500, 250, 10, 10_000, 5000, IGNORE, (1, 1, 10), None),
    (1500, 1001, 2, 0, 5000, IGNORE, (2, 2, 2), None),
    (1500, 1001, 4, 20_000, 5000, IGNORE, (2, 2, 4), None),
    (1500, 1500, 3, 4000, 700, IGNORE, (1, 2, 5), None),
    (2500, 999, 6, 7500, 500, IGNORE, (1, 1, 15), None),
    (900, 900, 3, 900, 900, IGNORE, (1, 1, 3), None),
    (10_000, 500, 3, 5000, 100, IGNORE, (1, 1, 30), None),
    (5000, 2000, 3, 60_000, 20_000, IGNORE, (5, 2, 3), None),
    (5000, 2000, 3, 0, 20_000, IGNORE, (5, 2, 3), None),
    (1000, 1000, 3, 10_000, 10_000, IGNORE, (1, 1, 3), None),
    (10_000, 3000, 3, 25_000, 10_000, IGNORE, (10, 3, 3), None),
    (3_600_000, 60_000, 2, 600_000, 5000, IGNORE, (5, 60, 1440), None),
    (300_000, 30_000, 1000, 0, 5000, IGNORE, (300, 30, 1000), None),
    (30_000, 30_000, 3, 3_600_000, 5000, IGNORE, (5, 30, 18), None),
    (6000, 2000, 7, 13_000, 4000, IGNORE, (4, 2, 11), None),
    (45_000, 15_000, 4, 90_000, 7000, IGNORE, (7, 15, 26), None),
    (30_000, 30_000, 3, 0, 5000, RESTART, (30, 30, 3), Some((5, 30, 19))),
    (10_000, 5000, 5, 0, 5000, RESTART, (10, 5, 5), Some((5, 5, 11))),
    (30_000, 10_000, 3, 40_000, 5000, RESTART, (30, 10, 3), Some((5, 10, 27))),
    (5000, 5000, 10, 0, 5000, RESTART, (5, 5, 10), Some((5, 5, 11))),
    (10_000, 10_000, 10, 30_000, 5000, RESTART, (10, 10, 10), Some((5, 10, 27))),
    (2000, 1000, 3, 40_000, 5000, RESTART, (2, 1, 3), Some((2, 1, 24))),
    (1000, 1000, 30, 0, 5000, RESTART, (1, 1, 30), Some((1, 1, 31))),
    (15_000, 5000, 3, 60_000, 1000, RESTART, (15, 5, 3), Some((1, 5, 106))),
    (60_000, 10_000, 3, 300_000, 5000, RESTART, (60, 10, 3), Some((5, 10, 97))),
    (20_000, 20_000, 1, 20_000, 5000, RESTART, (20, 20, 1), Some((5, 20, 9))),
    (30_000, 5000, 2, 1000, 5000, RESTART, (30, 5, 2), Some((5, 5, 14))),
    (7000, 1000, 2, 1000, 5000, RESTART, (7, 1, 2), Some((5, 1, 4))),
    (7000, 3000, 3, 10_000, 3000, RESTART, (7, 3, 3), Some((3, 3, 12))),
    (10_000, 1000, 1, 0, 5000, RESTART, (10, 1, 1), Some((5, 1, 3))),
    (10_000, 1000, 1, 10_000, 1000, RESTART, (10, 1, 1), Some((1, 1, 21))),
    (500, 100, 1, 0, 5000, RESTART, (1, 1, 1), Some((1, 1, 2))),
    (500, 100, 5, 10_000, 5000, RESTART, (1, 1, 5), Some((1, 1, 14))),
    (500, 250, 10, 10_000, 5000, RESTART, (1, 1, 10), Some((1, 1, 16))),
    (1500, 1001, 2, 0, 5000, RESTART, (2, 2, 2), Some((2, 2, 3))),
    (1500, 1001, 4, 20_000, 5000, RESTART, (2, 2, 4), Some((2, 2, 14))),
    (1500, 1500, 3, 4000, 700, RESTART, (2, 2, 3), Some((1, 2, 10))),
    (2500, 999, 6, 7500, 500, RESTART, (3, 1, 6), Some((1, 1, 24))),
    (900, 900, 3, 900, 900, RESTART, (1, 1, 3), Some((1, 1, 5))),
    (10_000, 500, 3, 5000, 100, RESTART, (10, 1, 3), Some((1, 1, 36))),
    (5000, 2000, 3, 60_000, 20_000, RESTART, (5, 2, 3), Some((5, 2, 16))),
    (5000, 2000, 3, 0, 20_000, RESTART, (5, 2, 3), Some((5, 2, 4))),
    (1000, 1000, 3, 10_000, 10_000, RESTART, (1, 1, 3), Some((1, 1, 14))),
    (10_000, 3000, 3, 25_000, 10_000, RESTART, (10, 3, 3), Some((10, 3, 7))),
    (3_600_000, 60_000, 2, 600_000, 5000, RESTART, (3600, 60, 2), Some((5, 60, 1561))),
    (300_000, 30_000, 1000, 0, 5000, RESTART, (300, 30, 1000), Some((5, 30, 60_001))),
    (30_000, 30_000, 3, 3_600_000, 5000, RESTART, (30, 30, 3), Some((5, 30, 739))),
    (6000, 2000, 7, 13_000, 4000, RESTART, (6, 2, 7), Some((4, 2, 15))),
    (45_000, 15_000, 4, 90_000, 7000, RESTART, (45, 15, 4), Some((7, 15, 40))),
];

/// The numbers of a health check, in ms.
#[derive(Clone, Copy, Debug)]
struct Check {
    interval: u64,
    timeout: u64,
    retries: u64,
    start_period: u64,
    start_interval: u64,
    restart: bool,
}

impl Check {
    fn of(row: &Row) -> Check {
        let (interval, timeout, retries, start_period, start_interval, restart, ..) = *row;
        let retries = u64::try_from(retries).unwrap();
        Check { interval, timeout, retries, start_period, start_interval, restart }
    }

    fn probes(self) -> Probes {
        probes(&Health {
            probe: stack::Probe::Exec(vec!["true".into()]),
            interval: Duration::from_millis(self.interval),
            timeout: Duration::from_millis(self.timeout),
            retries: i32::try_from(self.retries).unwrap(),
            start_period: Duration::from_millis(self.start_period),
            start_interval: Duration::from_millis(self.start_interval),
            restart: self.restart,
        })
    }
}

/// The process in the container: not healthy at its start, and the other way round from each of these moments on.
#[derive(Debug)]
struct Service {
    changes: Vec<u64>,
    /// A check of it while it is not healthy gets no answer at all.
    hangs: bool,
}

impl Service {
    /// The outcome of a check that begins at `at`, and when it is known.
    fn asked(&self, at: u64, timeout: u64) -> (bool, u64) {
        let healthy = self.changes.iter().filter(|change| **change <= at).count() % 2 == 1;
        (healthy, if healthy || !self.hangs { at } else { at + timeout })
    }
}

/// Docker's engine (moby: daemon/health.go): when it said healthy (true) or unhealthy. The timer starts anew when a check has ended.
fn docker(check: Check, service: &Service, until: u64) -> Vec<(u64, bool)> {
    let mut said: Vec<(u64, bool)> = Vec::new();
    let (mut now, mut streak) = (0, 0);
    loop {
        let starting = said.is_empty();
        let wait = if starting && now < check.start_period { check.start_interval } else { check.interval };
        let begun = now + wait;
        if begun > until {
            return said;
        }
        let (healthy, ended) = service.asked(begun, check.timeout);
        now = ended;
        let counts = !(starting && begun < check.start_period);
        streak = if healthy { 0 } else { streak + u64::from(counts) };
        if healthy || streak >= check.retries {
            say(&mut said, now, healthy);
        }
    }
}

fn say(said: &mut Vec<(u64, bool)>, at: u64, what: bool) {
    if said.last().is_none_or(|(_, last)| *last != what) {
        said.push((at, what));
    }
}

/// A probe's numbers, in ms.
#[derive(Clone, Copy)]
struct Numbers {
    period: u64,
    timeout: u64,
    failures: u64,
}

impl Numbers {
    fn of(probe: &Probe) -> Numbers {
        assert_eq!((probe.success_threshold, probe.initial_delay_seconds), (Some(1), None));
        let number = |n: Option<i32>| u64::try_from(n.unwrap()).unwrap();
        Numbers {
            period: 1000 * number(probe.period_seconds),
            timeout: 1000 * number(probe.timeout_seconds),
            failures: number(probe.failure_threshold),
        }
    }

    /// From one check that fails to the next.
    fn cycle(self, hangs: bool) -> u64 {
        if hangs { self.period.max(self.timeout) } else { self.period }
    }
}

/// One worker of the kubelet (pkg/kubelet/prober/worker.go): when it came to another verdict. It asks at every tick; a tick that passes while a check is
/// under way is made up for at once.
fn worker(probe: Numbers, first: u64, service: &Service, until: u64, last: impl Fn(bool) -> bool) -> Vec<(u64, bool)> {
    let mut said = Vec::new();
    let (mut begun, mut streak) = (first, 0);
    while begun <= until {
        let (healthy, ended) = service.asked(begun, probe.timeout);
        streak = if healthy { 0 } else { streak + 1 };
        if healthy || streak >= probe.failures {
            say(&mut said, ended, healthy);
            if last(healthy) {
                break;
            }
        }
        let tick = first + ((begun - first) / probe.period + 1) * probe.period;
        begun = tick.max(ended);
    }
    said
}

#[derive(Debug, Default)]
struct Kubelet {
    ready: Vec<(u64, bool)>,
    killed: Option<u64>,
}

/// The kubelet up to the first kill. Its ticks stand to the start of the container as chance has it: `phase` quarters of a period after it.
fn kubelet(probes: &Probes, phase: u64, service: &Service, until: u64) -> Kubelet {
    let after = |from: u64, probe: Numbers| from + probe.period * phase / 4;
    let mut started = 0;
    if let Some(startup) = probes.startup.as_ref().map(Numbers::of) {
        match worker(startup, after(0, startup), service, until, |_| true).first() {
            Some((at, true)) => started = *at,
            killed => return Kubelet { ready: Vec::new(), killed: killed.map(|(at, _)| *at) },
        }
    }
    let readiness = Numbers::of(probes.readiness.as_ref().unwrap());
    // A container that has just started up is asked at once.
    let first = if probes.startup.is_some() { started } else { after(0, readiness) };
    let liveness = probes.liveness.as_ref().map(Numbers::of);
    let killed = liveness.and_then(|liveness| {
        let verdicts = worker(liveness, after(started, liveness), service, until, |alive| !alive);
        verdicts.into_iter().find(|(_, alive)| !alive).map(|(at, _)| at)
    });
    Kubelet { ready: worker(readiness, first, service, until, |_| false), killed }
}

fn when(said: &[(u64, bool)], what: bool, from: u64) -> Option<u64> {
    said.iter().find(|(at, said)| *said == what && *at >= from).map(|(at, _)| *at)
}

/// The least and the most that was seen.
struct Seen(Option<(u64, u64)>);

impl Seen {
    fn see(&mut self, at: Option<u64>) {
        let Some(at) = at else { return };
        self.0 = Some(self.0.map_or((at, at), |(least, most)| (least.min(at), most.max(at))));
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |ms: u64| format!("{}.{}", ms / 1000, ms % 1000 / 100);
        let text = match self.0 {
            None => "never".into(),
            Some((least, most)) if least == most => seconds(least),
            Some((least, most)) => format!("{}-{}", seconds(least), seconds(most)),
        };
        f.pad(&text)
    }
}

const PHASES: std::ops::RangeInclusive<u64> = 0..=4;

/// What is to be at least and at most, said with everything that led to it.
fn within(what: &str, at: Option<u64>, least: u64, most: u64, context: &impl std::fmt::Debug) {
    let at = at.unwrap_or_else(|| panic!("{what}: never, {context:?}"));
    assert!((least..=most).contains(&at), "{what} at {at}, not from {least} to {most}: {context:?}");
}

fn rounding(exact: u64, rounded: u64, times: u64) -> u64 {
    rounded.saturating_sub(exact) * times
}

#[test]
fn each_case_has_its_probes() {
    for row in &TABLE {
        let probes = Check::of(row).probes();
        let numbers = |probe: &Probe| {
            assert_eq!((probe.success_threshold, probe.initial_delay_seconds), (Some(1), None));
            (probe.period_seconds.unwrap(), probe.timeout_seconds.unwrap(), probe.failure_threshold.unwrap())
        };
        assert_eq!(probes.readiness.as_ref().map(numbers), Some(row.6), "{row:?}");
        assert_eq!(probes.startup.as_ref().map(numbers), row.7, "{row:?}");
        let liveness = probes.liveness.as_ref().map(numbers);
        assert_eq!(liveness, (row.5 == RESTART).then_some(row.6), "{row:?}");
    }
}

/// Healthy from `healthy` on: nobody is killed, ready in time. Then bad for good: unready in time, and killed in time or not at all.
fn healthy_then_bad(check: Check, healthy: u64, hangs: bool, columns: &mut [Seen; 5]) {
    let probes = check.probes();
    let steady = Numbers::of(probes.readiness.as_ref().unwrap());
    let starting = probes.startup.as_ref().map_or(steady, Numbers::of);
    let hung = if hangs { starting.timeout } else { 0 };
    // Late enough for everybody to have seen it healthy.
    let bad = healthy + check.start_interval + 3 * (check.interval + steady.timeout) + steady.period + 777;
    let until = bad + 3 * (steady.failures + 2) * (steady.period + steady.timeout);
    let service = Service { changes: vec![healthy, bad], hangs };
    let docker = docker(check, &service, until);
    let docker_healthy = when(&docker, true, healthy).unwrap();
    let docker_unhealthy = when(&docker, false, bad).unwrap();
    if !hangs {
        columns[0].see(Some(docker_healthy - healthy));
        columns[2].see(Some(docker_unhealthy - bad));
    }
    for phase in PHASES {
        let kubelet = kubelet(&probes, phase, &service, until);
        let context = (check, &service, phase, &docker, &kubelet);
        let ready = when(&kubelet.ready, true, 0);
        within("ready", ready, healthy, docker_healthy + starting.period + hung, &context);

        let soonest = bad + (check.retries - 1) * check.interval;
        let unready = when(&kubelet.ready, false, bad);
        let most =
            bad + steady.period + (steady.failures - 1) * steady.cycle(hangs) + if hangs { steady.timeout } else { 0 };
        within("unready", unready, soonest, most, &context);
        if !hangs {
            let rounded = rounding(check.interval * check.retries, steady.period * steady.failures, 1);
            let latest = docker_unhealthy + check.interval + steady.period + rounded;
            within("unready", unready, docker_unhealthy.saturating_sub(steady.period), latest, &context);
            columns[1].see(ready.map(|at| at - healthy));
            columns[3].see(unready.map(|at| at - bad));
        }
        if check.restart {
            within("killed", kubelet.killed, soonest, most, &context);
            if !hangs {
                let rounded = rounding(check.interval, steady.period, check.retries);
                within("killed", kubelet.killed, 0, docker_unhealthy + check.interval + rounded, &context);
            }
        } else {
            assert_eq!(kubelet.killed, None, "{context:?}");
        }
    }
}

/// Never healthy: never ready, and killed neither too soon nor too late, or not at all.
fn never_healthy(check: Check, hangs: bool, columns: &mut [Seen; 5]) {
    let probes = check.probes();
    let service = Service { changes: Vec::new(), hangs };
    let last = check.start_period + check.retries * check.interval;
    let most = probes
        .startup
        .as_ref()
        .map(Numbers::of)
        .map_or(0, |p| p.period + (p.failures - 1) * p.cycle(hangs) + p.timeout);
    let until = 2 * (most + last + check.start_interval + check.retries * (check.interval + check.timeout));
    let docker = docker(check, &service, until);
    let docker_unhealthy = when(&docker, false, 0).unwrap();
    for phase in PHASES {
        let kubelet = kubelet(&probes, phase, &service, until);
        let context = (check, &service, phase, &docker, &kubelet);
        assert_eq!(when(&kubelet.ready, true, 0), None, "{context:?}");
        let Some(startup) = probes.startup.as_ref().map(Numbers::of) else {
            assert_eq!(kubelet.killed, None, "{context:?}");
            continue;
        };
        within("killed at the start", kubelet.killed, last, most, &context);
        if !hangs {
            // Where rounding makes the checks fewer than `retries`, there are `retries` of them.
            let rounded =
                rounding(check.start_period + check.retries * check.interval, startup.period * startup.failures, 1);
            let latest = docker_unhealthy + check.interval + 2 * startup.period + rounded;
            within("killed at the start", kubelet.killed, 0, latest, &context);
            columns[4].see(kubelet.killed);
        }
    }
}

/// The table in seconds: `cargo test --lib the_kubelet_keeps_what -- --nocapture` prints it.
#[test]
fn the_kubelet_keeps_what_docker_promises() {
    println!(
        "{:>9} {:>8} {:>7} {:>11} {:>13} {:>11} | {:>14} {:>14} | {:>13} {:>13} | {:>15} {:>15} | {:>13}",
        "interval",
        "timeout",
        "retries",
        "startPeriod",
        "startInterval",
        "onUnhealthy",
        "readiness",
        "startup",
        "docker: well",
        "ready",
        "docker: ill",
        "unready",
        "killed at start",
    );
    for row in &TABLE {
        let check = Check::of(row);
        let mut columns = [const { Seen(None) }; 5];
        let late = check.start_period + (check.retries - 1) * check.interval;
        for hangs in [false, true] {
            for healthy in [0, 1, check.start_period / 2 + 333, check.start_period, late / 2 + 1, late] {
                healthy_then_bad(check, healthy, hangs, &mut columns);
            }
            never_healthy(check, hangs, &mut columns);
        }
        let seconds = |ms: u64| format!("{}", Duration::from_millis(ms).as_secs_f64());
        let [well, ready, ill, unready, killed] = columns;
        println!(
            "{:>9} {:>8} {:>7} {:>11} {:>13} {:>11} | {:>14} {:>14} | {well:>13} {ready:>13} | {ill:>15} {unready:>15} | {killed:>13}",
            seconds(check.interval),
            seconds(check.timeout),
            check.retries,
            seconds(check.start_period),
            seconds(check.start_interval),
            if check.restart { "Restart" } else { "Ignore" },
            format!("{:?}", row.6),
            row.7.map_or("-".into(), |startup| format!("{startup:?}")),
        );
    }
}
