//! `make bench-compose`: how long a Compose file of 1,000 services takes to load, from bytes to the checked project.

// A benchmark that cannot run has nothing to say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use appstack::compose::account::Account;
use appstack::compose::files::Memory;
use appstack::compose::{Options, load};

const SERVICES: usize = 1000;
const RUNS: usize = 31;
const GOAL: Duration = Duration::from_millis(100);

fn main() {
    let text = big();
    let size = text.len();
    let files: Memory = [(PathBuf::from("/p/compose.yaml"), text.into_bytes())].into();
    let options = Options { folder: "/p".into(), ..Options::default() };
    let loaded = load(&files, &options);
    assert_eq!(loaded.project.as_ref().unwrap().services().count(), SERVICES);
    let account: Account<()> = Account::of(&loaded);
    println!("{SERVICES} services, {} kB, {} keys", size / 1024, account.keys().len());
    let load = time("load", || load(&files, &options));
    time("account", || Account::<()>::of(&loaded));
    if load > GOAL {
        println!("loading took longer than {GOAL:?}");
        std::process::exit(1);
    }
}

/// What services have in files that people write: both forms of most keys, anchors, variables.
fn big() -> String {
    let mut text = String::from(
        "x-common: &common\n  restart: unless-stopped\n  logging: {driver: json-file, options: {max-size: 10m}}\nservices:\n",
    );
    for n in 0..SERVICES {
        text.push_str(&format!(
            "  service-{n}:
    <<: *common
    image: registry.example/team/service-{n}:${{TAG:-1.4.0}}
    command: serve --port 8080 --peer 'service-{peer}'
    environment:
      LOG_LEVEL: ${{LOG_LEVEL:-info}}
      PEER: service-{peer}
      PORT: 8080
      DATABASE_URL: postgres://app:${{PASSWORD:-secret}}@service-{peer}:5432/app
    ports:
      - '{port}:8080'
      - target: 9090
    networks: [net-{net}, default]
    volumes:
      - data-{n}:/var/lib/data
      - ./config/service-{n}:/etc/service:ro
    healthcheck:
      test: [CMD, curl, -f, http://localhost:8080/health]
      interval: 10s
      timeout: 5s
      retries: 3
    deploy:
      replicas: 2
      resources:
        limits: {{cpus: '0.5', memory: 256M}}
        reservations: {{memory: 128M}}
    labels: [team=a, tier={net}]
",
            peer = n / 2,
            port = 10_000 + n,
            net = n % 50,
        ));
        if n > 0 {
            text.push_str(&format!("    depends_on:\n      service-{}: {{condition: service_healthy}}\n", n / 2));
        }
    }
    text.push_str("networks:\n");
    (0..50).for_each(|n| text.push_str(&format!("  net-{n}:\n")));
    text.push_str("volumes:\n");
    (0..SERVICES).for_each(|n| text.push_str(&format!("  data-{n}:\n")));
    text
}

/// Prints the median and the slowest; returns the median.
fn time<T>(case: &str, mut run: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            black_box(run());
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("{case:8} {:>8.2} ms (slowest of {RUNS}: {:.2} ms)", ms(times[RUNS / 2]), ms(times[RUNS - 1]));
    times[RUNS / 2]
}
