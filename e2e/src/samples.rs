//! The samples of the repository, and which entry of `expected.yaml` each is held to.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::cluster::{appstack, root};
use crate::expected::Expected;
use crate::imported;
use crate::space::documents;

/// A sample under some profiles.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The stack in `expected.yaml`.
    pub stack: &'static str,
    /// The variant of it.
    pub variant: Option<&'static str>,
    /// A file of `manifests/samples`, or a folder of it that kustomize builds.
    pub path: &'static str,
    /// The profiles, where they are not those of the file.
    pub profiles: Option<&'static [&'static str]>,
    /// Whether it is what `appstack import` makes of the stack's Compose files, and not the file that we wrote.
    pub is_imported: bool,
}

const fn sample(stack: &'static str, variant: Option<&'static str>, path: &'static str) -> Sample {
    Sample { stack, variant, path, profiles: None, is_imported: false }
}

/// All of them.
pub const ALL: [Sample; 12] = [
    sample("finity", None, "finity.yaml"),
    sample("finity", Some("backend-only"), "finity-services.yaml"),
    sample("cirame", None, "cirame.yaml"),
    sample("cirame", Some("production"), "cirame/production"),
    sample("aurum", None, "aurum.yaml"),
    Sample { profiles: Some(&["proxy"]), ..sample("aurum", Some("proxy"), "aurum.yaml") },
    sample("aurum", Some("development"), "aurum-development.yaml"),
    Sample { profiles: Some(&[]), ..sample("aurum", Some("development-stores"), "aurum-development.yaml") },
    sample("aria", None, "aria.yaml"),
    Sample { profiles: Some(&["monitoring"]), ..sample("aria", Some("monitoring"), "aria.yaml") },
    sample("soundforge", None, "soundforge.yaml"),
    sample("soundforge", Some("development"), "soundforge/development"),
];

impl Sample {
    /// The sample of a stack's variant.
    pub fn of(stack: &str, variant: Option<&str>) -> Sample {
        let found = ALL.into_iter().find(|s| s.stack == stack && s.variant == variant);
        found.unwrap_or_else(|| panic!("no sample of {stack}, {variant:?}"))
    }

    /// The same stack from its Compose files.
    #[must_use]
    pub fn imported(self) -> Sample {
        Sample { is_imported: true, ..self }
    }

    /// Whether kustomize has to build it.
    pub fn is_overlay(self) -> bool {
        !self.is_imported && self.file().is_dir()
    }

    fn file(self) -> PathBuf {
        root().join("manifests/samples").join(self.path)
    }

    /// What it must do.
    pub fn expected(self) -> Expected {
        Expected::of(self.stack, self.variant)
    }

    /// Its documents, without namespaces: each test has its own.
    pub fn documents(self) -> Vec<Value> {
        if self.is_imported {
            return imported::documents(self.stack, self.variant);
        }
        let path = self.file();
        let yaml = if self.is_overlay() {
            kustomize(&path)
        } else {
            std::fs::read_to_string(&path).map_err(|e| e.to_string())
        };
        let mut found = documents(&yaml.unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        found.retain(|d| d["kind"] != "Namespace");
        if let Some(profiles) = self.profiles {
            stack_of(&mut found)["spec"]["profiles"] = json!(profiles);
        }
        if self.profiles.is_some_and(<[_]>::is_empty) {
            stack_of(&mut found)["spec"].as_object_mut().expect("a spec").remove("profiles"); // an empty list is unset
        }
        found
    }
}

/// The stack among the documents of a sample.
pub fn stack_of(documents: &mut [Value]) -> &mut Value {
    documents.iter_mut().find(|d| d["kind"] == "AppStack").expect("an AppStack among the documents")
}

/// The objects that the operator makes of a stack, as YAML. Pod Security is the cluster's affair: what a stack asks for, it gets.
pub fn rendered(stack: &Value) -> String {
    let args = ["render", "--max-pod-security", "Privileged", "-"];
    let said = run(&appstack(), &args, stack.to_string().as_bytes());
    assert!(said.status.success(), "{}: {}", crate::json::name(stack), String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).expect("YAML is UTF-8")
}

/// What a program says of an input.
pub fn run(program: &Path, args: &[&str], input: &[u8]) -> Output {
    let started =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut process = started.unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let mut stdin = process.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).expect("it reads its input"));
        process.wait_with_output().expect("it ends")
    })
}

/// What `kubectl kustomize` builds: that of the embedded control plane, or the one on the PATH.
///
/// # Errors
/// What it says against the folder.
pub fn kustomize(folder: &Path) -> Result<String, String> {
    let ours = root().join("target/cluster/bin/kubectl");
    let program = if ours.exists() { ours } else { PathBuf::from("kubectl") };
    let built = Command::new(&program).arg("kustomize").arg(folder).output();
    let built = built.map_err(|e| format!("{}: {e}", program.display()))?;
    if built.status.success() {
        Ok(String::from_utf8_lossy(&built.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&built.stderr).into_owned())
    }
}

#[cfg(test)]
#[path = "samples_tests.rs"]
mod tests;
