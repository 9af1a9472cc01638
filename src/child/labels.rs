//! Labels and annotations of ours. Labels decide whose an object is, never its name; those in a selector may never change.

/// Name of the stack; every selector carries it.
pub const STACK: &str = "appstack.dev/stack";
/// Name of the service.
pub const SERVICE: &str = "appstack.dev/service";
/// Name of the service, on pods of a Job that nothing may dial: they carry it instead of [`SERVICE`], which Services select.
pub const JOB: &str = "appstack.dev/job";
/// Name of the volume that a Job fills, on that Job and its pods.
pub const POPULATE: &str = "appstack.dev/populate";
/// Name of a further name, on its Service.
pub const ALIAS: &str = "appstack.dev/alias";
/// On pods without any network.
pub const NO_NETWORK: &str = "appstack.dev/network-none";
/// Name of the volume, on claims.
pub const VOLUME: &str = "appstack.dev/volume";
/// Name of the config, on ConfigMaps.
pub const CONFIG: &str = "appstack.dev/config";
/// Name of the route, on its HTTPRoute or Ingress.
pub const ROUTE: &str = "appstack.dev/route";
/// Which policy of the stack: `ingress`, `dns`, `network`, `published`, `none`, `populate`.
pub const POLICY: &str = "appstack.dev/policy";
/// Name of the network, on its policy.
pub const NETWORK: &str = "appstack.dev/network";

/// Label of pods: a member of this network.
pub fn in_network(name: &str) -> String {
    format!("appstack.dev/network.{name}")
}

/// Label of pods: a member of this network, which stacks of the namespace share.
pub fn in_shared_network(name: &str) -> String {
    format!("appstack.dev/shared-network.{name}")
}

/// Label of pods: they answer to this further name.
pub fn answers_to(alias: &str) -> String {
    format!("appstack.dev/alias.{alias}")
}

/// Label of pods: a user of this existing claim, which one node mounts at a time, whichever stack they belong to.
pub fn uses_claim(hash: &str) -> String {
    format!("appstack.dev/claim.{hash}")
}

/// Label of pods: a user of this volume, which one node mounts at a time, or of one that hangs together with it.
pub fn uses_volume(name: &str) -> String {
    format!("appstack.dev/volume.{name}")
}

/// Annotation of workloads and their pods: revision of the service they were made from.
pub const REVISION: &str = "appstack.dev/revision";
/// Name of the service, on what is kept of its earlier definitions. Not [`SERVICE`], by which controllers find what is theirs.
pub const HISTORY_OF: &str = "appstack.dev/history-of";
/// Annotation of what is kept of earlier definitions: the definition without restarts, which several revisions may share.
pub const DEFINITION: &str = "appstack.dev/definition";
/// Annotation of what is kept of earlier definitions: the kind of the workload whose template it is.
pub const WORKLOAD: &str = "appstack.dev/workload";
/// Annotation of workloads: the revision to go back to when this one fails.
pub const LAST_GOOD: &str = "appstack.dev/last-good";
/// Annotation of workloads: the revision that has failed, and is not tried again.
pub const FAILED_REVISION: &str = "appstack.dev/failed-revision";
/// Annotation of workloads: what ailed the pods of that revision, which are gone.
pub const FAILED_BECAUSE: &str = "appstack.dev/failed-because";
/// Annotation of workloads: digest of what was last sent, by which an edit by hand is told from a new way of rendering.
pub const SENT: &str = "appstack.dev/sent";
/// Annotation of workloads: the count that an autoscaler left behind, kept where the stack names none.
pub const KEPT_REPLICAS: &str = "appstack.dev/kept-replicas";
/// Annotation of claims: the definition by which a Job has filled it, or [`NOT_FILLED`].
pub const FILLED: &str = "appstack.dev/filled";
/// In place of a definition: it was filled by one, and is to be filled by another.
pub const NOT_FILLED: &str = "no";
