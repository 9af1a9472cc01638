//! The operator as a process that tests start, stop and kill.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Space;
use crate::cluster::{Cluster, appstack};

/// How the operator of a test is started.
#[derive(Clone, Debug)]
pub struct Setup {
    namespace: String,
    log: PathBuf,
    kubeconfig: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    format: &'static str,
}

impl Setup {
    pub(crate) fn new(space: &Space) -> Setup {
        Setup {
            namespace: space.name.clone(),
            log: operator_log(&space.test),
            kubeconfig: Cluster::get().operator_kubeconfig.clone(),
            args: Vec::new(),
            env: Vec::new(),
            format: "text",
        }
    }

    /// Writing JSON, to a file apart.
    #[must_use]
    pub fn json(mut self) -> Setup {
        self.format = "json";
        self.log.set_extension("json");
        self
    }

    /// Where it writes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// With more arguments to `appstack run`.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Setup {
        self.args.extend(args.iter().map(ToString::to_string));
        self
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Reaching the API server by another way.
    #[must_use]
    pub fn kubeconfig(mut self, path: &Path) -> Setup {
        path.clone_into(&mut self.kubeconfig);
        self
    }

    /// Starts it. It watches the namespace of its test only, and goes when the value is dropped.
    pub fn start(self) -> Operator {
        let mut operator = Operator { setup: self, process: None };
        operator.launch();
        operator
    }
}

/// A running operator.
#[derive(Debug)]
pub struct Operator {
    setup: Setup,
    process: Option<Child>,
}

impl Operator {
    fn launch(&mut self) {
        let Setup { namespace, log, kubeconfig, args, env, format } = &self.setup;
        std::fs::create_dir_all(log.parent().unwrap()).expect("a folder for the operator's log");
        let log = File::options().create(true).append(true).open(log).expect("the operator's log");
        let process = Command::new(appstack())
            .args(["run", "--watch-namespace", namespace, "--log-format", format])
            .args(args)
            // The same identity takes its lease up again at once; a new one would wait for the term of a killed process.
            .env("POD_NAME", format!("e2e-{namespace}"))
            .envs(env.iter().map(|(k, v)| (k, v)))
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{} cannot be run: {e}", appstack().display()));
        self.process = Some(process);
    }

    /// SIGKILL: no chance to tidy up.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill(); // it may have ended by itself, which is as good
            let _ = process.wait();
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let asked = Command::new("kill").arg(process.id().to_string()).status().expect("`kill` must be on the PATH");
        assert!(asked.success(), "the operator had ended before it was stopped; see {}", self.setup.log.display());
        let patience = Instant::now() + Duration::from_secs(10);
        while process.try_wait().expect("the state of the operator").is_none() {
            if Instant::now() > patience {
                let _ = process.kill();
                let _ = process.wait();
                panic!("the operator was still running 10 s after SIGTERM; see {}", self.setup.log.display());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again after `kill` or `stop`.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the operator runs already");
        self.launch();
    }

    /// Stops it in order and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where a test's operator writes.
pub(crate) fn operator_log(test: &str) -> PathBuf {
    folder(test).join("operator.log")
}

/// Where a test may leave files.
pub fn folder(test: &str) -> PathBuf {
    crate::cluster::root().join("target/e2e").join(test)
}
