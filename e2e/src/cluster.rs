//! The cluster that live tests run on: the one named by `E2E_KUBECONFIG`, or an embedded one of this process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Config};
use serde_json::Value;

use crate::{eventually, gateway_api, grant, json, nodes, steered};

/// A control plane that is up, with the CRD installed, and the Gateway API.
#[derive(Debug)]
pub struct Cluster {
    /// Access as administrator.
    pub kubeconfig: PathBuf,
    /// Access with what `appstack rbac` grants and nothing else: the operators under test have no more.
    pub operator_kubeconfig: PathBuf,
    /// The API server's audit log; without one, requests cannot be counted.
    pub audit_log: Option<PathBuf>,
    /// Whether its nodes are real.
    pub real: bool,
}

impl Cluster {
    /// The cluster of this test process, found or started on first use. Never the current context of kubectl.
    pub fn get() -> &'static Cluster {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| {
            let mut cluster = Self::named().unwrap_or_else(Self::start);
            // Own thread: the caller may already be inside a runtime, and clients belong to the runtime they were made in.
            std::thread::scope(|scope| {
                let install = || {
                    runtime().block_on(async {
                        install_crd(&cluster).await;
                        gateway_api::install(&cluster.client("install").await).await;
                        grant::operator(&cluster).await;
                        cluster.real = steered::has_real_nodes(&cluster.client("install").await).await;
                    });
                };
                scope.spawn(install).join().expect("installing the CRD and the operator's permissions");
            });
            if cluster.real {
                nodes::load_stand_ins();
            }
            cluster
        })
    }

    /// A new control plane of this process, even where `E2E_KUBECONFIG` names another one, and nothing installed on it.
    pub fn bare(name: &str) -> Cluster {
        Self::start_as(name)
    }

    /// A client with administrator's rights that calls itself `e2e/<who>`.
    pub async fn client(&self, who: &str) -> Client {
        let file = Kubeconfig::read_from(&self.kubeconfig)
            .unwrap_or_else(|e| panic!("{} is no kubeconfig: {e}", self.kubeconfig.display()));
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .unwrap_or_else(|e| panic!("{}: {e}", self.kubeconfig.display()));
        config.headers.push(("user-agent".parse().unwrap(), format!("e2e/{who}").parse().unwrap()));
        Client::try_from(config).expect("a client of the test cluster")
    }

    fn named() -> Option<Cluster> {
        let kubeconfig = PathBuf::from(std::env::var_os("E2E_KUBECONFIG")?);
        let audit_log = std::env::var_os("E2E_AUDIT_LOG").map(PathBuf::from);
        Some(Cluster { kubeconfig, operator_kubeconfig: grant::kubeconfig(), audit_log, real: false })
    }

    /// Builds the embedded control plane and starts one whose end is the end of this process.
    fn start() -> Cluster {
        Self::start_as("live")
    }

    fn start_as(name: &str) -> Cluster {
        let built = Command::new("make")
            .args(["--silent", "--file=e2e/cluster/cluster.mk", "cluster-build"])
            .current_dir(root())
            .stdout(Stdio::null())
            .status()
            .expect("`make` must be on the PATH");
        assert!(built.success(), "`make cluster-build` failed: {built}");
        let pid = std::process::id();
        let up = Command::new(root().join("target/cluster/bin/appstack-cluster"))
            .args(["up", "--name", &format!("{name}-{pid}"), "--owner-pid", &pid.to_string()])
            .stderr(Stdio::inherit())
            .output()
            .expect("appstack-cluster, which `make cluster-build` has built");
        let said = String::from_utf8_lossy(&up.stdout).into_owned();
        assert!(up.status.success(), "the cluster did not start: {}\n{said}", up.status);
        let path = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)).map(PathBuf::from);
        Cluster {
            kubeconfig: path("KUBECONFIG=").unwrap_or_else(|| panic!("no line KUBECONFIG=<path> in:\n{said}")),
            operator_kubeconfig: grant::kubeconfig(),
            audit_log: path("AUDIT_LOG="),
            real: false,
        }
    }
}

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("e2e lies in the repository")
}

/// The program under test.
pub fn appstack() -> PathBuf {
    std::env::var_os("APPSTACK_BIN").map_or_else(|| root().join("target/debug/appstack"), PathBuf::from)
}

/// A runtime for one test: a worker apart, so that the observer notes when news arrives even while the test is busy.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn install_crd(cluster: &Cluster) {
    let program = appstack();
    let printed = Command::new(&program).arg("crd").output().unwrap_or_else(|e| {
        panic!("{} cannot be run ({e}); `cargo build` makes it, APPSTACK_BIN names another one", program.display())
    });
    assert!(printed.status.success(), "`appstack crd` failed: {}", String::from_utf8_lossy(&printed.stderr));
    let crd: Value =
        serde_saphyr::from_str(&String::from_utf8_lossy(&printed.stdout)).expect("`appstack crd` prints YAML");
    let name = json::name(&crd).to_owned();
    let definitions: Api<DynamicObject> = Api::all_with(
        cluster.client("install").await,
        &ApiResource::from_gvk(&GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition")),
    );
    definitions
        .patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(&crd))
        .await
        .unwrap_or_else(|e| panic!("the server refuses the CRD: {e}"));
    eventually(Duration::from_secs(10), "the CRD to be established", async || {
        let live = serde_json::to_value(definitions.get(&name).await.map_err(|e| e.to_string())?).unwrap();
        if json::holds(&live, "Established") { Ok(()) } else { Err(live["status"].to_string()) }
    })
    .await;
}
