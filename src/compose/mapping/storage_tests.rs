//! What is mounted, on projects in memory: these lines in, these mounts and codes out.

#![allow(clippy::unwrap_used)] // tests

use serde_json::{Value, json};

use super::choices::{BindAs, Choices, VolumeAs};
use super::says::Class;
use super::tests::{mapped, mapped_with};
use super::{Mapped, code};

/// The stack of a project, without services but for their mounts.
fn spec(mapped: &Mapped) -> Value {
    let mut spec = serde_json::to_value(&mapped.stack.spec).unwrap();
    for service in spec["services"].as_object_mut().unwrap().values_mut() {
        *service = service.get("mounts").cloned().unwrap_or_default();
    }
    spec
}

/// Class and code of what was found, in the order of the file.
fn codes(mapped: &Mapped) -> Vec<(Class, &'static str)> {
    mapped.findings.iter().map(|finding| (finding.outcome.class, finding.outcome.code.0)).collect()
}

fn messages(mapped: &Mapped) -> String {
    mapped.findings.iter().map(|finding| format!("{} [{}]\n", finding.outcome.message, finding.outcome.help)).collect()
}

/// One service `a` of an image with one item of `volumes`, among these files.
fn bound(item: &str, files: &[(&str, &str)], choices: &Choices) -> Mapped {
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
fn a_volume_may_go_with_the_pod_or_be_on_all_nodes() {
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
fn source_code_is_not_mounted_nor_what_it_would_hide() {
    let text = "
services:
  a: {image: 'a:1', build: ./src, volumes: ['./src:/app', '/app/node_modules', 'modules:/app/vendor', '/other', './src/data:/app/data']}
  b: {image: 'b:1', volumes: ['.:/all:ro']}
volumes: {modules: }
";
    let mapped = mapped_with(&[("compose.yaml", text), ("src/main.c", "x"), ("src/data/x", "y")], &Choices::default());
    let services = &spec(&mapped)["services"];
    assert_eq!(services["a"].as_object().unwrap().keys().collect::<Vec<_>>(), ["/app/data", "/app/vendor", "/other"]);
    assert_eq!(services["b"], Value::Null);
    assert_eq!(codes(&mapped).iter().filter(|(_, of)| *of == code::SOURCE_MOUNT.0).count(), 2);
    assert!(messages(&mapped).contains("--bind ./src/data=drop"), "{}", messages(&mapped));
    let kept = Choices { binds: [("./src".to_owned(), BindAs::Volume)].into(), ..Choices::default() };
    let kept = mapped_with(&[("compose.yaml", text), ("src/data/x", "y")], &kept);
    assert_eq!(spec(&kept)["services"]["a"]["/app"], json!({"volume": "src"}));
    assert_eq!(spec(&kept)["services"]["a"]["/app/data"], json!({"volume": "src", "subPath": "data"}));
}

#[test]
fn parts_of_the_computer_are_refused_or_of_the_node() {
    for path in [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/dev/disk",
        "/proc",
        "/sys/fs",
        "/",
        "/etc/ssl",
        "/var/run",
        "/var/lib/docker/x",
        "/lib/modules",
    ] {
        let refused = bound(&format!("{path}:/x:ro"), &[], &Choices::default());
        assert_eq!(codes(&refused), [(Class::Refused, code::HOST_PATH.0)], "{path}");
        assert_eq!(refused.stack.spec.services.len(), 0);
        let allowed = Choices { allow: ["hostpath".to_owned()].into(), ..Choices::default() };
        let allowed = bound(&format!("{path}:/x:ro,rslave"), &[], &allowed);
        let service = serde_json::to_value(&allowed.stack.spec.services["a"]).unwrap();
        assert_eq!(
            service["mounts"],
            json!({"/x": {"hostPath": {"path": path}, "readOnly": true, "propagation": "HostToContainer"}})
        );
        assert_eq!(service["podSecurity"], "Privileged");
        assert_eq!(codes(&allowed), [(Class::Approximated, code::HOST_PATH.0)]);
    }
    let zone = bound("/etc/localtime:/etc/localtime:ro", &[], &Choices::default());
    assert_eq!((codes(&zone), zone.stack.spec.services.len()), (vec![(Class::Ignored, code::TIME_ZONE.0)], 1));
    let shm = bound("/dev/shm:/dev/shm", &[], &Choices::default());
    assert_eq!(spec(&shm)["services"]["a"], json!({"/dev/shm": {"tmpfs": {}}}));
    let chosen = Choices { binds: [("/srv/x".to_owned(), BindAs::HostPath)].into(), ..Choices::default() };
    let chosen = bound("/srv/x:/x", &[], &chosen);
    assert_eq!(
        spec(&chosen)["services"]["a"],
        json!({"/x": {"hostPath": {"path": "/srv/x", "type": "DirectoryOrCreate"}}})
    );
}

#[test]
fn files_go_along_as_configs_and_credentials_as_secrets() {
    let text = "
name: shop
services:
  a:
    image: a:1
    volumes:
      - ./nginx/nginx.conf:/etc/nginx/nginx.conf:ro
      - ./other/nginx.conf:/etc/other.conf
      - ./init.sh:/init.d/init.sh:ro
      - ./tls.key:/certs/tls.key:ro
      - ./logo.png:/logo.png:ro
  b: {image: 'b:1', volumes: ['./nginx/nginx.conf:/again:ro']}
";
    let files = [
        ("compose.yaml", text),
        ("nginx/nginx.conf", "one"),
        ("other/nginx.conf", "two"),
        ("init.sh", "#!/bin/sh\n"),
        ("tls.key", "hush-hush"),
        ("logo.png", "\0x"),
    ];
    let mapped = mapped_with(&files, &Choices::default());
    let got = spec(&mapped);
    assert_eq!(
        got["services"]["a"],
        json!({
            "/etc/nginx/nginx.conf": {"config": "nginx-conf"},
            "/etc/other.conf": {"config": "other-nginx-conf"},
            "/init.d/init.sh": {"config": "init-sh", "mode": "0555"},
            "/certs/tls.key": {"secret": "shop", "key": "tls-key"},
            "/logo.png": {"config": "logo-png", "key": "logo.png"},
        })
    );
    assert_eq!(got["services"]["b"], json!({"/again": {"config": "nginx-conf"}}));
    assert_eq!(got["configs"]["nginx-conf"], json!({"content": "one"}));
    assert_eq!(got["configs"]["logo-png"], json!({"binaryData": {"logo.png": "AHg="}}));
    assert_eq!(mapped.secrets[0].data["tls-key"], b"hush-hush");
    assert_eq!(codes(&mapped), [(Class::Approximated, code::BOUND_FILE.0)], "who may write is told that it cannot");
    assert!(!format!("{:?} {:?}", mapped.stack, mapped.findings).contains("hush-hush"));
    assert!(!format!("{:?}", mapped.secrets).contains("hush-hush"));
}

#[test]
fn files_that_fit_no_config_are_refused_with_a_way_out() {
    let large = "x".repeat(300_000);
    let outside = bound("../x.conf:/x.conf:ro", &[("../x.conf", "x")], &Choices::default());
    assert_eq!(codes(&outside), [(Class::Refused, code::NO_FILE.0)], "a file outside is as if it were not there");
    for (item, file, text, part) in [
        ("./a.db:/a.db", "a.db", "\0", "a database?"),
        ("./a.txt:/a.txt:ro", "a.txt", large.as_str(), "at most 256"),
        ("./none.conf:/x.conf:ro", "other", "", "is not there"),
    ] {
        let mapped = bound(item, &[(file, text)], &Choices::default());
        assert_eq!(mapped.findings.len(), 1, "{item}");
        assert_eq!(mapped.findings[0].outcome.class, Class::Refused);
        assert!(messages(&mapped).contains(part), "{}", messages(&mapped));
    }
}

#[test]
fn a_file_outside_the_project_is_not_read() {
    let files: crate::compose::files::Memory = [
        (
            "/p/compose.yaml",
            "services: {a: {image: 'a:1', volumes: ['/home/me/id_rsa:/x:ro', '/home/me/keys:/keys:ro']}}\n",
        ),
        ("/home/me/id_rsa", "hush"),
        ("/home/me/keys/k", "hush"),
    ]
    .map(|(path, text)| (path.into(), text.as_bytes().to_vec()))
    .into();
    let loaded = crate::compose::load(&files, &crate::compose::Options { folder: "/p".into(), ..Default::default() });
    let mapped = super::map(&loaded, &files, &Choices::default()).unwrap();
    let expected = [
        (Class::Refused, code::UNFIT_FILE.0),
        (Class::Approximated, code::DEFAULT_SIZE.0),
        (Class::Approximated, code::FOLDER_VOLUME.0),
    ];
    assert_eq!(
        codes(&mapped).iter().filter(|found| expected.contains(found)).count(),
        codes(&mapped).len(),
        "{}",
        messages(&mapped)
    );
    assert!(messages(&mapped).contains("lies outside the project folder"));
    assert!(!format!("{:?}{:?}", mapped.stack, mapped.secrets).contains("hush") && mapped.secrets.is_empty());
}

#[test]
fn small_folders_that_are_read_are_configs_and_all_others_volumes() {
    let config = |item: &str, files: &[(&str, &str)]| spec(&bound(item, files, &Choices::default()));
    let flat = config(
        "./conf/site:/etc/x:ro",
        &[("conf/site/a.conf", "a"), ("conf/site/b.conf", "b"), ("conf/site/.gitkeep", "")],
    );
    assert_eq!(flat["configs"], json!({"conf-site": {"data": {"a.conf": "a", "b.conf": "b"}}}));
    assert_eq!(flat["services"]["a"], json!({"/etc/x": {"config": "conf-site"}}));
    let secret = bound("./certs:/certs:ro", &[("certs/tls.crt", "c"), ("certs/tls.key", "k")], &Choices::default());
    assert_eq!(spec(&secret)["services"]["a"], json!({"/certs": {"secret": "shop-certs"}}));
    assert_eq!(secret.secrets[0].data.len(), 2);
    for (item, files) in [
        ("./models:/x:ro", &[("models/.gitkeep", "")][..]),
        ("./models:/x", &[("models/a.conf", "a")][..]),
        ("./models:/x:ro", &[("models/deep/a.conf", "a")][..]),
        ("./models:/x:ro", &[("models/with space", "a")][..]),
        ("./models:/x:ro", &[][..]),
    ] {
        let mapped = bound(item, files, &Choices::default());
        assert_eq!(spec(&mapped)["services"]["a"]["/x"]["volume"], "models", "{item} {files:?}");
        assert_eq!(mapped.carries.len(), usize::from(!files.is_empty()));
        assert_eq!(mapped.comments.get("spec.volumes.models").map(String::as_str), Some("./models"));
    }
    let told = bound("./models:/x", &[("models/a.conf", "a")], &Choices::default());
    assert!(messages(&told).contains("[appstack cp ./models shop/models]"), "{}", messages(&told));
}

#[test]
fn a_folder_is_one_volume_and_folders_in_it_are_parts_of_it() {
    let text = "
services:
  a: {image: 'a:1', volumes: ['./data:/data', './data/deep/er:/deep', '/srv/x_y:/x']}
  b: {image: 'b:1', volumes: ['./data:/mine:ro', '../up:/up', '~/home:/home', '${DIR:-./var}:/var/x']}
  d: {image: 'postgres:16', volumes: ['./pg:/var/lib/postgresql/data']}
volumes: {up: }
";
    let spec = spec(&mapped(text));
    assert_eq!(
        spec["services"]["a"],
        json!({"/data": {"volume": "data"}, "/deep": {"volume": "data", "subPath": "deep/er"}, "/x": {"volume": "srv-x-y"}})
    );
    assert_eq!(spec["services"]["b"]["/mine"], json!({"volume": "data", "readOnly": true}));
    assert_eq!(spec["services"]["b"]["/var/x"], json!({"volume": "var"}));
    let up = spec["services"]["b"]["/up"]["volume"].as_str().unwrap().to_owned();
    assert!(up.starts_with("up-") && up.len() == 7, "the volume 'up' of the project has the name: {up}");
    assert_eq!(spec["services"]["d"]["/var/lib/postgresql/data"], json!({"volume": "pg", "subPath": "data"}));
    assert_eq!(spec["volumes"].as_object().unwrap().len(), 6);
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
fn configs_and_secrets_are_files_at_their_places() {
    let text = "
name: shop
services:
  a:
    image: a:1
    configs: [plain, {source: long, target: /etc/long, mode: 0440, uid: '1'}, {source: env, target: env.conf}]
    secrets: [db_password, {source: db_password, target: other, mode: 0444}, {source: file_secret, target: /s}, theirs]
configs:
  plain: {content: 'a: ${B:-c}'}
  long: {file: ./long.conf}
  env: {environment: SETTING}
  unused: {file: ./not-there}
secrets:
  db_password: {environment: DB_PASSWORD}
  file_secret: {file: ./secret.txt}
  theirs: {external: true, name: Their_Secret}
";
    let files = [
        ("compose.yaml", text),
        (".env", "DB_PASSWORD=hush\nSETTING=on\n"),
        ("long.conf", "l"),
        ("secret.txt", "hash"),
    ];
    let mapped = mapped_with(&files, &Choices::default());
    let got = spec(&mapped);
    assert_eq!(
        got["services"]["a"],
        json!({
            "/plain": {"config": "plain"},
            "/etc/long": {"config": "long", "mode": "0440"},
            "/env.conf": {"config": "env"},
            "/run/secrets/db_password": {"secret": "shop", "key": "db-password"},
            "/run/secrets/other": {"secret": "shop", "key": "db-password"},
            "/s": {"secret": "shop", "key": "file-secret"},
            "/run/secrets/theirs": {"secret": "theirs"},
        })
    );
    assert_eq!(
        got["configs"],
        json!({"plain": {"content": "a: c"}, "long": {"content": "l"}, "env": {"content": "on"}})
    );
    assert_eq!(
        got["secrets"],
        json!({"shop": {"secretName": "shop"}, "theirs": {"secretName": "their-secret", "key": "Their_Secret"}})
    );
    assert_eq!(mapped.secrets[0].data["db-password"], b"hush");
    assert_eq!(
        codes(&mapped),
        [(Class::Ignored, code::FILE_OWNER.0), (Class::Approximated, code::NO_FILE.0)],
        "{}",
        messages(&mapped)
    );
    assert!(!format!("{:?}{:?}", mapped.findings, mapped.stack).contains("hush"));
}

#[test]
fn files_that_are_not_there_refuse_who_needs_them() {
    let text = "
services:
  a: {image: 'a:1', configs: [c]}
  b: {image: 'b:1', secrets: [s]}
  d: {image: 'd:1', configs: [driven]}
  off: {image: 'e:1', secrets: [later], profiles: [x]}
  well: {image: 'f:1'}
configs: {c: {file: ./none.conf}, driven: {content: x, template_driver: golang}}
secrets: {s: {environment: NONE}, later: {file: ./later.txt}}
";
    let mapped = mapped(text);
    assert_eq!(mapped.stack.spec.services.keys().collect::<Vec<_>>(), ["off", "well"], "{}", messages(&mapped));
    assert_eq!(mapped.secrets[0].data["later"], b"");
    let refused: Vec<&str> =
        codes(&mapped).into_iter().filter(|(class, _)| *class == Class::Refused).map(|(_, of)| of).collect();
    let with = code::WITH_REFUSED.0;
    assert_eq!(refused, [with, with, with, code::NO_FILE.0, code::FILE_DRIVER.0, code::NO_FILE.0]);
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
fn options_of_binds_are_said_one_by_one() {
    let item = "{type: bind, source: ./d, target: /d, bind: {propagation: rslave, selinux: z, create_host_path: true, recursive: disabled}, consistency: cached}";
    let mapped = bound(item, &[], &Choices::default());
    let mut found = codes(&mapped);
    found.retain(|(_, of)| *of == code::MOUNT_OPTION.0);
    assert_eq!(found, [(Class::Ignored, code::MOUNT_OPTION.0); 2], "{}", messages(&mapped));
}
