//! `make bench-compose`: how long a Compose file of 1,000 services takes to import, phase by phase: from bytes to the checked project, from that
//! to a stack with an outcome for every key, from those to the files and the report; then a whole process that does it beside one of
//! `kompose convert`, on the same file; then what files that mean harm cost.

// A benchmark that cannot run has nothing to say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use appstack::compose::files::{Disk, Files, Memory};
use appstack::compose::mapping::choices::Choices;
use appstack::compose::mapping::{Mapped, map};
use appstack::compose::output;
use appstack::compose::{Loaded, Options, load};

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVICES: usize = 1000;
const RUNS: usize = 31;
const GOAL: Duration = Duration::from_millis(100);
/// How many times as fast as kompose.
const QUICKER: f64 = 20.0;
/// The argument that makes this program the process that is measured: the folder of the file.
const ONCE: &str = "--once";

fn main() {
    let mut args = std::env::args().skip_while(|arg| arg != ONCE);
    if let (Some(_), Some(folder)) = (args.next(), args.next()) {
        return once(Path::new(&folder));
    }
    let text = big();
    let folder = std::env::temp_dir().join(format!("appstack-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("compose.yaml"), &text).unwrap();
    let size = text.len();
    let files: Memory = [(PathBuf::from("/p/compose.yaml"), text.into_bytes())].into();
    let options = Options { folder: "/p".into(), ..Options::default() };
    let loaded = load(&files, &options);
    assert_eq!(loaded.project.as_ref().unwrap().services().count(), SERVICES);
    let mapped = mapped(&loaded, &files);
    println!("{SERVICES} services, {} kB, {} keys", size / 1024, mapped.account.keys().len());
    let load = time("load", RUNS, || load(&files, &options));
    let map = time("map", RUNS, || self::mapped(&loaded, &files));
    let write = time("write", RUNS, || written(&mapped, &loaded));
    let all = load + map + write;
    println!("together {:>8.2} ms", all.as_secs_f64() * 1000.0);
    let is_behind = beside_kompose(&folder);
    harmful(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    if is_behind || all > GOAL {
        println!("slower than {GOAL:?}, or than 1/{QUICKER} of kompose");
        std::process::exit(1);
    }
}

fn mapped(loaded: &Loaded, files: &dyn Files) -> Mapped {
    map(loaded, files, &Choices::default()).expect("a project")
}

/// All files that an import writes, as texts.
fn written(mapped: &Mapped, loaded: &Loaded) -> Vec<String> {
    let files = std::thread::scope(|scope| {
        let reports = scope.spawn(|| output::reports(mapped, loaded).expect("texts"));
        let files = output::files(mapped, output::document(&mapped.stack), loaded, "bench", false).expect("texts");
        files.into_iter().chain(reports.join().expect("reports")).collect::<Vec<_>>()
    });
    files.into_iter().map(|file| file.text).collect()
}

fn once(folder: &Path) {
    let loaded = load(&Disk, &Options { folder: folder.to_owned(), ..Options::default() });
    let mut keys = 0;
    if loaded.project.is_some() {
        let mapped = mapped(&loaded, &Disk);
        keys = mapped.account.keys().len();
        for (number, text) in written(&mapped, &loaded).into_iter().enumerate() {
            std::fs::write(folder.join(format!("imported-{number}")), text).expect("written");
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or(" unknown").trim();
    let verdict = loaded.errors().next().map_or("loaded", |problem| problem.code.0);
    println!("{verdict}: {keys} keys, peak memory {peak}");
}

/// What is refused, how soon and with how much memory.
fn harmful(folder: &Path) {
    let mut bomb = "x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    (1..20).for_each(|n| bomb.push_str(&format!("x-a{n}: &a{n} [{}]\n", format!("*a{}, ", n - 1).repeat(10))));
    for (name, text) in [
        ("100 MB", format!("x-a: '{}'", "x".repeat(100 << 20))),
        ("aliases", bomb),
        ("nesting", format!("x-a: {}", "[".repeat(10_000))),
        ("values", format!("x-a: [{}]", "1,".repeat(8 << 20))),
    ] {
        std::fs::write(folder.join("compose.yaml"), text).unwrap();
        let mut said = String::new();
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.arg(ONCE).arg(folder);
        time(name, 3, || said = String::from_utf8(process.output().unwrap().stdout).unwrap());
        print!("         {said}");
    }
}

/// Both, turn by turn; whether the goal is missed. Without `KOMPOSE`, the path of the program, there is no kompose.
fn beside_kompose(folder: &Path) -> bool {
    let Some(kompose) = std::env::var_os("KOMPOSE") else {
        println!("kompose: not measured; make bench-compose builds it");
        return false;
    };
    let mut ours = Command::new(env!("CARGO_BIN_EXE_appstack"));
    ours.current_dir(folder).args(["import", "--file", "compose.yaml", "--overwrite", "--out", "imported"]);
    let mut theirs = Command::new(kompose);
    theirs.current_dir(folder).args(["convert", "--file", "compose.yaml", "--out", "converted.yaml"]);
    for program in [&mut ours, &mut theirs] {
        program.stdout(Stdio::null()).stderr(Stdio::null());
    }
    // A stack takes fewer services, and that is said: 1.
    let ours = time("process", 5, || assert!(matches!(ours.status().unwrap().code(), Some(0 | 1))));
    let theirs = time("kompose", 5, || assert!(theirs.status().unwrap().success(), "kompose fails on the file"));
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("{ratio:.1} times as fast as kompose convert");
    ratio < QUICKER
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
fn time<T>(case: &str, runs: usize, mut run: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let began = Instant::now();
            black_box(run());
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("{case:8} {:>8.2} ms (slowest of {runs}: {:.2} ms)", ms(times[runs / 2]), ms(times[runs - 1]));
    times[runs / 2]
}
