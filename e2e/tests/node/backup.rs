//! `appstack backup` and `restore` on real volumes: what comes back is what was there, and nothing of a damaged file is written.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::nodes::{Nodes, exec, pod_of};
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json as value};

use crate::commands::{command, run, texts};
use crate::copying::Folder;
use crate::data::{APP, SOON};

/// A database of user 999, a service of root with files of several owners, and what is in no backup.
fn shop(replicas: u32) -> Value {
    let db = value!({"image": APP, "securityContext": {"runAsUser": 999, "runAsGroup": 998, "fsGroup": 998}, "replicas": replicas, "stopGracePeriod": "1s",
        "mounts": {"/data": {"volume": "data"}, "/each": {"volume": "each"}, "/tmp": {"tmpfs": {}}}});
    let files = value!({"image": APP, "replicas": replicas, "stopGracePeriod": "1s", "mounts": {"/files": {"volume": "files"}},
        "securityContext": {"runAsUser": 0, "runAsNonRoot": false}});
    value!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"},
        "spec": {"services": {"db": db, "files": files}, "volumes": {
            "data": {"size": "1Gi", "storageClassName": "ext4"}, "files": {"size": "1Gi"}, "each": {"size": "1Gi", "perReplica": true}}}})
}

const FILL_DATA: &str = "cd /data && mkdir -p a/empty && seq 1 400000 > a/big && : > a/nothing && chmod 600 a/big && ln a/big a/hard && ln -s a/big link && \
    mkdir 'with space' && echo x > \"with space/$(printf 'x%.0s' $(seq 1 150))\" && chmod 2700 'with space' && touch -d '2020-01-02 03:04:05' a/nothing && echo each > /each/file";
const FILL_FILES: &str = "cd /files && echo root > root && echo seven > seven && chown 7:8 seven && chmod 640 seven && echo run > run && chmod 4755 run";
/// All that is to come back: kind, mode, owner, time (of files), links, and the bytes.
const LIST: &str = "find . -mindepth 1 -not -path './lost+found*' -exec stat -c '%n %F %a %u:%g %h %Y' {} + | sed -E 's/ (directory|symbolic link) (.*) [0-9]+$/ \\1 \\2/' | sort; \
    find . -type f -not -path './lost+found*' -exec sha256sum {} + | sort; readlink link || true";

async fn listed(t: &Live, service: &str, folder: &str) -> String {
    let pod = pod_of(&t.space, "shop", service).await;
    exec(&t.space, &pod, &["sh", "-c", &format!("cd {folder} && {LIST}")])
}

/// Scales the stack, and waits until its pods are there or gone.
async fn scaled(t: &Live, replicas: u32) {
    t.space.apply_object(&shop(replicas)).await;
    if replicas > 0 {
        return t.space.wait_ready("shop", SOON).await;
    }
    crate::data::no_pods(t).await;
}

async fn no_helper_is_left(t: &Live) {
    let pods = t.space.list(Kind::Pod).await;
    let is_helper = |name: &&str| name.starts_with("shop-backup-") || name.starts_with("shop-restore-");
    let left: Vec<&str> = pods.iter().map(json::name).filter(is_helper).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_was_backed_up_and_deleted_comes_back_with_its_bytes_modes_owners_and_links() {
    Nodes::get();
    live("node_backup", async |t| {
        let _operator = t.space.operator().start();
        scaled(&t, 1).await;
        let (db, files) = (pod_of(&t.space, "shop", "db").await, pod_of(&t.space, "shop", "files").await);
        exec(&t.space, &db, &["sh", "-c", FILL_DATA]);
        exec(&t.space, &files, &["sh", "-c", FILL_FILES]);
        let before =
            [listed(&t, "db", "/data").await, listed(&t, "files", "/files").await, listed(&t, "db", "/each").await];
        println!("{}", before.join("--\n"));
        let folder = Folder::new(&t, "backup");
        fs::create_dir_all(&folder.0).unwrap();
        let path = folder.0.join("shop.tar");
        let file = path.to_string_lossy().into_owned();

        let refused = run(&t, &["backup", "shop", "--to", &file]);
        let says = "`appstack scale shop db=0 files=0` stops what writes";
        assert!(refused.status.code() == Some(1) && texts(&refused).1.contains(says), "{refused:?}");
        scaled(&t, 0).await;
        let made = run(&t, &["backup", "shop", "--to", &file]);
        assert_eq!(made.status.code(), Some(0), "{made:?}");
        let (out, err) = texts(&made);
        println!("{err}");
        assert_eq!(out, format!("{file}\n"));
        assert!(err.contains("tmpfs at /tmp of db") && err.contains("data: 5 files, "), "{err}");
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "and nothing beside it");
        no_helper_is_left(&t).await;
        let again = run(&t, &["backup", "shop", "--to", &file]);
        assert!(again.status.code() == Some(1) && texts(&again).1.contains("--force replaces it"), "{again:?}");
        // Any tar reads it.
        let listed_by_tar = Command::new("sh")
            .args(["-c", &format!("tar -xOf {file} volumes/data | tar -tf -")])
            .output()
            .expect("tar");
        assert!(texts(&listed_by_tar).0.lines().any(|line| line == "./a/big"), "{listed_by_tar:?}");

        // What is there now is not lost by mistake.
        let full = run(&t, &["restore", "shop", "--from", &file]);
        let says = texts(&full).1;
        assert!(
            full.status.code() == Some(1)
                && says.contains("volume data is not empty: ")
                && says.contains("--overwrite"),
            "{says}"
        );

        // Of a damaged file nothing is written: the volumes are as they were changed meanwhile.
        scaled(&t, 1).await;
        let (db, files) = (pod_of(&t.space, "shop", "db").await, pod_of(&t.space, "shop", "files").await);
        exec(
            &t.space,
            &db,
            &[
                "sh",
                "-c",
                "cd /data && rm -rf a link 'with space' && echo later > later && echo .h > .hidden; rm /each/file",
            ],
        );
        exec(&t.space, &files, &["sh", "-c", "rm /files/*"]);
        scaled(&t, 0).await;
        let whole = fs::read(&path).unwrap();
        let (damaged, cut) = (folder.0.join("damaged.tar"), folder.0.join("cut.tar"));
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&damaged, bytes).unwrap();
        fs::write(&cut, &whole[..middle]).unwrap();
        for (broken, says) in [(&damaged, "volume data is damaged: its checksum"), (&cut, "ends in the middle")] {
            let said = run(&t, &["restore", "shop", "--overwrite", "--from", &broken.to_string_lossy()]);
            let err = texts(&said).1;
            assert!(
                said.status.code() == Some(1) && err.contains(says) && err.contains("nothing was written"),
                "{err}"
            );
        }
        let dry = run(&t, &["restore", "shop", "--overwrite", "--dry-run", "--from", &file]);
        assert!(dry.status.code() == Some(0) && texts(&dry).1.contains("data would be restored"), "{dry:?}");
        scaled(&t, 1).await;
        let db = pod_of(&t.space, "shop", "db").await;
        assert_eq!(
            exec(&t.space, &db, &["sh", "-c", "cat /data/later /data/.hidden; ls -A /data | wc -l"]),
            "later\n.h\n3\n"
        );
        scaled(&t, 0).await;

        let restored = run(&t, &["restore", "shop", "--overwrite", "--from", &file]);
        assert_eq!(restored.status.code(), Some(0), "{restored:?}");
        println!("{}", texts(&restored).1);
        no_helper_is_left(&t).await;
        scaled(&t, 1).await;
        let after =
            [listed(&t, "db", "/data").await, listed(&t, "files", "/files").await, listed(&t, "db", "/each").await];
        assert_eq!(after, before);
        t.shows(format!("{} bytes out of three volumes and back, with owners, modes, links and times", whole.len()));
    });
}

#[test]
fn an_interrupted_backup_leaves_no_pod_and_no_file_and_one_whose_pod_cannot_start_says_why() {
    Nodes::get();
    live("node_backup_broken", async |t| {
        let _operator = t.space.operator().start();
        scaled(&t, 1).await;
        let folder = Folder::new(&t, "broken");
        fs::create_dir_all(&folder.0).unwrap();
        let file = folder.0.join("shop.tar").to_string_lossy().into_owned();
        let image = run(&t, &["backup", "shop", "--running", "--to", &file, "--image", "appstack.test/none:1"]);
        assert!(image.status.code() == Some(1) && texts(&image).1.contains("cannot start: "), "{image:?}");
        let none = run(&t, &["backup", "shop", "--volume", "none", "--to", &file]);
        assert!(none.status.code() == Some(1) && texts(&none).1.contains("there are: data, each, files"), "{none:?}");
        // More than is read in the time that a signal takes, and nobody takes what is read.
        let db = pod_of(&t.space, "shop", "db").await;
        exec(&t.space, &db, &["sh", "-c", "dd if=/dev/zero of=/data/much bs=1M count=64"]);
        let mut waiting = command(&t, &["backup", "shop", "--running", "--volume", "data", "--to", "-"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command");
        eventually(SOON, "the helper", async || {
            let pods = t.space.list(Kind::Pod).await;
            let runs = |pod: &&Value| json::name(pod).starts_with("shop-backup-") && json::holds(pod, "Ready");
            if pods.iter().any(|pod| runs(&pod)) { Ok(()) } else { Err("none".to_owned()) }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let pid = waiting.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
        drop(waiting.stdout.take());
        let ended = tokio::task::block_in_place(|| waiting.wait().expect("its end"));
        assert_eq!(ended.code(), Some(130));
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "nothing is left of the others either");
        no_helper_is_left(&t).await;
    });
}
