//! `appstack cp` on real volumes: byte for byte, with the modes of the files, for a reader who is not root.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::nodes::{Nodes, exec, pod_of};
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json as value};

use crate::commands::{command, fed, run, texts};
use crate::data::{APP, SOON};

/// A folder of this machine that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(t: &Live, name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("{}-{name}", t.space.name));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn text(&self) -> String {
        self.0.to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Files of several sizes, a program, a link, an empty folder and a long name.
fn fill(folder: &Path) {
    fs::create_dir_all(folder.join("a/empty")).unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| u8::try_from((at * 31 + at / 7) % 256).unwrap()).collect();
    fs::write(folder.join("a/big"), bytes).unwrap();
    fs::write(folder.join("a/nothing"), b"").unwrap();
    fs::write(folder.join("x".repeat(150)), b"long").unwrap();
    fs::write(folder.join("run"), b"#!/bin/sh\necho ran\n").unwrap();
    for (name, mode) in [("run", 0o755), ("a/big", 0o640), ("a/nothing", 0o600)] {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("a/big", folder.join("link")).unwrap();
}

/// What is in a folder: path, mode, and bytes or where a link leads.
fn contents(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o777;
            if metadata.is_symlink() {
                found.insert(name, (0, fs::read_link(&path).unwrap().to_string_lossy().into_owned().into_bytes()));
            } else if metadata.is_dir() {
                found.insert(name, (0, Vec::new()));
                left.push(path);
            } else {
                found.insert(name, (mode, fs::read(&path).unwrap()));
            }
        }
    }
    found
}

fn shop(replicas: u32, class: &str) -> Value {
    let db = value!({"image": APP, "securityContext": {"runAsUser": 999, "runAsGroup": 998, "fsGroup": 998}, "replicas": replicas, "stopGracePeriod": "1s",
        "mounts": {"/data": {"volume": "data"}}});
    value!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"},
        "spec": {"services": {"db": db}, "volumes": {"data": {"size": "1Gi", "storageClassName": class}}}})
}

async fn claimed(t: &Live) {
    eventually(SOON, "the claim", async || {
        t.space.get(Kind::PersistentVolumeClaim, "shop-data").await.map(|_| ()).ok_or("none".to_owned())
    })
    .await;
}

async fn no_helper_is_left(t: &Live) {
    let pods = t.space.list(Kind::Pod).await;
    let left: Vec<&str> = pods.iter().map(json::name).filter(|name| name.starts_with("shop-cp-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_folder_is_carried_in_and_out_byte_for_byte_with_modes_and_a_service_that_is_not_root_reads_it() {
    Nodes::get();
    live("node_copy", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop(0, "standard")).await;
        claimed(&t).await;
        let (from, to) = (Folder::new(&t, "from"), Folder::new(&t, "to"));
        fill(&from.0);
        let said = run(&t, &["cp", &from.text(), "shop/data"]);
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        assert!(texts(&said).1.starts_with("copied 5 files, "), "{said:?}");
        no_helper_is_left(&t).await;

        // Out again, before anybody has run.
        let said = run(&t, &["cp", "shop/data", &to.text()]);
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        assert!(contents(&from.0) == contents(&to.0), "{:?}", contents(&to.0).keys());
        let again = run(&t, &["cp", "shop/data", &to.text()]);
        assert!(again.status.code() == Some(1) && texts(&again).1.contains("is not empty; --overwrite"), "{again:?}");
        let file = Folder::new(&t, "file");
        assert_eq!(run(&t, &["cp", "shop/data:a/big", &file.text()]).status.code(), Some(0));
        assert!(fs::read(&file.0).unwrap() == fs::read(from.0.join("a/big")).unwrap());
        fs::remove_file(&file.0).unwrap();

        t.space.apply_object(&shop(1, "standard")).await;
        t.space.wait_ready("shop", SOON).await;
        let pod = pod_of(&t.space, "shop", "db").await;
        let listed = exec(
            &t.space,
            &pod,
            &[
                "sh",
                "-c",
                "cd /data && id -u && cat run | wc -c && ./run && stat -c %a run a/big && sha256sum a/big && cat link | wc -c",
            ],
        );
        let sum = Command::new("sha256sum").arg(from.0.join("a/big")).output().expect("sha256sum");
        let sum = String::from_utf8_lossy(&sum.stdout).split(' ').next().unwrap().to_owned();
        let expected = format!("999\n19\nran\n755\n640\n{sum}  a/big\n3000000\n");
        assert_eq!(listed, expected);
        t.shows("5 files in and out, read by user 999");
    });
}

#[test]
fn a_tar_on_standard_input_goes_in_and_one_on_standard_output_comes_out() {
    Nodes::get();
    live("node_copy_tar", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop(0, "standard")).await;
        claimed(&t).await;
        let (from, to) = (Folder::new(&t, "from"), Folder::new(&t, "to"));
        fill(&from.0);
        // With an entry for its own top folder, as people make them.
        let tar = Command::new("tar").args(["-c", "-C", &from.text(), "."]).output().expect("tar").stdout;
        let said = fed(&t, &["cp", "-", "shop/data:deep/er/"], &tar);
        assert_eq!(said.status.code(), Some(0), "{:?}", texts(&said));
        let said = run(&t, &["cp", "shop/data:deep/er", "-"]);
        assert_eq!(said.status.code(), Some(0), "{:?}", texts(&said).1);
        fs::create_dir_all(&to.0).unwrap();
        let mut unpack = Command::new("tar").args(["-x", "-C", &to.text()]).stdin(Stdio::piped()).spawn().expect("tar");
        std::io::Write::write_all(&mut unpack.stdin.take().unwrap(), &said.stdout).unwrap();
        assert!(unpack.wait().unwrap().success());
        assert!(contents(&from.0) == contents(&to.0), "{:?}", contents(&to.0).keys());

        let cut = fed(&t, &["cp", "-", "shop/data:cut"], &tar[..tar.len() / 2]);
        assert!(cut.status.code() == Some(1) && texts(&cut).1.contains("ends in the middle"), "{cut:?}");
        let text = fed(&t, &["cp", "-", "shop/data"], b"hello");
        assert!(text.status.code() == Some(1) && texts(&text).1.contains("this is no tar"), "{text:?}");
        no_helper_is_left(&t).await;
    });
}

#[test]
fn a_running_writer_stands_in_the_way_and_the_helper_goes_whatever_happens() {
    Nodes::get();
    live("node_copy_refused", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop(1, "standard")).await;
        t.space.wait_ready("shop", SOON).await;
        let from = Folder::new(&t, "from");
        fs::create_dir_all(&from.0).unwrap();
        fs::write(from.0.join("file"), b"new").unwrap();
        let said = run(&t, &["cp", &from.text(), "shop/data"]);
        assert!(said.status.code() == Some(1) && texts(&said).1.contains("appstack scale shop db=0"), "{said:?}");
        // On the node where the volume is, beside its user.
        let said = run(&t, &["cp", &from.text(), "shop/data", "--running"]);
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        let pod = pod_of(&t.space, "shop", "db").await;
        assert_eq!(exec(&t.space, &pod, &["cat", "/data/file"]), "new");
        let image = run(&t, &["cp", &from.text(), "shop/data", "--running", "--image", "appstack.test/none:1"]);
        assert!(image.status.code() == Some(1) && texts(&image).1.contains("cannot start: "), "{image:?}");
        no_helper_is_left(&t).await;

        // Interrupted while it waits for more of the archive.
        let mut waiting =
            command(&t, &["cp", "-", "shop/data", "--running"]).stdin(Stdio::piped()).spawn().expect("the command");
        eventually(SOON, "the helper", async || {
            let pods = t.space.list(Kind::Pod).await;
            let runs = |pod: &&Value| json::name(pod).starts_with("shop-cp-") && json::holds(pod, "Ready");
            if pods.iter().any(|pod| runs(&pod)) { Ok(()) } else { Err("none".to_owned()) }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let pid = waiting.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
        let ended = tokio::task::block_in_place(|| waiting.wait().expect("its end"));
        assert_eq!(ended.code(), Some(130));
        no_helper_is_left(&t).await;
    });
}
