//! Real nodes (`e2e/node`): what tests do there that simulated ones cannot, by the bench's own program and `kubectl exec`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as value};

use crate::cluster::{Cluster, root};
use crate::{Kind, Space, json, standin, steered};

/// The bench that tests run on. Its cluster is the one of `E2E_KUBECONFIG`.
#[derive(Debug)]
pub struct Nodes {
    name: String,
    /// Its directory: sockets, logs.
    pub state: PathBuf,
}

impl Nodes {
    /// The bench whose directory is in `E2E_NODES`; `make e2e` starts one. A cluster of `E2E_KUBECONFIG` that is none
    /// (`make e2e-kind`) is used as it is, and whatever only a bench can do fails there. A test that begins with this has its pods as they
    /// are; others are steered (see [`crate::steered`]).
    pub fn get() -> &'static Nodes {
        steered::leave_pods_as_they_are();
        Self::found()
    }

    fn found() -> &'static Nodes {
        static NODES: OnceLock<Nodes> = OnceLock::new();
        NODES.get_or_init(|| {
            let state = std::env::var_os("E2E_NODES");
            if state.is_none() && std::env::var_os("E2E_KUBECONFIG").is_some() {
                return Nodes { name: String::new(), state: PathBuf::new() };
            }
            let state = state.expect("real nodes: run `make e2e`, or set E2E_NODES to what `make node-up` calls STATE");
            let state = PathBuf::from(state);
            let name = state.file_name().expect("a directory of a bench").to_string_lossy().into_owned();
            Nodes { name, state }
        })
    }

    /// The power switch of a node: everything on it ends at once, its disk stays.
    pub fn power(&self, node: &str, on: bool) {
        self.run(&["node", if on { "start" } else { "stop" }, node]);
    }

    /// `start`, `stop` or `restart` of `containerd`, `kubelet`, `kube-proxy` or `policy` on a node.
    pub fn daemon(&self, what: &str, node: &str, daemon: &str) {
        self.run(&["daemon", what, node, daemon]);
    }

    /// Loads the images of an archive into every node; other clusters than a bench have them already (`make e2e-kind`).
    pub fn load(&self, archive: &Path) {
        if self.name.is_empty() {
            return;
        }
        self.run(&["load", &archive.to_string_lossy()]);
    }

    /// Dials from outside of the cluster.
    pub fn dial_from_outside(&self, targets: &[(&str, u16)]) -> Vec<Dialled> {
        // By its own name: in the cache it has another one, and what it does depends on it.
        let app = root().join("target/e2e/app");
        if !app.exists() {
            std::fs::copy(root().join("target/tools/app"), &app).expect("target/tools/app: `make node-build`");
        }
        let mut command = self.command(&["exec", "outside", &app.to_string_lossy(), "dial"]);
        outcomes(&said(&mut command, &asked(targets)))
    }

    /// Plays the load balancer controller: every Service of the namespace that waits for one gets an address of its own, which
    /// outside reaches. All of them, by name.
    pub async fn balance(&self, space: &Space) -> BTreeMap<String, String> {
        // Tests of one process share the range; those of other benches have their own.
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let mut found = BTreeMap::new();
        let services = space.list(Kind::Service).await;
        for service in services.iter().filter(|service| service["spec"]["type"] == "LoadBalancer") {
            let name = json::name(service).to_owned();
            let given = json::text(service, "/status/loadBalancer/ingress/0/ip").to_owned();
            let address = if given.is_empty() {
                let address = format!("172.30.1.{}", 10 + NEXT.fetch_add(1, Ordering::Relaxed) % 240);
                let status = value!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
                let api = space.api(Kind::Service);
                api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await.expect("an address");
                address
            } else {
                given
            };
            found.insert(name, address);
        }
        found
    }

    fn command(&self, words: &[&str]) -> Command {
        assert!(!self.name.is_empty(), "E2E_NODES names no bench, and only one can {words:?}");
        let mut command = Command::new(root().join("target/tools/node"));
        command.args([words[0], "--name", &self.name]).args(&words[1..]);
        command
    }

    fn run(&self, words: &[&str]) -> String {
        said(&mut self.command(words), "")
    }
}

/// What came of dialling a target.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Dialled {
    /// The name or address that was dialled.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `answered`, `connected` (by something that is no stand-in), `refused`, `timeout`, `no such name`, or another error.
    pub outcome: String,
    /// The pod that has answered.
    #[serde(default)]
    pub who: String,
    /// The dialler's address, as that pod saw it.
    #[serde(default)]
    pub from: String,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// When it began: Unix time in milliseconds.
    pub at: u64,
}

impl Dialled {
    /// Whether somebody was there.
    pub fn reached(&self) -> bool {
        matches!(self.outcome.as_str(), "answered" | "connected")
    }
}

/// Runs a command in a pod and returns what it has printed; fails if the command does.
pub fn exec(space: &Space, pod: &str, command: &[&str]) -> String {
    said(Command::new(program()).args(["exec", pod, "--"]).args(command).envs(access(space)), "")
}

/// Runs kubectl as an administrator in the test's namespace and returns what it has printed; fails if it does.
pub fn kubectl(space: &Space, words: &[&str]) -> String {
    said(Command::new(program()).args(words).envs(access(space)), "")
}

/// Dials all targets at once from a pod. Each has a second.
pub fn dial(space: &Space, pod: &str, targets: &[(&str, u16)]) -> Vec<Dialled> {
    let mut command = Command::new(program());
    command.args(["exec", "--stdin", pod, "--", "app", "dial"]).envs(access(space));
    outcomes(&said(&mut command, &asked(targets)))
}

/// How [`keep_dialling`] dials.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the beginning of one connection to that of the next; longer where one takes longer.
    pub every: Duration,
    /// For how long new ones are begun.
    pub span: Duration,
    /// What each may take.
    pub timeout: Duration,
}

/// Dials all targets side by side from a pod, again and again. The thread ends with all outcomes, in the order in which they came.
pub fn keep_dialling(space: &Space, pod: &str, targets: Vec<(String, u16)>, pace: Pace) -> JoinHandle<Vec<Dialled>> {
    let mut command = Command::new(program());
    command.args(["exec", "--stdin", pod, "--", "app", "dial"]).envs(access(space));
    for (flag, time) in [("-every", pace.every), ("-for", pace.span), ("-timeout", pace.timeout)] {
        command.arg(flag).arg(format!("{}ms", time.as_millis()));
    }
    std::thread::spawn(move || {
        let targets: Vec<(&str, u16)> = targets.iter().map(|(host, port)| (host.as_str(), *port)).collect();
        let printed = said(&mut command, &asked(&targets));
        let outcome = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        printed.lines().map(outcome).collect()
    })
}

/// What the stand-in of a pod says of itself: `health`, `seconds` since its start, and in `probes` how often who has asked
/// for health and whether it was told that all is well.
pub fn state(space: &Space, pod: &str) -> Value {
    serde_json::from_str(&exec(space, pod, &["app", "ctl", "state"])).expect("the stand-in's state")
}

/// The pods of a service that are not going.
pub async fn pods_of(space: &Space, stack: &str, service: &str) -> Vec<Value> {
    let mut pods = space.list(Kind::Pod).await;
    pods.retain(|pod| {
        json::label(pod, "appstack.dev/stack") == stack
            && json::label(pod, "appstack.dev/service") == service
            && pod["metadata"]["deletionTimestamp"].is_null()
    });
    pods
}

/// The name of the only pod of a service.
pub async fn pod_of(space: &Space, stack: &str, service: &str) -> String {
    let pods = pods_of(space, stack, service).await;
    assert_eq!(pods.len(), 1, "{service} has {} pods", pods.len());
    json::name(&pods[0]).to_owned()
}

/// Loads the stand-ins for all images into a bench; other clusters have them already (`make e2e-kind`).
pub(crate) fn load_stand_ins() {
    let nodes = Nodes::found();
    if nodes.name.is_empty() {
        return;
    }
    // By its programs and its list: what is in it takes a while to load, and two programs of tests follow each other.
    let (archive, loaded) = (standin::archive(), nodes.state.join("stand-ins"));
    let list = std::fs::read(archive.with_extension("json")).expect("the map of the stand-ins");
    let app = std::fs::read_link(root().join("target/tools/app")).unwrap_or_default();
    let made = [list, app.to_string_lossy().into_owned().into_bytes()].concat();
    if std::fs::read(&loaded).is_ok_and(|before| before == made) {
        return;
    }
    nodes.load(&archive);
    std::fs::write(&loaded, made).unwrap_or_else(|e| panic!("{}: {e}", loaded.display()));
}

fn program() -> PathBuf {
    root().join("target/cluster/bin/kubectl")
}

fn access(space: &Space) -> [(&'static str, PathBuf); 2] {
    // kubectl reads the namespace from nowhere but its file and its arguments; the latter come before `--`.
    let folder = crate::operator::folder(&space.test);
    let file = folder.join("kubeconfig");
    if !file.exists() || std::fs::read_to_string(&file).is_ok_and(|text| !text.contains(&space.name)) {
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        let admin = std::fs::read_to_string(&Cluster::get().kubeconfig).expect("the kubeconfig");
        let mut config: Value = serde_saphyr::from_str(&admin).expect("a kubeconfig");
        config["contexts"][0]["context"]["namespace"] = value!(space.name);
        std::fs::write(&file, config.to_string()).expect("a kubeconfig of the test");
    }
    [("KUBECONFIG", file), ("HOME", folder)]
}

fn asked(targets: &[(&str, u16)]) -> String {
    let list: Vec<Value> = targets.iter().map(|(host, port)| value!({"host": host, "port": port})).collect();
    value!(list).to_string()
}

fn outcomes(text: &str) -> Vec<Dialled> {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("not what the dialler prints ({e}): {text}"))
}

/// Runs a command with a text to read; what it has printed.
pub(crate) fn said(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).expect("the input of a command");
    let output = child.wait_with_output().expect("the output of a command");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
