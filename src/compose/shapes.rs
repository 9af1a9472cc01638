//! The type of every key, as the reference binds it.

/// A type, and with it the forms that a value may have.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Left as it is.
    Any,
    /// A text; a whole number is one.
    Text,
    /// A truth value, or its word.
    Bool,
    /// A whole number, or its text.
    Int,
    /// A whole number of at most this, without a sign.
    UInt(i64),
    /// Any number, or its text.
    Float,
    /// An amount of memory.
    Bytes,
    /// A duration.
    Duration,
    /// Words; a text is split into them.
    Command,
    /// A health check's test; a text is for a shell.
    Test,
    /// A list of texts; one text is a list of one.
    Texts,
    /// A list of words of any type.
    Words,
    /// `key=value` items or a map; a key without a value has an empty one.
    Pairs,
    /// The same, but a key without a value has none.
    Variables,
    /// The same as a map, each value a list.
    Repeated,
    /// Host names with addresses.
    Hosts,
    /// A file mode: a text is octal, a number is what it is.
    Mode,
    /// A number of devices, or `all`: -1.
    Count,
    /// A number, or a soft and a hard one.
    Limit,
    /// A map with these keys.
    Object(&'static [(&'static str, Kind)]),
    /// A list of these.
    List(&'static Kind),
    /// A map of these by name.
    Map(&'static Kind),
}

use Kind::{
    Any, Bool, Bytes, Command, Count, Duration, Float, Hosts, Int, Limit, List, Map, Mode, Object, Pairs, Repeated,
    Test, Text, Texts, UInt, Variables, Words,
};

const U16: Kind = UInt(u16::MAX as i64);
const U32: Kind = UInt(u32::MAX as i64);
const U64: Kind = UInt(i64::MAX);

/// A project.
pub const PROJECT: Kind = Object(&[
    ("name", Text),
    ("services", Map(&SERVICE)),
    ("networks", Map(&NETWORK)),
    ("volumes", Map(&VOLUME)),
    ("secrets", Map(&FILE)),
    ("configs", Map(&FILE)),
    ("models", Map(&MODEL)),
]);

const SERVICE: Kind = Object(&[
    ("annotations", Pairs),
    ("attach", Bool),
    ("blkio_config", BLOCK_IO),
    ("build", BUILD),
    ("cap_add", Texts),
    ("cap_drop", Texts),
    ("cgroup", Text),
    ("cgroup_parent", Text),
    ("command", Command),
    ("configs", List(&FILE_MOUNT)),
    ("container_name", Text),
    ("cpu_count", Int),
    ("cpu_percent", Float),
    ("cpu_period", Int),
    ("cpu_quota", Int),
    ("cpu_rt_period", Int),
    ("cpu_rt_runtime", Int),
    ("cpu_shares", Int),
    ("cpus", Float),
    ("cpuset", Text),
    ("credential_spec", Object(&[("config", Text), ("file", Text), ("registry", Text)])),
    ("depends_on", Map(&Object(&[("condition", Text), ("restart", Bool), ("required", Bool)]))),
    ("deploy", DEPLOY),
    ("develop", DEVELOP),
    ("device_cgroup_rules", Texts),
    ("devices", List(&Object(&[("source", Text), ("target", Text), ("permissions", Text)]))),
    ("dns", Texts),
    ("dns_opt", Texts),
    ("dns_search", Texts),
    ("domainname", Text),
    ("entrypoint", Command),
    ("env_file", List(&Object(&[("path", Text), ("required", Bool), ("format", Text)]))),
    ("environment", Variables),
    ("expose", Words),
    ("extends", Object(&[("file", Text), ("service", Text)])),
    ("external_links", Texts),
    ("extra_hosts", Hosts),
    ("gpus", List(&DEVICE_REQUEST)),
    ("group_add", Texts),
    ("healthcheck", HEALTH_CHECK),
    ("hostname", Text),
    ("image", Text),
    ("init", Bool),
    ("ipc", Text),
    ("isolation", Text),
    ("label_file", Texts),
    ("labels", Pairs),
    ("links", Texts),
    ("logging", Object(&[("driver", Text), ("options", Pairs)])),
    ("mac_address", Text),
    ("mem_limit", Bytes),
    ("mem_reservation", Bytes),
    ("mem_swappiness", Bytes),
    ("memswap_limit", Bytes),
    ("models", Map(&Object(&[("endpoint_var", Text), ("model_var", Text)]))),
    ("network_mode", Text),
    ("networks", Map(&MEMBERSHIP)),
    ("oom_kill_disable", Bool),
    ("oom_score_adj", Int),
    ("pid", Text),
    ("pids_limit", Int),
    ("platform", Text),
    ("ports", List(&PORT)),
    ("post_start", List(&HOOK)),
    ("pre_start", List(&HOOK)),
    ("pre_stop", List(&HOOK)),
    ("privileged", Bool),
    ("profiles", Texts),
    ("provider", Object(&[("type", Text), ("options", Repeated)])),
    ("pull_policy", Text),
    ("pull_refresh_after", Text),
    ("read_only", Bool),
    ("restart", Text),
    ("runtime", Text),
    ("scale", Int),
    ("secrets", List(&FILE_MOUNT)),
    ("security_opt", Texts),
    ("shm_size", Bytes),
    ("stdin_open", Bool),
    ("stop_grace_period", Duration),
    ("stop_signal", Text),
    ("storage_opt", Map(&Text)),
    ("sysctls", Pairs),
    ("tmpfs", Texts),
    ("tty", Bool),
    ("ulimits", Map(&Limit)),
    ("use_api_socket", Bool),
    ("user", Text),
    ("userns_mode", Text),
    ("uts", Text),
    ("volumes", List(&MOUNT)),
    ("volumes_from", Texts),
    ("working_dir", Text),
]);

const BLOCK_IO: Kind = Object(&[
    ("weight", U16),
    ("weight_device", List(&Object(&[("path", Text), ("weight", U16)]))),
    ("device_read_bps", List(&RATE)),
    ("device_read_iops", List(&RATE)),
    ("device_write_bps", List(&RATE)),
    ("device_write_iops", List(&RATE)),
]);

const RATE: Kind = Object(&[("path", Text), ("rate", Bytes)]);

const BUILD: Kind = Object(&[
    ("additional_contexts", Pairs),
    ("args", Variables),
    ("cache_from", Texts),
    ("cache_to", Texts),
    ("context", Text),
    ("dockerfile", Text),
    ("dockerfile_inline", Text),
    ("entitlements", Texts),
    ("extra_hosts", Hosts),
    ("isolation", Text),
    ("labels", Pairs),
    ("network", Text),
    ("no_cache", Bool),
    ("no_cache_filter", Texts),
    ("platforms", Texts),
    ("privileged", Bool),
    ("provenance", Text),
    ("pull", Bool),
    ("sbom", Text),
    ("secrets", List(&FILE_MOUNT)),
    ("shm_size", Bytes),
    ("ssh", Any),
    ("tags", Texts),
    ("target", Text),
    ("ulimits", Map(&Limit)),
]);

const DEPLOY: Kind = Object(&[
    ("mode", Text),
    ("replicas", Int),
    ("labels", Pairs),
    ("update_config", UPDATE),
    ("rollback_config", UPDATE),
    ("resources", Object(&[("limits", RESOURCE), ("reservations", RESOURCE)])),
    (
        "restart_policy",
        Object(&[("condition", Text), ("delay", Duration), ("max_attempts", U64), ("window", Duration)]),
    ),
    (
        "placement",
        Object(&[
            ("constraints", Texts),
            ("preferences", List(&Object(&[("spread", Text)]))),
            ("max_replicas_per_node", U64),
        ]),
    ),
    ("endpoint_mode", Text),
]);

const UPDATE: Kind = Object(&[
    ("parallelism", U64),
    ("delay", Duration),
    ("failure_action", Text),
    ("monitor", Duration),
    ("max_failure_ratio", Float),
    ("order", Text),
]);

const RESOURCE: Kind = Object(&[
    ("cpus", Float),
    ("memory", Bytes),
    ("pids", Int),
    ("devices", List(&DEVICE_REQUEST)),
    ("generic_resources", List(&Object(&[("discrete_resource_spec", Object(&[("kind", Text), ("value", Int)]))]))),
]);

const DEVICE_REQUEST: Kind =
    Object(&[("capabilities", Texts), ("driver", Text), ("count", Count), ("device_ids", Texts), ("options", Pairs)]);

const DEVELOP: Kind = Object(&[(
    "watch",
    List(&Object(&[
        ("path", Text),
        ("action", Text),
        ("target", Text),
        ("exec", HOOK),
        ("include", Texts),
        ("ignore", Texts),
        ("initial_sync", Bool),
    ])),
)]);

const HOOK: Kind = Object(&[
    ("command", Command),
    ("image", Text),
    ("user", Text),
    ("privileged", Bool),
    ("working_dir", Text),
    ("environment", Variables),
    ("per_replica", Bool),
]);

const HEALTH_CHECK: Kind = Object(&[
    ("test", Test),
    ("timeout", Duration),
    ("interval", Duration),
    ("retries", U64),
    ("start_period", Duration),
    ("start_interval", Duration),
    ("disable", Bool),
]);

const MEMBERSHIP: Kind = Object(&[
    ("aliases", Texts),
    ("driver_opts", Pairs),
    ("gw_priority", Int),
    ("interface_name", Text),
    ("ipv4_address", Text),
    ("ipv6_address", Text),
    ("link_local_ips", Texts),
    ("mac_address", Text),
    ("priority", Int),
]);

const PORT: Kind = Object(&[
    ("name", Text),
    ("mode", Text),
    ("host_ip", Text),
    ("target", U32),
    ("published", Text),
    ("protocol", Text),
    ("app_protocol", Text),
]);

const MOUNT: Kind = Object(&[
    ("type", Text),
    ("source", Text),
    ("target", Text),
    ("read_only", Bool),
    ("consistency", Text),
    ("bind", Object(&[("selinux", Text), ("propagation", Text), ("create_host_path", Bool), ("recursive", Text)])),
    ("volume", Object(&[("labels", Pairs), ("nocopy", Bool), ("subpath", Text)])),
    ("tmpfs", Object(&[("size", Bytes), ("mode", U32)])),
    ("image", Object(&[("subpath", Text)])),
]);

const FILE_MOUNT: Kind = Object(&[("source", Text), ("target", Text), ("uid", Text), ("gid", Text), ("mode", Mode)]);

const NETWORK: Kind = Object(&[
    ("name", Text),
    ("driver", Text),
    ("driver_opts", Pairs),
    (
        "ipam",
        Object(&[
            ("driver", Text),
            (
                "config",
                List(&Object(&[("subnet", Text), ("gateway", Text), ("ip_range", Text), ("aux_addresses", Pairs)])),
            ),
            ("options", Pairs),
        ]),
    ),
    ("external", Bool),
    ("internal", Bool),
    ("attachable", Bool),
    ("labels", Pairs),
    ("enable_ipv4", Bool),
    ("enable_ipv6", Bool),
]);

const VOLUME: Kind =
    Object(&[("name", Text), ("driver", Text), ("driver_opts", Pairs), ("external", Bool), ("labels", Pairs)]);

const FILE: Kind = Object(&[
    ("name", Text),
    ("file", Text),
    ("environment", Text),
    ("content", Text),
    ("external", Bool),
    ("labels", Pairs),
    ("driver", Text),
    ("driver_opts", Map(&Text)),
    ("template_driver", Text),
]);

const MODEL: Kind = Object(&[("name", Text), ("model", Text), ("context_size", Int), ("runtime_flags", Texts)]);
