//! The codes of what becomes of a project: 10 all of it, 11 images and processes, 12 ports and networks, 13 volumes and files, 14 resources and
//! places, 15 health, order and updates, 16 security, 17 credentials. Each group has a book of pages, in the order of the numbers; a number that is
//! missing was never given out.

use crate::compose::problem::Code;

codes! {
    PROJECT:
    /// The stack says the same.
    MAPPED = "C1001";
    /// Settled at import.
    RESOLVED = "C1002";
    /// No meaning in a cluster.
    NOTHING = "C1003";
    /// Nothing was said of a key: a fault of this program.
    LOST = "C1004";
    /// A name that Kubernetes does not take.
    RENAMED = "C1005";
    /// Something that belongs to a service that is not written.
    WITH_REFUSED = "C1006";
    /// The stack as a whole is not valid.
    INVALID = "C1007";
    /// An extension that is not typed as it must be.
    EXTENSION = "C1008";
    /// A service that is off, whose files were not read.
    OFF = "C1009";
}

codes! {
    IMAGES:
    /// A service that is built and has no image.
    BUILD = "C1101";
    /// An image without a tag, or `latest`.
    UNTAGGED = "C1103";
    /// When an image is pulled.
    PULL_POLICY = "C1104";
    /// An empty `command` or `entrypoint`.
    EMPTY_COMMAND = "C1105";
    /// `provider`.
    PROVIDER = "C1106";
    /// `models`.
    MODEL = "C1108";
    /// Keys of Windows containers.
    WINDOWS = "C1109";
    /// The engine's socket.
    ENGINE_SOCKET = "C1110";
    /// `runtime`.
    RUNTIME = "C1111";
    /// A first process beside the app.
    INIT = "C1112";
    /// A name of another service in a value, which has another name now.
    OLD_NAME = "C1114";
    /// A variable whose name Kubernetes does not take.
    VARIABLE_NAME = "C1115";
    /// A folder that is not written in full.
    FOLDER = "C1116";
    /// A label that cannot be an annotation.
    ANNOTATION = "C1117";
    /// A variable whose value a stack does not take.
    VARIABLE_VALUE = "C1118";
}

codes! {
    NETWORKS:
    /// A port that is published on the loopback address.
    LOOPBACK = "C1201";
    /// A port that is published on one address.
    HOST_IP = "C1202";
    /// A port without a published number.
    UNPUBLISHED = "C1203";
    /// A range of published ports for one port.
    PORT_RANGE = "C1204";
    /// `mode: host` of a port.
    HOST_PORT_MODE = "C1205";
    /// A published port of a data store.
    PUBLISHED_STORE = "C1206";
    /// A published port of a service on internal networks only.
    PUBLISHED_INTERNAL = "C1207";
    /// A port that others dial and nobody declares.
    INFERRED_PORT = "C1208";
    /// `network_mode`.
    NETWORK_MODE = "C1209";
    /// The network of the node.
    HOST_NETWORK = "C1210";
    /// Addresses and drivers of networks.
    NETWORK_DETAIL = "C1211";
    /// A network driver that Kubernetes does not have.
    NETWORK_DRIVER = "C1212";
    /// A network of another project.
    EXTERNAL_NETWORK = "C1213";
    /// A further name of a service.
    ALIAS = "C1214";
    /// `external_links`.
    EXTERNAL_LINK = "C1215";
    /// `extra_hosts` with the address of the engine.
    HOST_GATEWAY = "C1216";
    /// `dns` and `domainname`.
    DNS = "C1217";
    /// A service whose every address is looked up.
    DISCOVERED = "C1218";
    /// A host name with several addresses.
    HOST_ALIAS = "C1219";
    /// A port that is none.
    EXPOSE = "C1220";
    /// A label for kompose or k8ify.
    HINT = "C1221";
}

codes! {
    STORAGE:
    /// A path of the computer that a cluster does not have.
    HOST_PATH = "C1301";
    /// Source code that is mounted for development.
    SOURCE_MOUNT = "C1302";
    /// A folder that becomes a volume, without its data.
    FOLDER_VOLUME = "C1303";
    /// A file or folder that becomes a config or a Secret.
    BOUND_FILE = "C1304";
    /// A file that is too large, or written to, or not there.
    UNFIT_FILE = "C1305";
    /// An anonymous volume.
    ANONYMOUS = "C1306";
    /// Options of a mount.
    MOUNT_OPTION = "C1307";
    /// A volume driver.
    VOLUME_DRIVER = "C1308";
    /// A kind of mount that Kubernetes does not have.
    MOUNT_KIND = "C1309";
    /// A volume that keeps services on one node.
    PINNED = "C1310";
    /// A volume that looks like logs.
    LOG_VOLUME = "C1311";
    /// A size that nobody gave.
    DEFAULT_SIZE = "C1312";
    /// Owner of a config or secret file.
    FILE_OWNER = "C1313";
    /// A config or secret that is not there.
    NO_FILE = "C1314";
    /// The driver of a secret or config.
    FILE_DRIVER = "C1315";
    /// `volumes_from`.
    VOLUMES_FROM = "C1316";
    /// Time zone files of the computer.
    TIME_ZONE = "C1318";
    /// A choice for a volume or path that the project does not have.
    UNKNOWN_CHOICE = "C1320";
}

codes! {
    RESOURCES:
    /// Limits that only a node can set.
    NODE_LIMIT = "C1401";
    /// Real-time scheduling.
    REAL_TIME = "C1402";
    /// Shares of processors as a request.
    CPU_SHARES = "C1403";
    /// A limit without a reservation.
    LIMIT_ONLY = "C1404";
    /// A number of graphics processors that nobody gave.
    GPU_COUNT = "C1405";
    /// A device that needs a device plugin.
    DEVICE_PLUGIN = "C1406";
    /// A constraint on nodes.
    CONSTRAINT = "C1407";
    /// A preference of nodes.
    PREFERENCE = "C1408";
    /// `max_replicas_per_node`.
    PER_NODE = "C1409";
    /// `storage_opt`.
    STORAGE_OPTION = "C1410";
    /// `platform`.
    PLATFORM = "C1411";
}

codes! {
    LIFECYCLE:
    /// A service that others wait for to be healthy and that has no check.
    NO_CHECK = "C1501";
    /// Times of less than a second.
    SUBSECOND = "C1502";
    /// A service that runs to its end.
    JOB = "C1503";
    /// `global-job`.
    GLOBAL_JOB = "C1504";
    /// `restart` and `restart_policy`.
    RESTART = "C1505";
    /// `update_config`.
    UPDATE = "C1506";
    /// `rollback_config`.
    ROLLBACK = "C1507";
    /// Hooks.
    HOOK = "C1508";
    /// `stop_signal`.
    STOP_SIGNAL = "C1509";
    /// A check by curl or wget.
    PROBE_PROGRAM = "C1510";
    /// More pods than a service has.
    REPLICAS = "C1512";
}

codes! {
    SECURITY:
    /// `privileged`.
    PRIVILEGED = "C1601";
    /// A capability beyond the runtime's own.
    CAPABILITY = "C1602";
    /// A user or group that is no number.
    USER = "C1603";
    /// `security_opt`.
    SECURITY_OPTION = "C1604";
    /// `ipc`.
    IPC = "C1605";
    /// The node's shared memory.
    HOST_IPC = "C1606";
    /// `pid`.
    PID = "C1607";
    /// The node's processes.
    HOST_PID = "C1608";
    /// A setting of the kernel outside the safe set.
    SYSCTL = "C1609";
    /// `userns_mode`, `uts`, `cgroup`.
    NAMESPACE = "C1610";
    /// `read_only` without a place to write.
    READ_ONLY = "C1611";
}

codes! {
    CREDENTIALS:
    /// A credential that went to a Secret.
    CREDENTIAL = "C1701";
    /// A credential in a command line.
    CREDENTIAL_IN_COMMAND = "C1702";
    /// A value of a Secret that stands elsewhere in the output.
    LEAKED = "C1703";
    /// A secret that may be unset.
    OPTIONAL_CREDENTIAL = "C1704";
}

/// Codes that `--allow` also takes as a word.
pub const WORDS: [(Code, &str); 5] = [
    (HOST_PATH, "hostpath"),
    (HOST_NETWORK, "hostnetwork"),
    (HOST_IPC, "hostipc"),
    (HOST_PID, "hostpid"),
    (PRIVILEGED, "privileged"),
];
