//! What is mounted, on projects in memory: these lines in, these mounts and codes out.

#![allow(clippy::unwrap_used)] // tests

use serde_json::{Value, json};

use super::choices::{BindAs, Choices, VolumeAs};
use super::says::Class;
use super::tests::{mapped, mapped_with};
use super::{Mapped, code};

/// The stack of a project, without services but for their mounts.
pub(super) fn spec(mapped: &Mapped) -> Value {
    let mut spec = serde_json::to_value(&mapped.stack.spec).unwrap();
    for service in spec["services"].as_object_mut().unwrap().values_mut() {
        *service = service.get("mounts").cloned().unwrap_or_default();
    }
    spec
}

/// Class and code of what was found, in the order of the file.
pub(super) fn codes(mapped: &Mapped) -> Vec<(Class, &'static str)> {
    mapped.findings.iter().map(|finding| (finding.outcome.class, finding.outcome.code.0)).collect()
}

/// What was found, in words.
pub(super) fn messages(mapped: &Mapped) -> String {
    mapped.findings.iter().map(|finding| format!("{} [{}]\n", finding.outcome.message, finding.outcome.help)).collect()
}

/// One service `a` of an image with one item of `volumes`, among these files.
pub(super) fn bound(item: &str, files: &[(&str, &str)], choices: &Choices) -> Mapped {
    let text = format!("name: shop\nservices:\n  a:\n    image: a:1\n    volumes:\n      - {item}\n");
    let mut all = vec![("compose.yaml", text.as_str())];
    all.extend(files);
    mapped_with(&all, choices)
}

#[test]
fn named_volumes_keep_what_is_said_of_their_mounts() {
    for (image, lines, mount) in [
        ("a:1", "data:/x", json!({"volume": "data", "seed": "FromImage"})),
        ("a:1", "data:/x:ro", json!({"volume": "data", "readOnly": true})),
        ("a:1", "data:/x:nocopy", json!({"volume": "data"})),
        (
            "a:1",
            "{type: volume, source: data, target: /x/../y, volume: {subpath: b, nocopy: true}}",
            json!({"volume": "data", "subPath": "b"}),
        ),
        ("postgres:16", "data:/var/lib/postgresql/data", json!({"volume": "data", "subPath": "data"})),
        ("mariadb", "data:/var/lib/mysql", json!({"volume": "data", "subPath": "data"})),
        ("grafana/grafana:10.4.2", "data:/var/lib/grafana", json!({"volume": "data"})),
        ("nginx:1.25", "data:/var/log/nginx:ro", json!({"volume": "data", "readOnly": true})),
    ] {
        let text = format!("services: {{a: {{image: '{image}', volumes: [\"{lines}\"]}}}}\nvolumes: {{data: {{}}}}\n")
            .replace("\"{", "{")
            .replace("}\"", "}");
        let mapped = mapped(&text);
        let services = &spec(&mapped)["services"]["a"];
        assert_eq!(services.as_object().unwrap().values().next(), Some(&mount), "{lines}");
    }
    let elsewhere = "services: {a: {image: 'postgres:16', environment: {PGDATA: /var/lib/postgresql/data/db}, volumes: ['db:/var/lib/postgresql/data']}}\nvolumes: {db: }\n";
    assert_eq!(spec(&mapped(elsewhere))["services"]["a"]["/var/lib/postgresql/data"], json!({"volume": "db"}));
}

#[test]
fn volumes_of_the_project_have_sizes_classes_and_owners() {
    let text = "
services:
  a: {image: 'a:1', volumes: ['v1:/b', 'v2:/c', 'v3:/d', 'v4:/e', 'v5:/f', 'v6:/g']}
volumes:
  v1: {x-appstack: {size: 10Gi, storageClassName: fast, accessMode: ReadWriteMany, retention: Delete}, labels: {team: shop}}
  v2: {labels: [k8ify.size=5G, k8ify.storageClass=ssd, k8ify.shared=true]}
  v3: {external: true, name: The_Claim}
  v4: {external: true}
  v5: {driver: rexray, driver_opts: {size: '1'}}
  v6: {driver: local, name: other}
  unused: {driver: nothing, x-appstack: {sizes: 1}}
";
    let mapped = mapped(text);
    assert_eq!(
        spec(&mapped)["volumes"],
        json!({
            "v1": {"size": "10Gi", "storageClassName": "fast", "accessMode": "ReadWriteMany", "retention": "Delete", "annotations": {"team": "shop"}},
            "v2": {"size": "5G", "storageClassName": "ssd", "accessMode": "ReadWriteMany"},
            "v3": {"claimName": "the-claim"},
            "v4": {"claimName": "v4"},
            "v5": {"size": "1Gi"},
            "v6": {"size": "1Gi"},
        })
    );
    let expected = [
        (Class::Approximated, code::RENAMED.0),
        (Class::Approximated, code::DEFAULT_SIZE.0),
        (Class::Approximated, code::VOLUME_DRIVER.0),
        (Class::Ignored, code::VOLUME_DRIVER.0),
    ];
    assert_eq!(codes(&mapped), expected, "{}", messages(&mapped));
    assert!(messages(&mapped).contains("so each has 1Gi: v5 and v6"), "{}", messages(&mapped));
    assert_eq!(spec(&mapped)["services"]["a"]["/e"], json!({"volume": "v4"}), "nobody writes into a claim that exists");
    let choices = Choices { storage_classes: [("rexray".to_owned(), "ssd".to_owned())].into(), ..Choices::default() };
    let chosen = mapped_with(&[("compose.yaml", text)], &choices);
    assert_eq!(spec(&chosen)["volumes"]["v5"], json!({"size": "1Gi", "storageClassName": "ssd"}));
}

#[test]
fn what_an_extension_of_a_volume_cannot_say_is_refused_where_it_stands() {
    let mapped = mapped(
        "services: {a: {image: 'a:1', volumes: ['v1:/b', 'v2:/c']}}\nvolumes:\n  v1: {x-appstack: {sise: 1Gi, retention: Delete}}\n  v2: {x-appstack: {size: 10GB}}\n",
    );
    let mut refused = codes(&mapped);
    refused.retain(|(class, _)| *class == Class::Refused);
    assert_eq!(refused, [(Class::Refused, code::EXTENSION.0); 2], "{}", messages(&mapped));
    assert_eq!(spec(&mapped)["volumes"], json!({"v1": {"size": "1Gi", "retention": "Delete"}, "v2": {"size": "1Gi"}}));
    assert!(messages(&mapped).contains("did you mean 'size'?"), "{}", messages(&mapped));
}

#[test]
fn volumes_on_file_servers_are_refused_with_those_who_mount_them() {
    let text = "services: {a: {image: 'a:1', volumes: ['files:/b']}, c: {image: 'c:1'}}\nvolumes: {files: {driver_opts: {type: nfs, o: 'addr=10.0.0.1,rw', device: ':/b'}}}\n";
    let mapped_plain = mapped(text);
    assert_eq!(codes(&mapped_plain), [(Class::Refused, code::WITH_REFUSED.0), (Class::Refused, code::VOLUME_DRIVER.0)]);
    assert_eq!(mapped_plain.stack.spec.services.keys().collect::<Vec<_>>(), ["c"]);
    assert!(messages(&mapped_plain).contains("x-appstack: {claimName: NAME}"));
    let allowed = Choices { allow: [code::VOLUME_DRIVER.0.to_owned()].into(), ..Choices::default() };
    assert_eq!(spec(&mapped_with(&[("compose.yaml", text)], &allowed))["volumes"], json!({"files": {"size": "1Gi"}}));
    let claimed = text.replace("files: {driver_opts", "files: {x-appstack: {claimName: nfs-b}, driver_opts");
    let claimed = mapped(&claimed);
    assert_eq!(spec(&claimed)["volumes"], json!({"files": {"claimName": "nfs-b"}}));
    assert_eq!(codes(&claimed), []);
}

#[test]
fn options_of_the_local_driver_are_memory_or_folders() {
    let text = "
services: {a: {image: 'a:1', volumes: ['memory:/m', 'folder:/f']}}
volumes:
  memory: {driver_opts: {type: tmpfs, device: tmpfs, o: 'size=100m,uid=1000'}}
  folder: {driver: local, driver_opts: {type: none, o: bind, device: ./data/files}}
";
    let mapped = mapped_with(&[("compose.yaml", text), ("data/files/x", "x")], &Choices::default());
    let spec = spec(&mapped);
    assert_eq!(spec["services"]["a"], json!({"/m": {"tmpfs": {"size": "100Mi"}}, "/f": {"volume": "folder"}}));
    assert_eq!(spec["volumes"], json!({"folder": {"size": "1Gi"}}));
    assert_eq!(
        mapped.carries.iter().map(|carry| (carry.from.as_str(), carry.volume.as_str())).collect::<Vec<_>>(),
        [("./data/files", "folder")]
    );
}

#[test]
fn a_volume_may_go_with_the_pod_or_be_on_all_nodes_or_with_one_pod_alone() {
    let text = "services: {a: {image: 'a:1', volumes: ['app_logs:/logs', './d:/d']}}\nvolumes: {app_logs: }\n";
    let choices = |logs, d| Choices {
        volumes: [("app_logs".to_owned(), logs), ("d".to_owned(), d)].into(),
        ..Choices::default()
    };
    let ephemeral = mapped_with(&[("compose.yaml", text)], &choices(VolumeAs::Ephemeral, VolumeAs::Ephemeral));
    assert_eq!(
        spec(&ephemeral)["services"]["a"],
        json!({"/logs": {"ephemeral": {"size": "1Gi"}, "seed": "FromImage"}, "/d": {"ephemeral": {"size": "1Gi"}}})
    );
    assert_eq!(spec(&ephemeral)["volumes"], Value::Null);
    let shared = mapped_with(&[("compose.yaml", text)], &choices(VolumeAs::ReadWriteMany, VolumeAs::ReadWriteMany));
    assert_eq!(
        spec(&shared)["volumes"],
        json!({"app-logs": {"size": "1Gi", "accessMode": "ReadWriteMany"}, "d": {"size": "1Gi", "accessMode": "ReadWriteMany"}})
    );
    let one = mapped_with(&[("compose.yaml", text)], &choices(VolumeAs::ReadWriteOncePod, VolumeAs::ReadWriteOncePod));
    assert_eq!(
        spec(&one)["volumes"],
        json!({"app-logs": {"size": "1Gi", "accessMode": "ReadWriteOncePod"}, "d": {"size": "1Gi", "accessMode": "ReadWriteOncePod"}})
    );
}

#[test]
fn a_volume_may_be_a_secret_that_somebody_else_makes() {
    let text = "name: p
services:
  a: {image: 'a:1', volumes: ['certs:/certs:ro', './d:/d'], environment: {PASSWORD: hunter2}}
volumes: {certs: }
";
    let volumes = [("certs".to_owned(), VolumeAs::Secret), ("d".to_owned(), VolumeAs::Secret)].into();
    let mapped = mapped_with(&[("compose.yaml", text)], &Choices { volumes, ..Choices::default() });
    let spec = spec(&mapped);
    assert_eq!(spec["services"]["a"], json!({"/certs": {"secret": "certs"}, "/d": {"secret": "d"}}));
    assert_eq!(spec["volumes"], Value::Null);
    let names: Vec<_> =
        mapped.stack.spec.secrets.iter().map(|(name, secret)| (&**name, &*secret.secret_name)).collect();
    assert_eq!(names, [("certs", "p-certs"), ("d", "p-d"), ("p", "p")]);
    assert_eq!(mapped.secrets.len(), 1, "made is only what has values");
}

#[test]
fn anonymous_volumes_go_with_the_pod_unless_they_are_asked_for() {
    let plain = bound("/cache/files", &[], &Choices::default());
    assert_eq!(
        spec(&plain)["services"]["a"],
        json!({"/cache/files": {"ephemeral": {"size": "1Gi"}, "seed": "FromImage"}})
    );
    assert_eq!(codes(&plain), [(Class::Approximated, code::ANONYMOUS.0)]);
    let kept = bound("/cache/files", &[], &Choices { anonymous_volumes: true, ..Choices::default() });
    assert_eq!(spec(&kept)["services"]["a"], json!({"/cache/files": {"volume": "a-cache-files", "seed": "FromImage"}}));
    assert_eq!(spec(&kept)["volumes"], json!({"a-cache-files": {"size": "1Gi"}}));
}

#[test]
fn memory_is_memory_and_what_it_cannot_keep_is_said() {
    let text = "
services:
  a:
    image: a:1
    tmpfs: [/run, '/tmp:size=64m,mode=1777', '/x:size=4k,uid=1000,noexec']
    volumes: [{type: tmpfs, target: /y, tmpfs: {size: 128m, mode: 0700}}]
";
    let mapped = mapped(text);
    let mounts = &spec(&mapped)["services"]["a"];
    assert_eq!(mounts["/run"], json!({"tmpfs": {}}));
    assert_eq!(mounts["/tmp"], json!({"tmpfs": {"size": "64Mi"}}));
    assert_eq!(mounts["/x"], json!({"tmpfs": {"size": "1Mi"}}));
    assert_eq!(mounts["/y"], json!({"tmpfs": {"size": "128Mi"}}));
    assert_eq!(mounts.as_object().unwrap().len(), 4);
    let options: Vec<_> = codes(&mapped).into_iter().filter(|(_, of)| *of == code::MOUNT_OPTION.0).collect();
    assert_eq!(options, [(Class::Approximated, code::MOUNT_OPTION.0), (Class::Ignored, code::MOUNT_OPTION.0)]);
    assert!(messages(&mapped).contains("without uid=1000, noexec"));
}

#[test]
fn other_kinds_of_mounts_are_images_or_refused() {
    let image = bound("{type: image, source: 'models:1', target: /m, image: {subpath: x}}", &[], &Choices::default());
    assert_eq!(spec(&image)["services"]["a"], json!({"/m": {"image": {"reference": "models:1"}, "subPath": "x"}}));
    for kind in ["npipe", "cluster"] {
        let refused = bound(&format!("{{type: {kind}, source: x, target: /x}}"), &[], &Choices::default());
        assert_eq!(codes(&refused), [(Class::Refused, code::MOUNT_KIND.0)], "{kind}");
    }
    for path in ["data:/", "data:relative"] {
        let text = format!("services: {{a: {{image: 'a:1', volumes: ['{path}']}}}}\nvolumes: {{data: }}\n");
        assert_eq!(codes(&mapped(&text)), [(Class::Refused, code::MOUNT_OPTION.0)], "{path}");
    }
}

#[test]
fn volumes_of_another_service_are_mounted_too() {
    let text = "
services:
  c: {image: 'c:1', volumes_from: ['b:ro']}
  b: {image: 'b:1', volumes_from: [a], volumes: ['own:/d']}
  a: {image: 'a:1', volumes: ['data:/d', '/anonymous', './x.conf:/x.conf'], tmpfs: [/t]}
  e: {image: 'e:1', volumes_from: ['container:x']}
volumes: {data: , own: }
";
    let mapped = mapped_with(&[("compose.yaml", text), ("x.conf", "x")], &Choices::default());
    let services = &spec(&mapped)["services"];
    assert_eq!(services["a"]["/anonymous"], json!({"volume": "a-anonymous", "seed": "FromImage"}));
    assert_eq!(
        services["b"],
        json!({"/d": {"volume": "own", "seed": "FromImage"}, "/anonymous": {"volume": "a-anonymous"}, "/x.conf": {"config": "x-conf"}})
    );
    assert_eq!(services["c"]["/d"], json!({"volume": "own", "readOnly": true}));
    assert_eq!(services["c"]["/anonymous"], json!({"volume": "a-anonymous", "readOnly": true}));
    assert_eq!(services.get("e"), None);
}

#[test]
fn who_takes_from_a_refused_service_is_refused() {
    let mapped = mapped(
        "services: {a: {image: 'a:1', volumes_from: [b]}, b: {image: 'b:1', volumes: ['/proc:/p']}, c: {image: 'c:1'}}\n",
    );
    assert_eq!(mapped.stack.spec.services.keys().collect::<Vec<_>>(), ["c"]);
}

#[test]
fn a_volume_that_ties_pods_to_one_node_is_said_once() {
    let text = "
services:
  a: {image: 'a:1', volumes: ['shared:/s', 'alone:/a', 'wide:/w']}
  b: {image: 'b:1', volumes: ['shared:/s', 'wide:/w', 'app_logs:/app/logs']}
  off: {image: 'c:1', volumes: ['alone:/a'], profiles: [x]}
volumes: {shared: , alone: , app_logs: , wide: {x-appstack: {accessMode: ReadWriteMany, size: 1Gi}}}
";
    let mapped = mapped(text);
    let pinned: Vec<_> = mapped.findings.iter().filter(|finding| finding.outcome.code == code::PINNED).collect();
    assert_eq!(pinned.len(), 1, "{}", messages(&mapped));
    assert_eq!(pinned[0].outcome.message, "one node mounts 'shared' at a time: all pods of a and b run on that node");
    assert!(pinned[0].outcome.help.contains("--volume shared=rwx"));
    let logs: Vec<_> = mapped.findings.iter().filter(|finding| finding.outcome.code == code::LOG_VOLUME).collect();
    assert_eq!(logs.len(), 1);
    assert!(logs[0].outcome.message.ends_with("one node: app-logs"), "{}", logs[0].outcome.message);
}

#[test]
fn a_choice_that_chooses_nothing_is_said() {
    let text = "services: {a: {image: 'a:1', volumes: ['data:/d', './x:/x']}}\nvolumes: {data: }\n";
    let volumes = [("data", VolumeAs::ReadWriteMany), ("dta", VolumeAs::Ephemeral), ("x", VolumeAs::Claim)];
    let binds = [("./x", BindAs::Volume), ("/p/x", BindAs::Volume), ("./y", BindAs::Drop)];
    let choices = Choices {
        volumes: volumes.map(|(name, is)| (name.to_owned(), is)).into(),
        binds: binds.map(|(path, is)| (path.to_owned(), is)).into(),
        ..Choices::default()
    };
    let mapped = mapped_with(&[("compose.yaml", text)], &choices);
    let unknown = mapped.findings.iter().filter(|finding| finding.outcome.code == code::UNKNOWN_CHOICE);
    let said: Vec<&str> = unknown.filter_map(|finding| finding.outcome.message.split(" chooses").next()).collect();
    assert_eq!(said, ["--volume dta", "--bind ./y"]);
}

#[test]
fn shared_memory_is_mounted_once() {
    let service = super::tests::service("shm_size: 1g\ntmpfs: ['/dev/shm:size=1g', /run]");
    assert_eq!(service["mounts"], json!({"/run": {"tmpfs": {}}}));
    assert_eq!(service["shmSize"], "1Gi");
    let service = super::tests::service("tmpfs: ['/dev/shm:size=1g']");
    assert_eq!(service["mounts"], json!({"/dev/shm": {"tmpfs": {"size": "1Gi"}}}));
}
