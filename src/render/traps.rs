//! The traps that break real stacks on their way from Compose, each by its number in the list that the design was made from.
//!
//! | trap | what it is | where |
//! |---|---|---|
//! | 1-3, 5-9, 11-13 | service links, dollars, probe numbers, ports, names, bytes, volumes | here |
//! | 4 | a HEALTHCHECK in the image is invisible | here: the warning; the refusal and the known images are import's |
//! | 10 | `restart: no` is not a Job | here: only `mode: Job` is one; choosing it is import's |
//! | 14 | users by name | import: the resource takes numbers only |
//! | 15 | ports of the loopback | here: what is not published is not open; telling them is import's |
//! | 16 | names with `_`, `.` and capitals | import: the schema takes DNS labels only |
//! | 17 | passwords inside of texts | here: `envTemplate`; finding them is import's |
//! | 18-19 | `latest`, files that never change in place | here |
//! | 20 | what an object may hold | here: configs; bound files are import's |
//! | 21-22, 24 | `ipc: host`, empty values, limits without reservations | here |
//! | 23 | Flux' variables | import, and the CRD's own annotation (`generate`) |
//! | 25 | null map values | `cli`: reported with their line, for a typed reader never sees them |
//! | 26-27 | one node's claims, discovery by addresses | here: the warning, the mode; looking for them is import's |

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Settings, render};
use crate::api::{AppStack, PodSecurity};
use crate::stack::{Problems, Stack, check};

fn checked(spec: Value) -> Result<Stack, Problems> {
    check(&AppStack::new("shop", serde_json::from_value(spec).unwrap()), PodSecurity::Privileged)
}

/// All objects of a stack with this spec, as `Kind/name`.
fn objects(spec: Value) -> BTreeMap<String, Value> {
    let children = render(&checked(spec).unwrap(), &Settings::default());
    let named = |object: Value| (format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"])), object);
    children.into_values().map(|wanted| named(wanted.object)).collect()
}

/// The spec of a stack with one service.
fn only(service: Value) -> Value {
    Value::from_iter([("services", Value::from_iter([("web", service)]))])
}

/// The pod of the only service.
fn pod(spec: Value) -> Value {
    objects(spec)["Deployment/shop-web"]["spec"]["template"]["spec"].clone()
}

fn container(service: Value) -> Value {
    pod(only(service))["containers"][0].clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn warnings(spec: Value) -> Vec<String> {
    checked(spec).unwrap().warnings.iter().map(ToString::to_string).collect()
}

/// What the kubelet makes of a text: `$$` is a dollar, `$(NAME)` a variable that it knows, anything else itself.
///
/// <https://pkg.go.dev/k8s.io/kubernetes/third_party/forked/golang/expansion>
fn expanded(sent: &str, known: &BTreeMap<&str, &str>) -> String {
    let mut out = String::new();
    let mut rest = sent;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|open| open.split_once(')')) {
            out.push_str(&known.get(name).map_or_else(|| format!("$({name})"), |value| (*value).to_owned()));
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out + rest
}

#[test]
fn trap_1_service_links_are_off() {
    for (mode, workload) in [("Replicated", "Deployment/shop-web"), ("Global", "DaemonSet/shop-web")] {
        let objects = objects(only(json!({"image": "a:1", "mode": mode})));
        assert_eq!(objects[workload]["spec"]["template"]["spec"]["enableServiceLinks"], false);
    }
    let jobs = json!({"volumes": {"v": {"size": "1Gi", "populate": {"image": "a:1"}}},
        "services": {"web": {"image": "a:1", "mode": "Job", "mounts": {"/v": {"volume": "v"}}}}});
    let objects = objects(jobs);
    let pods: Vec<&Value> =
        objects.values().filter(|o| o["kind"] == "Job").map(|o| &o["spec"]["template"]["spec"]).collect();
    assert_eq!(pods.len(), 2);
    assert!(pods.iter().all(|pod| pod["enableServiceLinks"] == false));
}

#[test]
fn trap_2_dollar_parenthesis_reaches_the_process() {
    let known = BTreeMap::from([("A", "expanded"), ("date", "expanded")]);
    for snippet in [
        "$(date)",
        "$$",
        "$$$",
        "$(A)",
        "$$(A)",
        "$$$(A)",
        "a$b",
        "100$",
        "$",
        "$(",
        "$()",
        "x$(A)$(A)$$y",
        "${A}",
        "$$A$$(A)$(",
    ] {
        let container =
            container(json!({"image": "a:1", "entrypoint": [snippet], "command": [snippet], "env": {"A": snippet}}));
        for sent in [&container["command"][0], &container["args"][0], &container["env"][0]["value"]] {
            assert_eq!(expanded(text(sent), &known), snippet, "sent as {sent}");
        }
    }
}

#[test]
fn trap_2_what_the_kubelet_does_not_expand_is_left_alone() {
    let web = json!({"image": "a:1", "healthcheck": {"shell": "test $$ = $(cat pid)"},
        "postStart": {"exec": ["echo", "$(date)"]}, "preStop": {"exec": ["echo", "$$"]}});
    let container = container(web);
    assert_eq!(container["readinessProbe"]["exec"]["command"], json!(["/bin/sh", "-c", "test $$ = $(cat pid)"]));
    assert_eq!(container["lifecycle"]["postStart"]["exec"]["command"][1], "$(date)");
    assert_eq!(container["lifecycle"]["preStop"]["exec"]["command"][1], "$$");
}

#[test]
fn trap_3_probe_numbers_are_written_out() {
    let numbers = ["periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"];
    let web = container(json!({"image": "a:1", "healthcheck": {"tcp": {"port": 1}}}));
    let found: Vec<&Value> = numbers.iter().map(|number| &web["readinessProbe"][number]).collect();
    assert_eq!(found, [30, 30, 3, 1], "Docker's, not Kubernetes'");
    let web = container(json!({"image": "a:1", "healthcheck": {"tcp": {"port": 1}, "onUnhealthy": "Restart"}}));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        assert!(numbers.iter().all(|number| web[probe][number].is_i64()), "{probe}");
    }
}

#[test]
fn trap_4_healthy_without_a_health_check_is_warned_of() {
    let spec = |check: Value| json!({"services": {"db": {"image": "a:1", "healthcheck": check}, "web": {"image": "a:1", "dependsOn": {"db": {"condition": "Healthy"}}}}});
    assert_eq!(warnings(spec(json!({"tcp": {"port": 1}}))), Vec::<String>::new());
    let warned = warnings(spec(Value::Null));
    assert!(warned.len() == 1 && warned[0].starts_with("spec.services[web].dependsOn[db]"), "{warned:?}");
}

#[test]
fn trap_5_others_dial_the_container_port_and_the_world_the_published_one() {
    let objects = objects(only(json!({"image": "a:1", "ports": {"pg": {"port": 5432, "published": 15432}}})));
    let ports = |service: &str| objects[service]["spec"]["ports"][0].clone();
    assert_eq!((&ports("Service/web")["port"], &ports("Service/web-published")["port"]), (&json!(5432), &json!(15432)));
    assert_eq!(ports("Service/web")["targetPort"], ports("Service/web-published")["targetPort"]);
}

#[test]
fn trap_6_a_service_without_ports_has_a_name_that_passes_every_port() {
    let service = &objects(only(json!({"image": "a:1"})))["Service/web"]["spec"];
    assert_eq!(service["clusterIP"], "None");
    assert!(service["ports"].is_null());
}

#[test]
fn trap_7_peers_find_each_other_before_they_are_ready() {
    let answers = |service: Value| {
        let spec = json!({"volumes": {"own": {"size": "1Gi", "perReplica": true}}, "services": {"web": service}});
        objects(spec)["Service/web"]["spec"]["publishNotReadyAddresses"] == true
    };
    let ports = json!({"http": {"port": 80}});
    assert!(answers(json!({"image": "a:1", "mounts": {"/data": {"volume": "own"}}})));
    assert!(answers(json!({"image": "a:1", "ports": ports, "endpointMode": "DNSRR", "replicas": 3})));
    assert!(answers(json!({"image": "a:1", "ports": ports, "healthcheck": {"shell": "curl http://web/"}})));
    assert!(answers(json!({"image": "a:1", "ports": ports, "publishNotReady": true})));
    assert!(!answers(json!({"image": "a:1", "ports": ports, "replicas": 3})));
    assert!(!answers(json!({"image": "a:1", "endpointMode": "DNSRR", "replicas": 3, "publishNotReady": false})));
}

#[test]
fn trap_8_bytes_keep_their_units() {
    for (written, sent) in
        [("50Mi", "50Mi"), ("50M", "50M"), ("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("52428800", "50Mi")]
    {
        let web = container(json!({"image": "a:1", "resources": {"limits": {"memory": written}}}));
        assert_eq!(web["resources"]["limits"]["memory"], sent);
    }
    let web = container(json!({"image": "a:1", "resources": {"limits": {"cpu": "50m"}}}));
    assert_eq!(web["resources"]["limits"]["cpu"], "50m", "of cores, these are thousandths");
}

#[test]
fn trap_9_there_is_time_to_stop() {
    assert_eq!(pod(only(json!({"image": "a:1"})))["terminationGracePeriodSeconds"], 30);
    assert_eq!(pod(only(json!({"image": "a:1", "stopGracePeriod": "1500ms"})))["terminationGracePeriodSeconds"], 2);
}

#[test]
fn trap_10_only_mode_job_ends() {
    assert!(pod(only(json!({"image": "a:1"})))["restartPolicy"].is_null(), "the server's default, always");
    let objects = objects(only(json!({"image": "a:1", "mode": "Job"})));
    let job = objects.values().find(|object| object["kind"] == "Job").unwrap();
    assert_eq!(job["spec"]["template"]["spec"]["restartPolicy"], "Never");
    assert_eq!(job["spec"]["backoffLimit"], 0, "not Kubernetes' silent 6");
}

#[test]
fn trap_11_a_new_volume_hides_the_image_unless_it_is_seeded() {
    let of = |mount: Value| {
        pod(
            json!({"volumes": {"v": {"size": "1Gi"}}, "services": {"web": {"image": "a:1", "mounts": {"/srv": mount}}}}),
        )
    };
    assert!(of(json!({"volume": "v"}))["initContainers"].is_null());
    for mount in
        [json!({"volume": "v", "seed": "FromImage"}), json!({"ephemeral": {"size": "1Gi"}, "seed": "FromImage"})]
    {
        let pod = of(mount);
        let (seed, web) = (&pod["initContainers"][0], &pod["containers"][0]);
        assert_eq!(seed["image"], web["image"]);
        assert_eq!(seed["command"].as_array().unwrap().last().unwrap(), "/srv");
        assert_eq!(seed["volumeMounts"][0]["name"], web["volumeMounts"][0]["name"]);
        assert_ne!(
            seed["volumeMounts"][0]["mountPath"], "/srv",
            "or the image's own files would be hidden from it as well"
        );
    }
}

#[test]
fn trap_12_a_fresh_volume_is_for_the_group_that_the_service_runs_as() {
    let of = |context: Value, mounts: Value| {
        let spec = json!({"volumes": {"v": {"size": "1Gi"}}, "services": {"web": {"image": "a:1", "securityContext": context, "mounts": mounts}}});
        let context = pod(spec)["securityContext"].clone();
        (context["fsGroup"].as_i64(), context["fsGroupChangePolicy"].as_str().map(str::to_owned))
    };
    let volume = json!({"/data": {"volume": "v", "subPath": "data"}});
    let mismatch = Some("OnRootMismatch".to_owned()); // postgres refuses a data folder whose permissions were changed below it
    assert_eq!(of(json!({"runAsUser": 999}), volume.clone()), (Some(999), mismatch.clone()));
    assert_eq!(of(json!({"runAsUser": 999, "runAsGroup": 70}), volume.clone()), (Some(70), mismatch.clone()));
    assert_eq!(of(json!({"runAsUser": 999, "fsGroup": 5}), volume), (Some(5), mismatch));
    assert_eq!(of(json!({"runAsUser": 999}), json!({"/tmp": {"tmpfs": {}}})), (None, None));
}

#[test]
fn trap_12_lost_and_found_is_out_of_sight_below_a_sub_path() {
    let spec = json!({"volumes": {"v": {"size": "1Gi"}}, "services": {"web": {"image": "a:1", "mounts": {"/data": {"volume": "v", "subPath": "data"}}}}});
    assert_eq!(pod(spec)["containers"][0]["volumeMounts"][0]["subPath"], "data");
}

#[test]
fn trap_13_recreate_for_writers_of_one_node_claims() {
    let deployment = |mode: &str, mount: Value| {
        let spec = json!({"volumes": {"v": {"size": "1Gi", "accessMode": mode}}, "services": {"web": {"image": "a:1", "mounts": {"/v": mount}}}});
        objects(spec)["Deployment/shop-web"]["spec"].clone()
    };
    let writes = json!({"volume": "v"});
    let reads = json!({"volume": "v", "readOnly": true});
    for (mode, mount, strategy) in [
        ("ReadWriteOnce", &writes, "Recreate"),
        ("ReadWriteOncePod", &writes, "Recreate"),
        ("ReadWriteOncePod", &reads, "Recreate"),
        ("ReadWriteOnce", &reads, "RollingUpdate"),
        ("ReadWriteMany", &writes, "RollingUpdate"),
    ] {
        assert_eq!(deployment(mode, mount.clone())["strategy"]["type"], strategy, "{mode} {mount}");
    }
    let affinity = |mode: &str| deployment(mode, reads.clone())["template"]["spec"]["affinity"].clone();
    assert!(!affinity("ReadWriteOnce").is_null(), "users share a node");
    assert!(affinity("ReadWriteMany").is_null());
}

#[test]
fn trap_13_a_claim_of_one_pod_is_for_one_pod() {
    let spec = |replicas: i32, read_only: bool| json!({"volumes": {"v": {"size": "1Gi", "accessMode": "ReadWriteOncePod"}}, "services": {"web": {"image": "a:1", "replicas": replicas, "mounts": {"/v": {"volume": "v", "readOnly": read_only}}}}});
    for read_only in [false, true] {
        assert!(checked(spec(1, read_only)).is_ok());
        let refused = checked(spec(2, read_only)).unwrap_err().all;
        assert_eq!(refused[0].field, "spec.services[web].mounts[/v]", "a reader excludes others as well");
    }
}

#[test]
fn trap_15_what_is_not_published_is_not_open() {
    let objects = objects(only(json!({"image": "a:1", "ports": {"http": {"port": 80}}})));
    assert!(!objects.contains_key("Service/web-published") && !objects.contains_key("NetworkPolicy/shop-pub-web"));
}

#[test]
fn trap_17_one_password_lives_in_one_key() {
    let spec = json!({"secrets": {"db": {"secretName": "shop-db", "key": "password"}}, "services": {"web": {"image": "a:1",
        "secretEnv": {"Z_PASSWORD": {"secret": "db"}}, "envTemplate": {"A_URL": "pg://app:$(Z_PASSWORD)@db/$$x"}}}});
    let env = pod(spec)["containers"][0]["env"].clone();
    assert_eq!(env[0]["valueFrom"]["secretKeyRef"], json!({"name": "shop-db", "key": "password"}));
    let known = BTreeMap::from([("Z_PASSWORD", "s3cret")]); // the kubelet knows what stands before
    assert_eq!(expanded(text(&env[1]["value"]), &known), "pg://app:s3cret@db/$x");
}

#[test]
fn trap_18_when_to_pull_is_left_to_kubernetes() {
    for image in ["web", "web:latest", "web:1"] {
        assert!(container(json!({"image": image}))["imagePullPolicy"].is_null(), "{image}");
    }
}

#[test]
fn trap_19_a_changed_config_is_a_new_name_and_replaces_its_users() {
    let spec = |content: &str| {
        json!({"configs": {"conf": {"content": content}}, "services": {
            "web": {"image": "a:1", "mounts": {"/etc/conf": {"config": "conf"}}}, "other": {"image": "a:1"}}})
    };
    let (before, after) = (objects(spec("a")), objects(spec("b")));
    let config_maps = |all: &BTreeMap<String, Value>| {
        all.keys().filter(|id| id.starts_with("ConfigMap/")).cloned().collect::<Vec<_>>()
    };
    assert_ne!(config_maps(&before), config_maps(&after));
    let template = |all: &BTreeMap<String, Value>, id: &str| all[id]["spec"]["template"].clone();
    assert_ne!(template(&before, "Deployment/shop-web"), template(&after, "Deployment/shop-web"));
    assert_eq!(template(&before, "Deployment/shop-other"), template(&after, "Deployment/shop-other"));
    let mount = &template(&before, "Deployment/shop-web")["spec"]["containers"][0]["volumeMounts"][0];
    assert_eq!(
        (&mount["subPath"], &mount["mountPath"]),
        (&json!("conf"), &json!("/etc/conf")),
        "one file, not a folder over /etc"
    );
}

/// By `subPath` alone the kubelet makes an empty folder where the file should be; an item that is not there is a FailedMount.
#[test]
fn trap_19_a_file_that_is_missing_is_no_empty_folder() {
    let spec = json!({"configs": {"theirs": {"configMapName": "shared"}, "own": {"content": "a"}}, "secrets": {"tls": {"secretName": "tls"}},
        "services": {"web": {"image": "a:1", "mounts": {
            "/a": {"config": "theirs", "key": "a"}, "/b": {"config": "theirs", "key": "b"}, "/c": {"config": "theirs", "key": "a"},
            "/all": {"config": "theirs"}, "/key": {"secret": "tls", "key": "tls.key", "mode": "0400"}, "/own": {"config": "own"}}}}});
    let pod = pod(spec);
    let volume = |path: &str| {
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["mountPath"] == path).unwrap();
        let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        (mount["subPath"].clone(), volume.clone())
    };
    let item = |key: &str| json!({"key": key, "path": key});
    for (path, key) in [("/a", "a"), ("/b", "b"), ("/c", "a")] {
        let (sub_path, volume) = volume(path);
        assert_eq!((sub_path, &volume["configMap"]["items"]), (json!(key), &json!([item("a"), item("b")])), "{path}");
    }
    let (sub_path, tls) = volume("/key");
    assert_eq!((sub_path, &tls["secret"]["items"]), (json!("tls.key"), &json!([item("tls.key")])));
    assert_eq!(volume("/own").1["configMap"]["items"], json!([item("own")]));
    assert!(volume("/all").1["configMap"]["items"].is_null(), "a folder has what is there");
}

#[test]
fn trap_20_a_config_that_no_config_map_holds_is_refused() {
    let spec = |files: usize| {
        let data: BTreeMap<String, String> = (0..files).map(|n| (format!("f{n}"), "x".repeat(1 << 18))).collect();
        json!({"configs": {"big": {"data": data}}, "services": {"web": {"image": "a:1", "mounts": {"/etc/big": {"config": "big"}}}}})
    };
    assert!(checked(spec(4)).is_ok());
    let refused = checked(spec(5)).unwrap_err().all;
    assert_eq!(refused[0].field, "spec.configs[big]");
}

#[test]
fn trap_21_shared_memory_grows_without_the_nodes_own() {
    let pod = pod(only(json!({"image": "a:1", "shmSize": "1Gi"})));
    assert_eq!(pod["containers"][0]["volumeMounts"][0]["mountPath"], "/dev/shm");
    assert_eq!(pod["volumes"][0]["emptyDir"], json!({"medium": "Memory", "sizeLimit": "1Gi"}));
    assert!(pod["hostIPC"].is_null());
}

#[test]
fn trap_22_an_empty_value_keeps_the_variable() {
    let env = container(json!({"image": "a:1", "env": {"CUDA_VISIBLE_DEVICES": ""}}))["env"].clone();
    assert_eq!(env, json!([{"name": "CUDA_VISIBLE_DEVICES"}]), "the server drops an empty `value`");
}

#[test]
fn trap_24_a_request_is_never_made_up() {
    let web = container(json!({"image": "a:1", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}));
    assert_eq!(web["resources"], json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Kubernetes reserves the limit");
    let web = container(
        json!({"image": "a:1", "resources": {"requests": {"cpu": 0, "memory": 0}, "limits": {"memory": "1Gi"}}}),
    );
    assert_eq!(
        web["resources"]["requests"],
        json!({"cpu": "0", "memory": "0"}),
        "and reserves nothing where that is said"
    );
}

#[test]
fn trap_26_many_pods_on_one_nodes_claim_are_warned_of() {
    let spec = |count: Value| {
        let mut web = json!({"image": "a:1", "resources": {"requests": {"cpu": 1}}, "mounts": {"/v": {"volume": "v"}}});
        web.as_object_mut().unwrap().extend(count.as_object().unwrap().clone());
        json!({"volumes": {"v": {"size": "1Gi"}}, "services": {"web": web}})
    };
    assert!(warnings(spec(json!({"replicas": 1}))).is_empty());
    for count in [json!({"replicas": 2}), json!({"autoscale": {"max": 2, "cpuPercent": 50}})] {
        assert!(warnings(spec(count.clone()))[0].contains("share one node"), "{count}");
    }
}

#[test]
fn trap_27_every_address_or_one() {
    let cluster_ip = |mode: Value| {
        objects(only(json!({"image": "a:1", "ports": {"http": {"port": 80}}, "endpointMode": mode})))["Service/web"]["spec"]["clusterIP"].clone()
    };
    assert_eq!(cluster_ip(json!("DNSRR")), "None");
    assert_eq!(cluster_ip(json!("VIP")), Value::Null);
    assert_eq!(cluster_ip(Value::Null), Value::Null, "a proxy that resolves its upstream once wants one address");
}

/// `read_only: true` in Compose leaves volumes and tmpfs writable, and so it is here, for the steps before the start as well.
#[test]
fn a_read_only_root_leaves_mounts_writable() {
    let pod = pod(only(json!({"image": "a:1", "securityContext": {"readOnlyRootFilesystem": true},
        "mounts": {"/tmp": {"tmpfs": {}}, "/srv": {"ephemeral": {"size": "1Gi"}, "seed": "FromImage"}}, "preStart": [{"name": "step"}]})));
    let containers = ["initContainers", "containers"].into_iter().flat_map(|list| pod[list].as_array().unwrap());
    for container in containers {
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert!(container["volumeMounts"].as_array().unwrap().iter().all(|mount| mount["readOnly"].is_null()));
    }
}
