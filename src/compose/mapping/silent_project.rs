//! A project that says nearly everything that Compose can say. `name &anchor` and `name !tag` are keys with what stands behind their colon,
//! `MERGE` is `<<`.

/// The Compose files.
pub(super) const FILES: [(&str, &str); 4] =
    [("compose.yaml", MAIN), ("compose.override.yaml", OVER), ("base.yaml", BASE), ("part.yaml", PART)];

/// The other files.
pub(super) const TEXTS: [(&str, &str); 8] = [
    (".env", "TAG=1.4\nDB_PASSWORD=correct-horse-battery\nLEVEL=info\n"),
    ("plain.env", "REGION=eu\nAPI_TOKEN=a-token-of-an-api\n"),
    ("labels.txt", "from.file=yes\n"),
    ("conf/app.conf", "upstream http://db:5432;\n"),
    ("conf/more.conf", "x\n"),
    ("key.pem", "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"),
    ("words.txt", "words\n"),
    ("data/rows.csv", "1,2\n"),
];

const MAIN: &str = r#"
name: shop
include: [{path: [part.yaml], env_file: [plain.env], project_directory: .}]
x-notes: {a: [1, {b: 2}]}
x-common &common: {restart: unless-stopped, logging: {driver: json-file, options: {max-size: 10m}}}
x-appstack: {publish: {type: NodePort}, isolation: Namespace}
services:
  web:
    MERGE: "*common"
    image: "registry.example/web:${TAG:-1}"
    build:
      context: ./web
      dockerfile: Dockerfile
      args: {LEVEL: "${LEVEL}"}
      additional_contexts: {base: ./base}
      cache_from: [registry.example/web:cache]
      extra_hosts: {h: 10.0.0.1}
      labels: {a: b}
      platforms: [linux/amd64]
      secrets: [{source: key, target: k}]
      shm_size: 64m
      ssh: [default]
      tags: ["web:x"]
      target: prod
      ulimits: {nproc: 10, nofile: {soft: 1, hard: 2}}
    command: [serve, --port, "80"]
    entrypoint: [/entry.sh]
    environment: {LEVEL: "${LEVEL:-info}", DATABASE_URL: "postgres://app:${DB_PASSWORD}@db:5432/app", EMPTY: null, COUNT: 3, ON: true}
    env_file: [plain.env, {path: none.env, required: false, format: raw}]
    ports: ["8080:80", "127.0.0.1:9000:9000", "7000-7002:7000-7002/udp", {target: 81, published: "8081", protocol: tcp, mode: host, host_ip: 0.0.0.0, name: web, app_protocol: http}]
    expose: ["90", "91-93"]
    networks: {front: {aliases: [site], ipv4_address: 172.28.0.5, ipv6_address: "fd00::5", link_local_ips: [169.254.1.1], mac_address: "02:42:ac:11:65:43", driver_opts: {a: b}, priority: 1, gw_priority: 2, interface_name: eth7}, back: null}
    volumes:
      - "data:/data"
      - "./conf:/etc/app:ro"
      - "./data:/rows"
      - "/anonymous"
      - {type: volume, source: cache, target: /cache, read_only: true, consistency: cached, volume: {nocopy: true, subpath: a, labels: {x: z}}}
      - {type: bind, source: ./words.txt, target: /words.txt, bind: {create_host_path: false, propagation: rprivate, selinux: z, recursive: disabled}}
      - {type: tmpfs, target: /scratch, tmpfs: {size: 64m, mode: 1023}}
      - {type: image, source: "files:1", target: /files, image: {subpath: x}}
    tmpfs: ["/run:size=1m,uid=3", /tmp]
    configs: [app, {source: more, target: /etc/more, uid: "1", gid: "2", mode: 288}]
    secrets: [key, {source: word, target: w, uid: "1", gid: "2", mode: "0440"}]
    depends_on: {db: {condition: service_healthy, restart: true, required: true}, once: {condition: service_completed_successfully}, off: {condition: service_started, required: false}}
    healthcheck: {test: [CMD, curl, -f, "http://localhost/health"], interval: 10s, timeout: 1500ms, retries: 3, start_period: 5s, start_interval: 1s}
    deploy:
      mode: replicated
      replicas: 2
      labels: {d: e}
      endpoint_mode: vip
      update_config: {parallelism: 1, delay: 1s, monitor: 2s, order: start-first, failure_action: rollback, max_failure_ratio: 0.5}
      rollback_config: {parallelism: 1, delay: 1s, monitor: 2s, order: stop-first, failure_action: pause, max_failure_ratio: 0.5}
      resources:
        limits: {cpus: "0.5", memory: 256M, pids: 100}
        reservations: {cpus: "0.25", memory: 128M, generic_resources: [{discrete_resource_spec: {kind: nvidia.com/gpu, value: 1}}], devices: [{capabilities: [gpu], driver: nvidia, count: 1, options: {a: b}}]}
      restart_policy: {condition: on-failure, delay: 1s, max_attempts: 3, window: 5s}
      placement: {constraints: ["node.labels.disk==ssd", "node.role==worker"], preferences: [{spread: node.labels.zone}, {spread: node.labels.rack}], max_replicas_per_node: 1}
    labels: {team: a, "a b": c}
    annotations: {note: x}
    label_file: [labels.txt]
    hostname: web-host
    domainname: example.com
    dns: [10.0.0.2]
    dns_search: [example.com]
    dns_opt: ["ndots:2"]
    extra_hosts: {one: 10.0.0.3, two: [10.0.0.4, 10.0.0.5]}
    links: ["db:database"]
    working_dir: /srv
    user: "1000:1000"
    group_add: ["44"]
    cap_add: [SYS_PTRACE]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true", "label:type:svirt_t"]
    sysctls: {net.core.somaxconn: 1024}
    read_only: true
    init: true
    tty: true
    stdin_open: true
    privileged: false
    stop_signal: SIGINT
    stop_grace_period: 20s
    shm_size: 64m
    pull_policy: missing
    platform: linux/amd64
    profiles: []
    attach: false
    develop: {watch: [{path: ./web, action: sync+exec, target: /srv, ignore: [a], include: [b], initial_sync: true, exec: {command: [x], user: root, working_dir: /, environment: {A: b}, privileged: false}}]}
    post_start: [{command: [warm], environment: {A: b}, working_dir: /}]
    pre_stop: [{command: bye}]
    x-mine: {a: [1, {b: null}]}
    x-appstack: {autoscale: {min: 2, max: 9, cpuPercent: 70}, update: {onFailure: Rollback}}
  db:
    image: "postgres:16"
    extends: {file: base.yaml, service: base}
    environment: ["POSTGRES_PASSWORD=${DB_PASSWORD}", POSTGRES_DB=app, LEVEL]
    volumes: ["pg:/var/lib/postgresql/data"]
    healthcheck: {test: pg_isready, interval: 5s}
    networks: [back]
    cpus: 0.5
    cpu_shares: 512
    mem_limit: 1g
    mem_reservation: 512m
    memswap_limit: 2g
    mem_swappiness: 10
    oom_kill_disable: false
    oom_score_adj: 10
    pids_limit: 100
    cpuset: "0,1"
    blkio_config: {weight: 300, weight_device: [{path: /dev/sda, weight: 400}], device_read_bps: [{path: /dev/sda, rate: 12mb}], device_read_iops: [{path: /dev/sda, rate: 12}], device_write_bps: [{path: /dev/sda, rate: 1mb}], device_write_iops: [{path: /dev/sda, rate: 12}]}
    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}
    storage_opt: {size: 2g}
    ipc: shareable
    userns_mode: host
    uts: host
    cgroup: private
    cgroup_parent: x
    container_name: shop-db
    restart: on-failure:3
  once:
    build: ./once
    image: once:1
    restart: "no"
    scale: 1
    networks: [back]
    pre_start: [{command: [migrate], image: m:1, environment: {A: b}, working_dir: /, per_replica: true, user: "", privileged: false}]
    volumes_from: ["db:ro"]
  odd:
    image: odd
    privileged: true
    network_mode: host
    pid: host
    devices: ["/dev/ttyUSB0:/dev/ttyUSB0:rwm", {source: /dev/nvidia0, target: /dev/nvidia0, permissions: r}]
    gpus: [{count: 1, driver: nvidia, capabilities: [gpu], options: {a: b}}]
    runtime: nvidia
    credential_spec: {file: spec.json}
    external_links: [other]
    device_cgroup_rules: ["c 1:3 mr"]
    isolation: default
    cpu_count: 1
    cpu_percent: 50
    cpu_quota: 50000
    cpu_period: 100000
    cpu_rt_period: 400000
    cpu_rt_runtime: 95000
    use_api_socket: true
    models: {llm: {endpoint_var: LLM_URL, model_var: LLM}}
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
    mac_address: "02:42:ac:11:65:44"
    pull_refresh_after: 24h
  helper: {provider: {type: cloud, options: {a: b, c: [d, e]}}}
  off: {image: "off:1", profiles: [debug], env_file: plain.env, networks: {back: {}}}
networks:
  front: {name: shop-front, driver: bridge, driver_opts: {a: b}, ipam: {driver: default, config: [{subnet: 172.28.0.0/16, ip_range: 172.28.5.0/24, gateway: 172.28.5.254, aux_addresses: {h: 172.28.1.5}}], options: {a: b}}, enable_ipv4: true, enable_ipv6: false, attachable: true, labels: {a: b}, x-n: 1}
  back: {internal: true}
  outer: {external: true, name: outer-net}
volumes:
  data: {x-appstack: {size: 10Gi}}
  cache: {driver: local, driver_opts: {type: tmpfs, o: "size=100m", device: tmpfs}, labels: {a: b}, name: shop-cache}
  pg: {labels: {k8ify.size: 5Gi}}
  kept: {external: true, name: kept-claim}
configs:
  app: {file: conf/app.conf, labels: {a: b}}
  more: {content: "level ${LEVEL}"}
secrets:
  key: {file: key.pem}
  word: {environment: DB_PASSWORD}
  there: {external: true, name: there-key}
models:
  llm: {model: ai/model, context_size: 1024, runtime_flags: [--a]}
"#;

const OVER: &str = r#"
services:
  web:
    image: "registry.example/web:2"
    ports !override: ["8080:80"]
    environment: {LEVEL: debug}
    labels: ["team=b"]
    dns_search !reset: null
  db: {restart: always, x-over: 1}
"#;

const BASE: &str = r#"
services:
  base: {image: "base:1", labels: {from: base}, environment: {A: b}, tmpfs: [/tmp]}
  unused: {image: "unused:1", command: [x]}
"#;

const PART: &str = r#"
services:
  part: {image: "part:1", environment: {REGION: "${REGION}", TOKEN: "${API_TOKEN}"}, command: "run --now"}
volumes: {part-data: {}}
"#;
