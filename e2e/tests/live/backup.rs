//! `appstack backup` and `restore` where they refuse, or come to nothing: no pod and no file is left. What they carry is for real nodes.

use std::fs;
use std::path::PathBuf;

use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::commands::run;
use crate::stacks::{SOON, stack};

struct Folder(PathBuf);

impl Folder {
    fn new(t: &Live) -> Folder {
        let path = std::env::temp_dir().join(format!("{}-backup", t.space.name));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }

    fn count(&self) -> usize {
        fs::read_dir(&self.0).expect("a folder").count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn shop(replicas: u32) -> Value {
    let db =
        json!({"image": "db:1", "replicas": replicas, "mounts": {"/data": {"volume": "data"}, "/tmp": {"tmpfs": {}}}});
    let mut all = stack("shop", &json!({"db": db}));
    all["spec"]["volumes"] = json!({"data": {"size": "1Gi"}});
    all
}

async fn pods(t: &Live) -> Vec<String> {
    t.space.list(Kind::Pod).await.iter().map(|pod| json::name(pod).to_owned()).collect()
}

#[test]
fn a_backup_is_refused_beside_a_writer_and_leaves_neither_pod_nor_file_where_its_pod_cannot_start() {
    live("backup_refused", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop(1)).await;
        t.space.wait_ready("shop", SOON).await;
        let folder = Folder::new(&t);
        let running = run(&t, &["backup", "shop", "--to", &folder.file("a.tar")]).await;
        assert_eq!(running.code, Some(1), "{running:?}");
        assert!(
            running.err.contains("of db in stack shop may write there meanwhile; `appstack scale shop db=0` stops"),
            "{running:?}"
        );
        let none = run(&t, &["backup", "shop", "--volume", "none"]).await;
        assert!(none.code == Some(1) && none.err.contains("there are: data"), "{none:?}");
        assert_eq!(run(&t, &["backup", "shop", "--volume", "../x"]).await.code, Some(2));
        let missing = run(&t, &["backup", "other"]).await;
        assert!(missing.code == Some(1) && missing.err.contains("no AppStack 'other'"), "{missing:?}");

        t.space.apply_object(&shop(0)).await;
        eventually(SOON, "the pods to be gone", async || {
            let left = pods(&t).await;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
        fs::write(folder.file("there.tar"), "somebody's").expect("a file");
        let there = run(&t, &["backup", "shop", "--to", &folder.file("there.tar")]).await;
        assert!(there.code == Some(1) && there.err.contains("is there already; --force"), "{there:?}");
        let nowhere = run(&t, &["backup", "shop", "--to", &folder.file("no/such/folder.tar")]).await;
        assert_eq!(nowhere.code, Some(3), "{nowhere:?}");

        // A quota leaves no room for another pod; the server's own words say so.
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}});
        t.space.apply_object(&quota).await;
        let refused = eventually(SOON, "the quota to be in force", async || {
            let said = run(&t, &["backup", "shop", "--to", &folder.file("b.tar"), "--timeout", "1s"]).await;
            if said.err.contains("exceeded quota") { Ok(said) } else { Err(format!("{said:?}")) }
        })
        .await;
        println!("{}", refused.err);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains("not in it: tmpfs at /tmp of db"), "{refused:?}");
        assert_eq!((pods(&t).await, folder.count()), (Vec::new(), 1), "nothing is left");
    });
}

#[test]
fn a_file_that_is_no_whole_backup_is_refused_before_any_pod_is_made() {
    live("backup_broken", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop(0)).await;
        let folder = Folder::new(&t);
        for (name, bytes, says) in [
            ("text", &b"hello"[..], "it is no tar; nothing was written"),
            ("packed", &b"\x1f\x8b\x08 and so on"[..], "zcat FILE > OTHER"),
            ("empty", &[0; 1024][..], "it ends in the middle: the manifest"),
        ] {
            fs::write(folder.file(name), bytes).expect("a file");
            let said = run(&t, &["restore", "shop", "--from", &folder.file(name)]).await;
            assert!(said.code == Some(1) && said.err.contains(says), "{name}: {said:?}");
        }
        assert_eq!(run(&t, &["restore", "shop", "--from", &folder.file("none")]).await.code, Some(2));
        assert_eq!(run(&t, &["restore", "shop", "--from", "-"]).await.code, Some(2));
        assert_eq!(pods(&t).await, Vec::<String>::new());
    });
}
