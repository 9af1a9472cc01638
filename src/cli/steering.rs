//! What the commands that change a stack share.

use std::fmt::Debug;

use clap::Args;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::server::Asked;
use crate::api::{AppStack, PodSecurity};
use crate::stack::{Stack, check};

/// Managers that put a stack back to what Git says.
const FROM_GIT: [&str; 3] = ["argocd", "kustomize-controller", "helm-controller"];

/// Whether anything is changed.
#[derive(Args, Clone, Debug)]
pub struct DryRun {
    /// `server`: let the API server check the change, and change nothing; `client`: only say what would change
    #[arg(long = "dry-run", value_name = "WHERE", default_value = "none", value_parser = ["none", "client", "server"])]
    place: String,
}

impl DryRun {
    /// Whether nothing is changed.
    pub(super) fn is_dry(&self) -> bool {
        self.place != "none"
    }

    /// Whether the server is asked what it would do.
    pub(super) fn asks_server(&self) -> bool {
        self.place == "server"
    }

    /// Whether nothing at all is sent.
    pub(super) fn asks_no_one(&self) -> bool {
        self.place == "client"
    }

    /// What is said behind what would change.
    pub(super) fn word(&self) -> &'static str {
        if self.is_dry() { " (dry run)" } else { "" }
    }

    /// Has the server check a deletion, where that is asked.
    pub(super) async fn delete<K>(&self, api: &Api<K>, name: &str) -> kube::Result<()>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        if self.place != "server" {
            return Ok(());
        }
        api.delete(name, &DeleteParams::background().dry_run()).await.map(|_| ())
    }

    /// Sends a merge patch, or does not.
    pub(super) async fn patch(&self, asked: &Asked, manager: &str, patch: &Value) -> kube::Result<()> {
        if self.place == "client" {
            return Ok(());
        }
        let params = PatchParams {
            field_manager: Some(manager.into()),
            dry_run: self.place == "server",
            ..PatchParams::default()
        };
        asked.api.patch(&asked.name, &params, &Patch::Merge(patch)).await.map(|_| ())
    }
}

/// Who keeps this stack as Git has it, if anybody does.
pub(super) fn from_git(stack: &AppStack) -> Option<&str> {
    let mut managers = stack.managed_fields().iter().filter_map(|entry| entry.manager.as_deref());
    managers.find(|manager| FROM_GIT.iter().any(|git| manager.contains(git)))
}

/// The model of a stack that the operator looks after, or why it would not hear a request.
pub(super) fn looked_after(stack: &AppStack) -> Result<Stack, Vec<String>> {
    let name = stack.name_any();
    if stack.metadata.deletion_timestamp.is_some() {
        return Err(vec!["the stack is being deleted".into()]);
    }
    if stack.spec.suspend == Some(true) {
        return Err(vec![format!(
            "spec.suspend: the operator leaves this stack alone; `appstack resume {name}` first"
        )]);
    }
    check(stack, PodSecurity::Privileged).map_err(|problems| {
        let first = "the operator changes nothing of a stack that cannot be run as it is written".to_owned();
        std::iter::once(first).chain(problems.all.iter().map(ToString::to_string)).collect()
    })
}

/// Why there is no such service to ask something of.
pub(super) fn no_such_service(stack: &AppStack, name: &str) -> String {
    if let Some(off) = stack.spec.services.get(name) {
        let profiles = off.profiles.iter().cloned().collect::<Vec<_>>().join(", ");
        format!("spec.services[{name}]: is off: it runs only with profile {profiles} in spec.profiles")
    } else {
        let names: Vec<&str> = stack.spec.services.keys().map(String::as_str).collect();
        format!("spec.services[{name}]: no such service; there are: {}", names.join(", "))
    }
}

/// Says why nothing was done.
pub(super) fn refuse(nothing: &str, refusals: &[String]) {
    eprintln!("error: {nothing}");
    for refusal in refusals {
        eprintln!("  {refusal}");
    }
}
