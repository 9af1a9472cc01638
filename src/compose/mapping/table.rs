//! Every key of Compose and what becomes of it: the one table that the coverage page is made of.
//!
//! Keys with one fate whatever they say are settled from here; of the others the rows say where they go and the mapping does it.

use std::collections::HashMap;
use std::sync::LazyLock;

use hashbrown::DefaultHashBuilder;

use super::code;
use crate::compose::problem::Code;

/// What becomes of a key.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// The mapping says it, with a field of the stack like this.
    To(&'static str),
    /// Settled at import, by this.
    Settled(&'static str),
    /// No meaning in a cluster, because of this.
    Nothing(&'static str),
    /// Left out: why, and what to do instead.
    Ignored(Code, &'static str, &'static str),
    /// Cannot be: why, and what to do instead.
    Refused(Code, &'static str, &'static str),
}

use Fate::{Ignored, Nothing, Refused, Settled, To};

/// The row of a key: the longest that is the key or above it. A path has one step for each key, `*` for names and items.
pub fn fate(path: &[&str]) -> Option<Fate> {
    path.iter().fold(Row::top(), |row, step| row.to(step)).fate
}

/// The row of a key while a walk goes down to it.
#[derive(Clone, Copy)]
pub struct Row {
    /// Where longer rows are; none if there are none.
    tree: Option<&'static Tree>,
    /// What becomes of the key.
    pub fate: Option<Fate>,
}

impl Row {
    /// Above all keys.
    pub fn top() -> Row {
        Row { tree: Some(&TREE), fate: None }
    }

    /// One step further; `*` for names and items.
    #[must_use]
    pub fn to(self, step: &str) -> Row {
        let tree = self.tree.and_then(|tree| tree.below.get(step).or(tree.any.as_deref()));
        Row { tree, fate: tree.and_then(|tree| tree.fate).or(self.fate) }
    }
}

/// The rows by their steps. Where there is a row for any name there is none for one.
#[derive(Default)]
struct Tree {
    fate: Option<Fate>,
    below: HashMap<&'static str, Tree, DefaultHashBuilder>,
    any: Option<Box<Tree>>,
}

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let mut tree = Tree::default();
    for (row, fate) in ROWS {
        let mut here = &mut tree;
        for step in row.split('.') {
            here = match step {
                "*" => here.any.get_or_insert_default(),
                step => here.below.entry(step).or_default(),
            };
        }
        here.fate = Some(*fate);
    }
    tree
});

const NETWORK: &str = "the cluster's network plugin decides";

/// The rows.
pub const ROWS: &[(&str, Fate)] = &[
    ("name", Settled("metadata.name, and the namespace")),
    ("services.*.annotations", To("podAnnotations")),
    ("services.*.attach", Nothing("it is about the output of 'docker compose up'")),
    ("services.*.blkio_config", Ignored(code::NODE_LIMIT, "block I/O limits have no Kubernetes field", "")),
    ("services.*.build", To("image")),
    ("services.*.cap_add", To("securityContext.capabilities.add")),
    ("services.*.cap_drop", To("securityContext.capabilities.drop")),
    (
        "services.*.cgroup",
        Ignored(code::NAMESPACE, "Kubernetes gives every container a cgroup namespace of its own", ""),
    ),
    (
        "services.*.cgroup_parent",
        Ignored(code::NAMESPACE, "the kubelet decides where containers stand among cgroups", ""),
    ),
    ("services.*.command", To("command")),
    ("services.*.configs", To("mounts")),
    ("services.*.container_name", To("networks.*.aliases, where something dials it")),
    (
        "services.*.cpu_count",
        Ignored(code::WINDOWS, "it is for Windows containers", "write deploy.resources.limits.cpus"),
    ),
    (
        "services.*.cpu_percent",
        Ignored(code::WINDOWS, "it is for Windows containers", "write deploy.resources.limits.cpus"),
    ),
    ("services.*.cpu_period", To("resources.limits.cpu")),
    ("services.*.cpu_quota", To("resources.limits.cpu")),
    ("services.*.cpu_rt_period", Refused(code::REAL_TIME, "Kubernetes has no real-time scheduling", "take it out")),
    ("services.*.cpu_rt_runtime", Refused(code::REAL_TIME, "Kubernetes has no real-time scheduling", "take it out")),
    ("services.*.cpu_shares", To("resources.requests.cpu")),
    ("services.*.cpus", To("resources.limits.cpu")),
    (
        "services.*.cpuset",
        Ignored(
            code::NODE_LIMIT,
            "pods choose no processors by number",
            "a kubelet with the static CPU manager gives whole ones to pods whose request equals their limit",
        ),
    ),
    ("services.*.credential_spec", Refused(code::WINDOWS, "it is for Windows containers", "take it out")),
    ("services.*.depends_on", To("dependsOn")),
    ("services.*.deploy.mode", To("mode")),
    ("services.*.deploy.replicas", To("replicas")),
    ("services.*.deploy.endpoint_mode", To("endpointMode")),
    ("services.*.deploy.labels", Nothing("labels of Swarm services; hints of kompose and k8ify among them are read")),
    ("services.*.deploy.resources.limits.cpus", To("resources.limits.cpu")),
    ("services.*.deploy.resources.limits.memory", To("resources.limits.memory")),
    (
        "services.*.deploy.resources.limits.pids",
        Ignored(code::NODE_LIMIT, "how many processes a pod may have is set on the kubelet", ""),
    ),
    (
        "services.*.deploy.resources.limits.devices",
        Refused(code::DEVICE_PLUGIN, "devices are reserved, not limited", "write them under reservations"),
    ),
    (
        "services.*.deploy.resources.limits.generic_resources",
        Refused(code::DEVICE_PLUGIN, "devices are reserved, not limited", "write them under reservations"),
    ),
    ("services.*.deploy.resources.reservations.cpus", To("resources.requests.cpu")),
    ("services.*.deploy.resources.reservations.memory", To("resources.requests.memory")),
    (
        "services.*.deploy.resources.reservations.pids",
        Ignored(code::NODE_LIMIT, "how many processes a pod may have is set on the kubelet", ""),
    ),
    ("services.*.deploy.resources.reservations.devices", To("gpu")),
    ("services.*.deploy.resources.reservations.generic_resources", To("gpu")),
    ("services.*.deploy.restart_policy.condition", To("mode")),
    (
        "services.*.deploy.restart_policy.delay",
        Ignored(code::RESTART, "the kubelet decides how long it waits between restarts", ""),
    ),
    (
        "services.*.deploy.restart_policy.window",
        Ignored(code::RESTART, "the kubelet decides when a restart has worked", ""),
    ),
    ("services.*.deploy.restart_policy.max_attempts", To("job.retries")),
    ("services.*.deploy.update_config.order", To("update.order")),
    ("services.*.deploy.update_config.parallelism", To("update.parallelism")),
    ("services.*.deploy.update_config.delay", To("update.minReady")),
    ("services.*.deploy.update_config.monitor", To("update.minReady")),
    ("services.*.deploy.update_config.failure_action", To("update.onFailure")),
    (
        "services.*.deploy.update_config.max_failure_ratio",
        Ignored(code::UPDATE, "an update fails when one new pod is not ready in time", ""),
    ),
    (
        "services.*.deploy.rollback_config",
        Ignored(code::ROLLBACK, "a rollback goes as an update goes", "write update_config"),
    ),
    ("services.*.deploy.placement.constraints", To("nodeSelector")),
    ("services.*.deploy.placement.preferences", To("spread")),
    ("services.*.deploy.placement.max_replicas_per_node", To("spread.host")),
    ("services.*.develop", Nothing("it is for development on one computer")),
    (
        "services.*.device_cgroup_rules",
        Refused(
            code::DEVICE_PLUGIN,
            "pods get devices from device plugins only",
            "install the plugin of the device and write gpu",
        ),
    ),
    ("services.*.devices", To("gpu")),
    ("services.*.dns", To("dnsConfig.nameservers")),
    ("services.*.dns_opt", To("dnsConfig.options")),
    ("services.*.dns_search", To("dnsConfig.searches")),
    ("services.*.domainname", Ignored(code::DNS, "pods have the cluster's domain", "")),
    ("services.*.entrypoint", To("entrypoint")),
    ("services.*.env_file", Settled("its variables are in env and secretEnv")),
    ("services.*.environment", To("env, secretEnv, envTemplate")),
    ("services.*.expose", To("ports")),
    ("services.*.extends", Settled("what it takes over is in the service")),
    (
        "services.*.external_links",
        Refused(
            code::EXTERNAL_LINK,
            "containers of other projects are not known by name",
            "make a Service of type ExternalName with that name in the namespace",
        ),
    ),
    ("services.*.extra_hosts", To("hostAliases")),
    ("services.*.gpus", To("gpu")),
    ("services.*.group_add", To("securityContext.supplementalGroups")),
    ("services.*.healthcheck", To("healthcheck")),
    ("services.*.hostname", To("networks.*.aliases, where something dials it")),
    ("services.*.image", To("image")),
    ("services.*.init", To("init")),
    ("services.*.ipc", To("shmSize")),
    ("services.*.isolation", Ignored(code::WINDOWS, "it is for Windows containers", "")),
    ("services.*.label_file", Settled("its labels are in podAnnotations")),
    ("services.*.labels", To("podAnnotations")),
    ("services.*.links", To("dependsOn, and networks.*.aliases of the other")),
    ("services.*.logging", Nothing("logs are gathered from the nodes")),
    ("services.*.mac_address", Ignored(code::NETWORK_DETAIL, NETWORK, "")),
    ("services.*.mem_limit", To("resources.limits.memory")),
    ("services.*.mem_reservation", To("resources.requests.memory")),
    ("services.*.mem_swappiness", Ignored(code::NODE_LIMIT, "swap is set on the kubelet", "")),
    ("services.*.memswap_limit", Ignored(code::NODE_LIMIT, "swap is set on the kubelet", "")),
    ("services.*.models", To("env")),
    ("services.*.network_mode", To("networkMode")),
    ("services.*.networks.*.aliases", To("networks.*.aliases")),
    ("services.*.networks.*.driver_opts", Ignored(code::NETWORK_DETAIL, NETWORK, "")),
    ("services.*.networks.*.gw_priority", Ignored(code::NETWORK_DETAIL, "a pod has one address and one way out", "")),
    ("services.*.networks.*.interface_name", Ignored(code::NETWORK_DETAIL, "a pod has one interface", "")),
    (
        "services.*.networks.*.ipv4_address",
        Ignored(
            code::NETWORK_DETAIL,
            "addresses of pods change: others reach it by name",
            "dial the name of the service",
        ),
    ),
    (
        "services.*.networks.*.ipv6_address",
        Ignored(
            code::NETWORK_DETAIL,
            "addresses of pods change: others reach it by name",
            "dial the name of the service",
        ),
    ),
    ("services.*.networks.*.link_local_ips", Ignored(code::NETWORK_DETAIL, NETWORK, "")),
    ("services.*.networks.*.mac_address", Ignored(code::NETWORK_DETAIL, NETWORK, "")),
    ("services.*.networks.*.priority", Ignored(code::NETWORK_DETAIL, "a pod has one address and one way out", "")),
    ("services.*.networks", To("networks")),
    (
        "services.*.oom_kill_disable",
        Ignored(code::NODE_LIMIT, "requests and limits decide what is ended when memory runs out", ""),
    ),
    (
        "services.*.oom_score_adj",
        Ignored(code::NODE_LIMIT, "requests and limits decide what is ended when memory runs out", ""),
    ),
    ("services.*.pid", To("podTemplatePatch")),
    ("services.*.pids_limit", Ignored(code::NODE_LIMIT, "how many processes a pod may have is set on the kubelet", "")),
    ("services.*.platform", To("nodeSelector")),
    ("services.*.ports", To("ports")),
    ("services.*.post_start", To("postStart")),
    ("services.*.pre_start", To("preStart")),
    ("services.*.pre_stop", To("preStop")),
    ("services.*.privileged", To("securityContext.privileged")),
    ("services.*.profiles", To("profiles")),
    (
        "services.*.provider",
        Refused(
            code::PROVIDER,
            "a provider is a program on this computer",
            "make a Service of type ExternalName and a Secret for what it provides",
        ),
    ),
    ("services.*.pull_policy", To("imagePullPolicy")),
    ("services.*.pull_refresh_after", Ignored(code::PULL_POLICY, "Kubernetes pulls when a pod starts", "")),
    ("services.*.read_only", To("securityContext.readOnlyRootFilesystem")),
    ("services.*.restart", To("mode")),
    ("services.*.runtime", To("runtimeClassName, gpu")),
    ("services.*.scale", To("replicas")),
    ("services.*.secrets", To("mounts")),
    ("services.*.security_opt", To("securityContext")),
    ("services.*.shm_size", To("shmSize")),
    ("services.*.stdin_open", To("stdin")),
    ("services.*.stop_grace_period", To("stopGracePeriod")),
    ("services.*.stop_signal", To("podTemplatePatch")),
    ("services.*.storage_opt", To("resources.limits.ephemeral-storage")),
    ("services.*.sysctls", To("securityContext.sysctls")),
    ("services.*.tmpfs", To("mounts")),
    ("services.*.tty", To("tty")),
    (
        "services.*.ulimits",
        Ignored(
            code::NODE_LIMIT,
            "limits of processes are those of the container runtime",
            "for open files, most runtimes allow far more than programs need",
        ),
    ),
    (
        "services.*.use_api_socket",
        Refused(
            code::ENGINE_SOCKET,
            "there is no container engine to talk to",
            "use the Kubernetes API with a service account",
        ),
    ),
    ("services.*.user", To("securityContext.runAsUser, runAsGroup")),
    ("services.*.userns_mode", To("")),
    ("services.*.uts", Ignored(code::NAMESPACE, "a pod has a host name of its own", "")),
    ("services.*.volumes", To("mounts")),
    ("services.*.volumes_from", To("mounts")),
    ("services.*.working_dir", To("workingDir")),
    ("services.*.x-appstack", To("the fields that it names")),
    ("networks.*.attachable", Ignored(code::NETWORK_DETAIL, "who may join is said by the networks of services", "")),
    ("networks.*.driver", To("networks.*")),
    ("networks.*.driver_opts", Ignored(code::NETWORK_DETAIL, NETWORK, "")),
    ("networks.*.enable_ipv4", Ignored(code::NETWORK_DETAIL, NETWORK, "")),
    ("networks.*.enable_ipv6", Ignored(code::NETWORK_DETAIL, NETWORK, "")),
    ("networks.*.external", To("networks.*.sharedName")),
    ("networks.*.internal", To("networks.*.internal")),
    ("networks.*.ipam", Ignored(code::NETWORK_DETAIL, NETWORK, "")),
    ("networks.*.labels", Nothing("a network is no object of its own")),
    ("networks.*.name", To("networks.*.sharedName")),
    ("networks.*", To("networks.*")),
    ("volumes.*.driver", To("volumes.*.storageClassName")),
    ("volumes.*.driver_opts", To("volumes.*")),
    ("volumes.*.external", To("volumes.*.claimName")),
    ("volumes.*.labels", To("volumes.*.annotations")),
    ("volumes.*.name", To("volumes.*.claimName")),
    ("volumes.*.x-appstack", To("the fields that it names")),
    ("volumes.*", To("volumes.*")),
    ("configs.*", To("configs.*")),
    ("secrets.*", To("secrets.*, and a Secret")),
    ("models.*", To("env")),
    ("x-appstack", To("the fields that it names")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::shapes::{Kind, PROJECT};

    fn leaves(kind: Kind, path: &str, found: &mut Vec<String>) {
        let to = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
        match kind {
            Kind::Object(keys) => keys.iter().for_each(|(key, kind)| leaves(*kind, &to(key), found)),
            Kind::List(kind) | Kind::Map(kind) => leaves(*kind, &to("*"), found),
            _ => found.push(path.to_owned()),
        }
    }

    #[test]
    fn a_row_for_any_name_stands_alone() {
        fn alone(tree: &Tree) -> bool {
            let below = || tree.below.values().chain(tree.any.as_deref());
            (tree.any.is_none() || tree.below.is_empty()) && below().all(alone)
        }
        assert!(alone(&TREE));
        let ignored = |path: &[&str]| matches!(fate(path), Some(Ignored(..)));
        assert!(ignored(&["services", "web", "networks", "front", "ipv4_address"]));
        assert!(ignored(&["services", "*", "ulimits", "nofile", "soft"]));
        assert!(matches!(fate(&["services", "web", "networks", "front"]), Some(To("networks"))));
        assert!(fate(&["services", "web"]).is_none());
    }

    #[test]
    fn every_key_of_compose_has_a_row_and_every_row_a_key() {
        let mut keys = Vec::new();
        leaves(PROJECT, "", &mut keys);
        let without: Vec<&String> =
            keys.iter().filter(|key| fate(&key.split('.').collect::<Vec<_>>()).is_none()).collect();
        assert_eq!(without, Vec::<&String>::new());
        for (row, _) in ROWS.iter().filter(|(row, _)| !row.ends_with("x-appstack")) {
            assert!(keys.iter().any(|key| key == row || key.starts_with(&format!("{row}."))), "{row} is no key");
        }
        let services = ROWS.iter().filter_map(|(row, _)| row.strip_prefix("services.*.")?.split('.').next());
        let services: std::collections::BTreeSet<&str> = services.filter(|key| !key.starts_with("x-")).collect();
        assert_eq!(services.len(), 93);
    }
}
