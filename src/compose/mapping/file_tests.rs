//! What files and folders of the computer become, on projects in memory.

#![allow(clippy::unwrap_used)] // tests

use serde_json::{Value, json};

use super::choices::{BindAs, Choices};
use super::code;
use super::says::Class;
use super::storage_tests::{bound, codes, messages, spec};
use super::tests::{mapped, mapped_with};

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
fn options_of_binds_are_said_one_by_one() {
    let item = "{type: bind, source: ./d, target: /d, bind: {propagation: rslave, selinux: z, create_host_path: true, recursive: disabled}, consistency: cached}";
    let mapped = bound(item, &[], &Choices::default());
    let mut found = codes(&mapped);
    found.retain(|(_, of)| *of == code::MOUNT_OPTION.0);
    assert_eq!(found, [(Class::Ignored, code::MOUNT_OPTION.0); 2], "{}", messages(&mapped));
}
