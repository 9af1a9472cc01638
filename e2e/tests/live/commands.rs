//! The commands that show a stack and wait for it, on a stack with trouble.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use e2e::{Kind, Live, cluster, eventually, json, live};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::stacks::{SOON, service, stack, wait_state};

/// What a command has said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

pub fn command(t: &Live, args: &[&str]) -> Command {
    let mut command = Command::new(cluster::appstack());
    command.args(args).args(["-n", &t.space.name]);
    command.env("KUBECONFIG", &cluster::Cluster::get().kubeconfig);
    command
}

pub fn begin(t: &Live, args: &[&str]) -> JoinHandle<Said> {
    let mut command = command(t, args);
    tokio::task::spawn_blocking(move || Said::of(&command.output().expect("the command")))
}

pub async fn run(t: &Live, args: &[&str]) -> Said {
    begin(t, args).await.expect("a thread")
}

/// web waits for api, which waits for db.
/// The last one takes its time, so that two statuses tell of it.
fn shop(db: &str) -> Value {
    let db = json!({"image": "db:1", "env": {"SIM_MODE": db}, "mounts": {"/data": {"volume": "data"}}});
    let mut all = stack(
        "shop",
        &json!({"db": db, "api": service("api:1", 50, &["db"]), "web": service("web:1", 1500, &["api"])}),
    );
    all["spec"]["volumes"] = json!({"data": {"size": "1Gi"}});
    all
}

async fn trouble(t: &Live) {
    t.space.apply_object(&shop("image-pull-error")).await;
    eventually(SOON, "the image to be named", async || {
        let status = t.space.status("shop").await;
        if status["services"]["db"]["reason"] == "ImagePullBackOff" { Ok(()) } else { Err(format!("{status:#}")) }
    })
    .await;
}

// "a terminal picture of the stack that a tired person understands": what ails it stands in the first two lines, and who waits behind it.
#[test]
fn the_picture_of_a_stack_in_trouble_names_the_image_and_who_waits_behind_it() {
    live("commands_tree", async |t| {
        let _operator = t.space.operator().start();
        trouble(&t).await;
        let tree = run(&t, &["tree", "shop"]).await;
        println!("{}", tree.out);
        assert_eq!(tree.code, Some(0), "{tree:?}");
        let lines: Vec<&str> = tree.out.lines().collect();
        assert!(lines[0].contains("shop: 0/3 services ready, Progressing for"), "{}", tree.out);
        assert!(lines[1].contains("web waits for api, which waits for db: ImagePullBackOff"), "{}", tree.out);
        let at = |what: &str| {
            lines.iter().position(|l| l.contains(what)).unwrap_or_else(|| panic!("no {what} in\n{}", tree.out))
        };
        let order = ["db ", "Deployment shop-db", "Pod shop-db-", "Claim shop-data", "api ", "web "].map(|what| {
            let branch = ["db ", "api ", "web "].contains(&what);
            if branch {
                at(&format!("\u{2500} {} {what}", if what == "db " { "\u{25d0}" } else { "\u{25cb}" }))
            } else {
                at(what)
            }
        });
        assert!(order.is_sorted(), "{order:?} in\n{}", tree.out);
        assert!(lines[order[2]].contains("ImagePullBackOff"), "{}", tree.out);
        assert!(lines[order[5]].contains("waits for api, which waits for db"), "{}", tree.out);
        assert!(!tree.out.contains('\x1b'), "no colours where nobody looks");

        let status = run(&t, &["status", "shop"]).await;
        println!("{}", status.out);
        assert!(status.out.contains("ImagePullBackOff") && status.out.contains("SINCE"), "{status:?}");
        let forced = command(&t, &["status", "shop"]).env("CLICOLOR_FORCE", "1").output().unwrap();
        assert!(Said::of(&forced).out.contains("\x1b[33mProgressing"), "{forced:?}");
        let said: Value = serde_json::from_str(&run(&t, &["status", "shop", "-o", "json"]).await.out).expect("json");
        assert_eq!(said["ready"], false);
        assert_eq!(said["status"]["services"]["web"]["state"], "Waiting");

        t.space.apply_object(&shop("none")).await;
        t.space.wait_ready("shop", SOON).await;
        let tree = run(&t, &["tree", "shop"]).await;
        println!("{}", tree.out);
        assert!(tree.out.starts_with("\u{2714} shop: 3/3 services ready"), "{}", tree.out);
        assert!(!tree.out.contains("waits for"), "{}", tree.out);
        let missing = run(&t, &["tree", "none"]).await;
        assert_eq!(missing.code, Some(1), "{missing:?}");
    });
}

#[test]
fn waiting_ends_with_the_goal_with_a_cause_or_with_the_time() {
    live("commands_wait", async |t| {
        let _operator = t.space.operator().start();
        trouble(&t).await;
        for goal in ["ready", "healthy=web", "healthy=db"] {
            let late = run(&t, &["wait", "shop", "--for", goal, "--timeout", "1s"]).await;
            assert_eq!(late.code, Some(124), "{late:?}");
            assert!(late.err.contains("ImagePullBackOff"), "what it still waits for: {late:?}");
        }
        // Each ends by itself, with the news.
        let [ready, db, gone] = [
            begin(&t, &["wait", "shop"]),
            begin(&t, &["wait", "shop", "--for", "healthy=db"]),
            begin(&t, &["wait", "shop", "--for", "deleted"]),
        ];
        sleep(Duration::from_millis(500)).await;
        assert!(!ready.is_finished() && !db.is_finished() && !gone.is_finished());
        t.space.apply_object(&shop("none")).await;
        assert_eq!(db.await.unwrap().code, Some(0));
        let ready = ready.await.unwrap();
        assert_eq!((ready.code, ready.out.trim()), (Some(0), "shop is ready: 3/3"));
        t.space.wait_ready("shop", Duration::ZERO).await;
        assert!(!gone.is_finished());
        t.space.delete(Kind::AppStack, "shop").await;
        let gone = gone.await.unwrap();
        assert_eq!((gone.code, gone.out.trim()), (Some(0), "shop is gone"));
        assert_eq!(run(&t, &["wait", "shop", "--for", "deleted"]).await.code, Some(0));
        let none = run(&t, &["wait", "shop"]).await;
        assert!(none.code == Some(1) && none.err.contains("there is no AppStack 'shop'"), "{none:?}");
        assert_eq!(run(&t, &["wait", "shop", "--for", "luck"]).await.code, Some(2));

        // Nothing to wait for any more: at once, whatever the time.
        let job = json!({"image": "seed:1", "mode": "Job", "env": {"SIM_EXIT_CODE": "3", "SIM_RUN_FOR": "100ms"}});
        let page = json!({"image": "page:1", "dependsOn": {"seed": {}}});
        t.space.apply_object(&stack("lost", &json!({"seed": job, "page": page}))).await;
        let began = Instant::now();
        for goal in ["ready", "healthy=page"] {
            let lost = run(&t, &["wait", "lost", "--for", goal]).await;
            assert!(lost.code == Some(1) && lost.err.contains("JobFailed"), "{lost:?}");
        }
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let on = run(&t, &["wait", "lost", "--keep-going", "--timeout", "1s"]).await;
        assert!(on.code == Some(124) && on.err.contains("JobFailed"), "{on:?}");
    });
}

#[test]
fn events_are_one_story_of_the_stack_and_its_pods_and_of_no_other() {
    live("commands_events", async |t| {
        let _operator = t.space.operator().start();
        let mut following = command(&t, &["events", "shop", "--watch", "-o", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command");
        t.space.apply_object(&stack("other", &json!({"other": service("other:1", 50, &[])}))).await;
        trouble(&t).await;
        t.space.apply_object(&shop("none")).await;
        t.space.wait_ready("shop", SOON).await;
        t.space.wait_ready("other", SOON).await;
        wait_state(&t, "shop", "web", "Ready").await;
        let told = eventually(SOON, "the end of the story", async || {
            let told = run(&t, &["events", "shop", "-o", "json"]).await;
            if told.out.contains("web: web:1 is ready") { Ok(told) } else { Err(format!("{told:?}")) }
        })
        .await;
        let all: Vec<Value> = told.out.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
        let times: Vec<&str> = all.iter().map(|e| json::text(e, "/time")).collect();
        let seconds = times.iter().map(|time| time.chars().take(19).collect::<String>());
        assert!(seconds.is_sorted(), "the youngest last: {times:?}");
        let told_of = |what: &str| all.iter().position(|e| json::text(e, "/message").contains(what)).expect(what);
        assert!(told_of("api:1 is ready") < told_of("web: rolling out"), "{}", told.out);
        let about = |kind: &str| all.iter().filter(|e| json::text(e, "/object").starts_with(kind)).count();
        for kind in ["AppStack/shop", "Deployment/shop-db", "ReplicaSet/shop-db-", "Pod/shop-db-", "Pod/shop-web-"] {
            assert!(about(kind) > 0, "nothing about {kind} in\n{}", told.out);
        }
        // The pod with the wrong image is gone, and its story is told.
        let pods: std::collections::BTreeSet<&str> =
            all.iter().map(|e| json::text(e, "/object")).filter(|o| o.starts_with("Pod/shop-db-")).collect();
        assert_eq!(pods.len(), 2, "{}", told.out);
        assert!(!told.out.contains("other"), "{}", told.out);
        let said = |e: &Value| (e["object"].clone(), e["reason"].clone(), e["message"].clone());
        let mut once: Vec<String> = all.iter().map(|e| format!("{:?}", said(e))).collect();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), all.len(), "each once:\n{}", told.out);

        let table = run(&t, &["events", "shop"]).await;
        println!("{}", table.out);
        assert!(table.out.starts_with("LAST"), "{table:?}");
        assert_eq!(table.out.lines().count(), all.len() + 1);

        following.kill().expect("its end");
        let followed = Said::of(&following.wait_with_output().expect("what it said"));
        for what in ["Pod/shop-web-", "web: web:1 is ready", "Deployment/shop-db"] {
            assert!(followed.out.contains(what), "no {what} in what was followed:\n{}", followed.out);
        }
        assert!(!followed.out.contains("other"), "{}", followed.out);
        let none = run(&t, &["events", "none"]).await;
        assert_eq!(none.code, Some(1), "{none:?}");
    });
}
