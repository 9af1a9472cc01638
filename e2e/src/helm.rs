//! The real helm, built from its Go module, and the chart.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

use crate::cluster::root;
use crate::space::documents;

/// The chart of the operator.
pub fn chart() -> PathBuf {
    root().join("charts/appstack")
}

/// The program, built when it is first asked for.
pub fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = Command::new(root().join("e2e/go-tool.sh")).args(["helm", "helm.sh/helm/v4/cmd/helm"]).status();
        assert!(built.is_ok_and(|status| status.success()), "e2e/go-tool.sh helm failed: it needs Go");
        root().join("target/tools/helm")
    })
}

/// What helm says to these arguments. It knows no cluster but that of the kubeconfig, and keeps what it writes under `target`.
pub fn helm(kubeconfig: Option<&Path>, args: &[&str]) -> Output {
    let program = built();
    let home = root().join("target/e2e/helm");
    let mut command = Command::new(program);
    command.args(args).env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/dev/null")));
    for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
        command.env(variable, &home);
    }
    command.output().unwrap_or_else(|e| panic!("{}: {e}", program.display()))
}

/// The objects that a chart becomes, as release `appstack` in `appstack-system`; what helm says where it refuses.
///
/// # Errors
/// What helm has against the chart, or these values of it.
pub fn template(chart: &Path, more: &[&str]) -> Result<Vec<Value>, String> {
    let chart = chart.to_str().expect("a path in UTF-8");
    let said = helm(None, &[&["template", "appstack", chart, "--namespace", "appstack-system"], more].concat());
    if said.status.success() {
        Ok(documents(&String::from_utf8_lossy(&said.stdout)))
    } else {
        Err(String::from_utf8_lossy(&said.stderr).into_owned())
    }
}

/// A file with these values for the chart.
pub fn values(name: &str, values: &str) -> PathBuf {
    let folder = root().join("target/e2e/values");
    std::fs::create_dir_all(&folder).expect("a folder for values");
    let file = folder.join(format!("{}-{name}.yaml", std::process::id()));
    std::fs::write(&file, values).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    file
}
