//! Programs and files of Go modules, as the `go.mod` files in `e2e` name them.

use std::path::PathBuf;
use std::process::Command;

use crate::cluster::root;

/// The program of a module in `e2e`, or of a package that it names; built now if it has not been yet, which takes minutes.
pub fn tool(module: &str, package: Option<&str>) -> PathBuf {
    let built = Command::new(root().join("e2e/go-tool.sh")).arg(module).args(package).status();
    assert!(built.is_ok_and(|status| status.success()), "e2e/go-tool.sh {module} failed: it needs Go");
    root().join("target/tools").join(module)
}

/// Where the files of a Go module lie, in the version that the module in `e2e` names, checked against its `go.sum`.
pub fn files(module: &str, of: &str) -> PathBuf {
    let go = |args: &[&str]| {
        let folder = root().join("e2e").join(module);
        let run = Command::new("go").args(args).current_dir(folder).output().expect("`go` must be on the PATH");
        assert!(run.status.success(), "go {args:?}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&run.stdout).trim().to_owned()
    };
    go(&["mod", "download", of]);
    PathBuf::from(go(&["list", "-m", "-f", "{{.Dir}}", of]))
}
