//! The codes of what becomes of a project: 10 all of it, 11 images and processes, 12 ports and networks, 13 volumes and files, 14 resources and
//! places, 15 health, order and updates, 16 security, 17 credentials.

use crate::compose::problem::Code;

/// The stack says the same.
pub const MAPPED: Code = Code("C1001");
/// Settled at import.
pub const RESOLVED: Code = Code("C1002");
/// No meaning in a cluster.
pub const NOTHING: Code = Code("C1003");
/// Nothing was said of a key: a fault of this program.
pub const LOST: Code = Code("C1004");
/// A name that Kubernetes does not take.
pub const RENAMED: Code = Code("C1005");
/// Something that belongs to a service that is not written.
pub const WITH_REFUSED: Code = Code("C1006");
/// The stack as a whole is not valid.
pub const INVALID: Code = Code("C1007");
/// An extension that is not typed as it must be.
pub const EXTENSION: Code = Code("C1008");
/// A service that is off, whose files were not read.
pub const OFF: Code = Code("C1009");

/// A service that is built and has no image.
pub const BUILD: Code = Code("C1101");
/// `build` beside `image`.
pub const BUILD_BESIDE: Code = Code("C1102");
/// An image without a tag, or `latest`.
pub const UNTAGGED: Code = Code("C1103");
/// When an image is pulled.
pub const PULL_POLICY: Code = Code("C1104");
/// An empty `command` or `entrypoint`.
pub const EMPTY_COMMAND: Code = Code("C1105");
/// `provider`.
pub const PROVIDER: Code = Code("C1106");
/// `develop`, and what only development needs.
pub const DEVELOP: Code = Code("C1107");
/// `models`.
pub const MODEL: Code = Code("C1108");
/// Keys of Windows containers.
pub const WINDOWS: Code = Code("C1109");
/// The engine's socket.
pub const ENGINE_SOCKET: Code = Code("C1110");
/// `runtime`.
pub const RUNTIME: Code = Code("C1111");
/// A first process beside the app.
pub const INIT: Code = Code("C1112");
/// A variable without a value.
pub const UNSET_VARIABLE: Code = Code("C1113");
/// A name of another service in a value, which has another name now.
pub const OLD_NAME: Code = Code("C1114");
/// A variable whose name Kubernetes does not take.
pub const VARIABLE_NAME: Code = Code("C1115");
/// A folder that is not written in full.
pub const FOLDER: Code = Code("C1116");
/// A label that cannot be an annotation.
pub const ANNOTATION: Code = Code("C1117");

/// A port that is published on the loopback address.
pub const LOOPBACK: Code = Code("C1201");
/// A port that is published on one address.
pub const HOST_IP: Code = Code("C1202");
/// A port without a published number.
pub const UNPUBLISHED: Code = Code("C1203");
/// A range of published ports for one port.
pub const PORT_RANGE: Code = Code("C1204");
/// `mode: host` of a port.
pub const HOST_PORT_MODE: Code = Code("C1205");
/// A published port of a data store.
pub const PUBLISHED_STORE: Code = Code("C1206");
/// A published port of a service on internal networks only.
pub const PUBLISHED_INTERNAL: Code = Code("C1207");
/// A port that others dial and nobody declares.
pub const INFERRED_PORT: Code = Code("C1208");
/// `network_mode`.
pub const NETWORK_MODE: Code = Code("C1209");
/// The network of the node.
pub const HOST_NETWORK: Code = Code("C1210");
/// Addresses and drivers of networks.
pub const NETWORK_DETAIL: Code = Code("C1211");
/// A network driver that Kubernetes does not have.
pub const NETWORK_DRIVER: Code = Code("C1212");
/// A network of another project.
pub const EXTERNAL_NETWORK: Code = Code("C1213");
/// A further name of a service.
pub const ALIAS: Code = Code("C1214");
/// `external_links`.
pub const EXTERNAL_LINK: Code = Code("C1215");
/// `extra_hosts` with the address of the engine.
pub const HOST_GATEWAY: Code = Code("C1216");
/// `dns` and `domainname`.
pub const DNS: Code = Code("C1217");
/// A host name with several addresses.
pub const HOST_ALIAS: Code = Code("C1219");
/// A port that is none.
pub const EXPOSE: Code = Code("C1220");
/// A service whose every address is looked up.
pub const DISCOVERED: Code = Code("C1218");

/// A path of the computer that a cluster does not have.
pub const HOST_PATH: Code = Code("C1301");
/// Source code that is mounted for development.
pub const SOURCE_MOUNT: Code = Code("C1302");
/// A folder that becomes a volume, without its data.
pub const FOLDER_VOLUME: Code = Code("C1303");
/// A file or folder that becomes a config or a Secret.
pub const BOUND_FILE: Code = Code("C1304");
/// A file that is too large, or written to, or not there.
pub const UNFIT_FILE: Code = Code("C1305");
/// An anonymous volume.
pub const ANONYMOUS: Code = Code("C1306");
/// Options of a mount.
pub const MOUNT_OPTION: Code = Code("C1307");
/// A volume driver.
pub const VOLUME_DRIVER: Code = Code("C1308");
/// A kind of mount that Kubernetes does not have.
pub const MOUNT_KIND: Code = Code("C1309");
/// A volume that keeps services on one node.
pub const PINNED: Code = Code("C1310");
/// A volume that looks like logs.
pub const LOG_VOLUME: Code = Code("C1311");
/// A size that nobody gave.
pub const DEFAULT_SIZE: Code = Code("C1312");
/// Owner of a config or secret file.
pub const FILE_OWNER: Code = Code("C1313");
/// A config or secret that is not there.
pub const NO_FILE: Code = Code("C1314");
/// The driver of a secret or config.
pub const FILE_DRIVER: Code = Code("C1315");
/// `volumes_from`.
pub const VOLUMES_FROM: Code = Code("C1316");
/// Devices.
pub const DEVICE: Code = Code("C1317");
/// Time zone files of the computer.
pub const TIME_ZONE: Code = Code("C1318");
/// `/dev/shm`.
pub const SHM: Code = Code("C1319");
/// A choice for a volume or path that the project does not have.
pub const UNKNOWN_CHOICE: Code = Code("C1320");

/// Limits that only a node can set.
pub const NODE_LIMIT: Code = Code("C1401");
/// Real-time scheduling.
pub const REAL_TIME: Code = Code("C1402");
/// Shares of processors as a request.
pub const CPU_SHARES: Code = Code("C1403");
/// A limit without a reservation.
pub const LIMIT_ONLY: Code = Code("C1404");
/// A number of graphics processors that nobody gave.
pub const GPU_COUNT: Code = Code("C1405");
/// A device that needs a device plugin.
pub const DEVICE_PLUGIN: Code = Code("C1406");
/// A constraint on nodes.
pub const CONSTRAINT: Code = Code("C1407");
/// A preference of nodes.
pub const PREFERENCE: Code = Code("C1408");
/// `max_replicas_per_node`.
pub const PER_NODE: Code = Code("C1409");
/// `storage_opt`.
pub const STORAGE_OPTION: Code = Code("C1410");
/// `platform`.
pub const PLATFORM: Code = Code("C1411");

/// A service that others wait for to be healthy and that has no check.
pub const NO_CHECK: Code = Code("C1501");
/// Times of less than a second.
pub const SUBSECOND: Code = Code("C1502");
/// A service that runs to its end.
pub const JOB: Code = Code("C1503");
/// `global-job`.
pub const GLOBAL_JOB: Code = Code("C1504");
/// `restart` and `restart_policy`.
pub const RESTART: Code = Code("C1505");
/// `update_config`.
pub const UPDATE: Code = Code("C1506");
/// `rollback_config`.
pub const ROLLBACK: Code = Code("C1507");
/// Hooks.
pub const HOOK: Code = Code("C1508");
/// `stop_signal`.
pub const STOP_SIGNAL: Code = Code("C1509");
/// A check by curl or wget.
pub const PROBE_PROGRAM: Code = Code("C1510");
/// More pods than a service has.
pub const REPLICAS: Code = Code("C1512");
/// A dependency on a service that is not in the stack.
pub const DEPENDENCY: Code = Code("C1511");

/// `privileged`.
pub const PRIVILEGED: Code = Code("C1601");
/// A capability beyond the runtime's own.
pub const CAPABILITY: Code = Code("C1602");
/// A user or group that is no number.
pub const USER: Code = Code("C1603");
/// `security_opt`.
pub const SECURITY_OPTION: Code = Code("C1604");
/// `ipc`.
pub const IPC: Code = Code("C1605");
/// The node's shared memory.
pub const HOST_IPC: Code = Code("C1606");
/// `pid`.
pub const PID: Code = Code("C1607");
/// The node's processes.
pub const HOST_PID: Code = Code("C1608");
/// A setting of the kernel outside the safe set.
pub const SYSCTL: Code = Code("C1609");
/// `userns_mode`, `uts`, `cgroup`.
pub const NAMESPACE: Code = Code("C1610");
/// `read_only` without a place to write.
pub const READ_ONLY: Code = Code("C1611");

/// A credential that went to a Secret.
pub const CREDENTIAL: Code = Code("C1701");
/// A credential in a command line.
pub const CREDENTIAL_IN_COMMAND: Code = Code("C1702");
/// A value of a Secret that stands elsewhere in the output.
pub const LEAKED: Code = Code("C1703");
/// A secret that may be unset.
pub const OPTIONAL_CREDENTIAL: Code = Code("C1704");

/// Codes that `--allow` also takes as a word.
pub const WORDS: [(Code, &str); 5] = [
    (HOST_PATH, "hostpath"),
    (HOST_NETWORK, "hostnetwork"),
    (HOST_IPC, "hostipc"),
    (HOST_PID, "hostpid"),
    (PRIVILEGED, "privileged"),
];
