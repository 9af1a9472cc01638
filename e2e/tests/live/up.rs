//! `appstack up`: a Compose project on a cluster, again after each edit, and what is said when it cannot be.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use e2e::{Kind, Live, eventually, json, live};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::commands::{Said, begin, command, run};
use crate::stacks::{SOON, operator_has_looked, service, stack};

/// A project's folder, of a test of its own.
struct Project(PathBuf);

impl Project {
    fn new(test: &str) -> Project {
        let folder = e2e::operator::folder(test).join("project");
        let _ = std::fs::remove_dir_all(&folder); // of an earlier run
        std::fs::create_dir_all(folder.join("seed")).expect("a folder");
        Project(folder)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).expect("a file");
    }

    /// db with a password, and web that waits for it.
    fn shop(&self, password: &str, web: &str) {
        self.write(".env", &format!("DB_PASSWORD={password}\n"));
        let text = format!(
            "name: shop
services:
  db:
    image: postgres:15-alpine
    environment: {{POSTGRES_PASSWORD: \"${{DB_PASSWORD}}\", SIM_READY_DELAY: 50ms}}
    healthcheck: {{test: [CMD, pg_isready], interval: 1s}}
    volumes: [\"./seed:/var/lib/postgresql/data\"]
  web:
    image: {web}
    environment: {{SIM_READY_DELAY: 50ms}}
    depends_on: {{db: {{condition: service_healthy}}}}
"
        );
        self.write("compose.yaml", &text);
    }

    fn file(&self) -> String {
        self.0.join("compose.yaml").to_string_lossy().into_owned()
    }
}

fn assert_silent(said: &Said, values: &[&str]) {
    for value in values {
        assert!(!said.out.contains(value) && !said.err.contains(value), "{value} in {said:?}");
    }
}

/// What is in Secrets here, by their names and keys.
async fn secrets(t: &Live) -> Vec<(String, Vec<(String, String)>)> {
    let api: Api<Secret> = Api::namespaced(t.space.client.clone(), &t.space.name);
    let all = api.list(&ListParams::default()).await.expect("Secrets").items;
    let text = |bytes: &k8s_openapi::ByteString| String::from_utf8_lossy(&bytes.0).into_owned();
    all.iter()
        .map(|secret| {
            let data = secret.data.iter().flatten().map(|(key, value)| (key.clone(), text(value)));
            (secret.name_any(), data.collect())
        })
        .collect()
}

/// The pods of a service that are not on their way out.
async fn pods(t: &Live, service: &str) -> Vec<String> {
    let all = t.space.list(Kind::Pod).await;
    let ours = all.iter().filter(|pod| json::label(pod, "appstack.dev/service") == service);
    ours.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).map(|pod| json::name(pod).to_owned()).collect()
}

#[test]
fn up_brings_a_project_up_and_each_time_changes_only_what_was_edited() {
    live("up_project", async |t| {
        let _operator = t.space.operator().start();
        operator_has_looked(&t, "it runs").await;
        let project = Project::new("up_project");
        project.shop("hunter2-first", "web:1");
        let file = project.file();
        let secret = |value: &str| vec![("shop".to_owned(), vec![("db-password".to_owned(), value.to_owned())])];

        // A dry run makes nothing.
        for place in ["client", "server"] {
            let dry = run(&t, &["up", "-f", &file, &format!("--dry-run={place}")]).await;
            assert_eq!(dry.code, Some(0), "{dry:?}");
            assert!(dry.out.contains("Secret shop: would be created\nAppStack shop: would be created\n"), "{dry:?}");
        }
        assert!(secrets(&t).await.is_empty() && t.space.get(Kind::AppStack, "shop").await.is_none());

        let first = run(&t, &["up", "-f", &file]).await;
        println!("{}{}", first.err, first.out);
        assert_eq!(first.code, Some(0), "{first:?}");
        assert!(first.out.starts_with("Secret shop: created\nAppStack shop: created\n"), "{first:?}");
        assert!(first.out.contains("  web: Waiting 0/1 on db"), "it is followed: {first:?}");
        assert!(first.out.ends_with("shop is ready: 2/2\n"), "{first:?}");
        assert!(first.err.contains(&format!("appstack cp -n {} ./seed shop/seed", t.space.name)), "{first:?}");
        assert_eq!(secrets(&t).await, secret("hunter2-first"));

        let (db, web) = (pods(&t, "db").await, pods(&t, "web").await);
        let again = run(&t, &["up", "-f", &file]).await;
        assert_eq!(again.code, Some(0), "{again:?}");
        assert!(again.out.starts_with("Secret shop: unchanged\nAppStack shop: unchanged\n"), "{again:?}");
        assert!(!again.err.contains("appstack cp"), "the volume was there: {again:?}");
        assert_eq!((&db, &web), (&pods(&t, "db").await, &pods(&t, "web").await));

        // One service changes: the other, and the Secret, do not.
        project.shop("hunter2-first", "web:2");
        let edited = run(&t, &["up", "-f", &file]).await;
        assert_eq!(edited.code, Some(0), "{edited:?}");
        assert!(edited.out.starts_with("Secret shop: unchanged\nAppStack shop: changed\n"), "{edited:?}");
        assert_eq!(db, pods(&t, "db").await);
        assert_ne!(web, pods(&t, "web").await);

        // Another password: who uses it takes it up.
        project.shop("hunter2-second", "web:2");
        let web = pods(&t, "web").await;
        let changed = run(&t, &["up", "-f", &file]).await;
        println!("{}{}", changed.err, changed.out);
        assert_eq!(changed.code, Some(0), "{changed:?}");
        assert!(changed.out.starts_with("Secret shop: changed\nAppStack shop: unchanged\nrestarts"), "{changed:?}");
        assert_eq!(secrets(&t).await, secret("hunter2-second"));
        assert_ne!(db, pods(&t, "db").await);
        assert_eq!(web, pods(&t, "web").await);

        // The count that somebody has asked for on the way is that of the files again.
        assert_eq!(run(&t, &["scale", "shop", "web=2"]).await.code, Some(0));
        project.write("more.yaml", "services: {web: {deploy: {replicas: 1}}}\n");
        let more = project.0.join("more.yaml").to_string_lossy().into_owned();
        let scaled = run(&t, &["up", "-f", &file, "-f", &more]).await;
        assert_eq!(scaled.code, Some(0), "{scaled:?}");
        assert!(scaled.err.contains("replicas is as the files say again"), "{scaled:?}");
        assert_eq!(t.space.get(Kind::AppStack, "shop").await.unwrap()["spec"]["services"]["web"]["replicas"], 1);

        // No password any more: the Secret is left over, and goes when that is asked.
        project.write(
            "compose.yaml",
            "name: shop\nservices: {web: {image: 'web:2', environment: {SIM_READY_DELAY: 50ms}}}\n",
        );
        let left = run(&t, &["up", "-f", &file]).await;
        assert_eq!(left.code, Some(0), "{left:?}");
        assert!(left.err.contains("the files have them no more: Secret shop; --remove-orphans"), "{left:?}");
        assert_eq!(secrets(&t).await.len(), 1);
        let removed = run(&t, &["up", "-f", &file, "--remove-orphans"]).await;
        assert_eq!(removed.code, Some(0), "{removed:?}");
        assert!(removed.out.ends_with("Secret shop: deleted\n"), "{removed:?}");
        assert!(secrets(&t).await.is_empty() && pods(&t, "db").await.is_empty());
        for said in [&first, &again, &edited, &changed, &scaled, &left, &removed] {
            assert_silent(said, &["hunter2"]);
        }
    });
}

#[test]
fn up_applies_nothing_where_a_key_is_refused_nobody_answers_or_somebody_else_has_set_it() {
    live("up_refused", async |t| {
        let project = Project::new("up_refused");
        project.shop("hunter2", "web:1");
        let file = project.file();
        let nothing = async || {
            assert!(t.space.get(Kind::AppStack, "shop").await.is_none(), "nothing was applied");
        };

        let nobody = run(&t, &["up", "-f", &file]).await;
        assert_eq!(nobody.code, Some(1), "{nobody:?}");
        assert!(nobody.err.contains(&format!("no operator looks after namespace '{}'", t.space.name)), "{nobody:?}");
        assert!(
            nobody.err.contains("\n  appstack crd | kubectl apply --server-side -f - && appstack run\n"),
            "{nobody:?}"
        );
        assert!(secrets(&t).await.is_empty());
        nothing().await;

        let _operator = t.space.operator().start();
        operator_has_looked(&t, "it runs").await;
        let socket = "services: {web: {volumes: ['/var/run/docker.sock:/var/run/docker.sock']}}\n";
        project.write("socket.yaml", socket);
        let more = project.0.join("socket.yaml").to_string_lossy().into_owned();
        let refused = run(&t, &["up", "-f", &file, "-f", &more]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains("error[C1301]") && refused.err.contains("nothing was applied"), "{refused:?}");
        assert!(secrets(&t).await.is_empty());
        nothing().await;

        // A Secret of that name, with another password in it.
        let mut theirs = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop"}, "stringData": {"db-password": "another-one"}});
        t.space.apply_object(&theirs).await;
        let conflict = run(&t, &["up", "-f", &file]).await;
        println!("{}", conflict.err);
        assert_eq!(conflict.code, Some(1), "{conflict:?}");
        assert!(
            conflict.err.contains("Secret shop: somebody else has set data.db-password, to something else"),
            "{conflict:?}"
        );
        assert_silent(&conflict, &["hunter2", "another-one"]);
        nothing().await;
        let forced = run(&t, &["up", "-f", &file, "--force-conflicts"]).await;
        assert_eq!(forced.code, Some(0), "{forced:?}");
        assert_eq!(secrets(&t).await[0].1[0].1, "hunter2");
        // It is theirs all the same: no orphan when the files have it no more.
        project.write(
            "compose.yaml",
            "name: shop\nservices: {web: {image: 'web:1', environment: {SIM_READY_DELAY: 50ms}}}\n",
        );
        let without = run(&t, &["up", "-f", &file, "--remove-orphans"]).await;
        assert_eq!(without.code, Some(0), "{without:?}");
        assert_eq!(secrets(&t).await.len(), 1);

        // The same password, set by somebody else, is no conflict.
        theirs["metadata"]["name"] = json!("other");
        theirs["stringData"] = json!({"db-password": "hunter2"});
        t.space.apply_object(&theirs).await;
        project.shop("hunter2", "web:1");
        let same = run(&t, &["up", "-f", &file, "-p", "other", "-d"]).await;
        assert_eq!(same.code, Some(0), "{same:?}");
    });
}

#[test]
fn up_ends_as_wait_does_and_whoever_interrupts_it_leaves_the_stack_there() {
    live("up_trouble", async |t| {
        let _operator = t.space.operator().start();
        operator_has_looked(&t, "it runs").await;
        let project = Project::new("up_trouble");
        project.write(
            "compose.yaml",
            "name: shop\nservices: {web: {image: 'web:1', environment: {SIM_MODE: image-pull-error}}}\n",
        );
        let file = project.file();
        let detached = run(&t, &["up", "-f", &file, "-d"]).await;
        assert_eq!(detached.code, Some(0), "{detached:?}");
        assert_eq!(detached.out, "AppStack shop: created\n");
        assert!(detached.err.ends_with(&format!("next: appstack wait shop -n {}\n", t.space.name)), "{detached:?}");
        let late = run(&t, &["up", "-f", &file, "--timeout", "1s"]).await;
        assert_eq!(late.code, Some(124), "{late:?}");
        assert!(late.err.contains(&format!("\n  appstack tree shop -n {}\n", t.space.name)), "{late:?}");

        let mut up = command(&t, &["up", "-f", &file]);
        let up = up.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command");
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert!(Command::new("kill").args(["-INT", &up.id().to_string()]).status().expect("`kill`").success());
        let said = Said::of(&up.wait_with_output().expect("what it said"));
        assert_eq!(said.code, Some(130), "{said:?}");
        assert!(said.err.contains("stack 'shop' stays") && said.err.contains("appstack down shop"), "{said:?}");
        assert!(t.space.get(Kind::AppStack, "shop").await.is_some());

        // A Job that fails: waiting alone does not help.
        let job =
            "services: {web: {image: 'web:2', restart: 'no', environment: {SIM_EXIT_CODE: '3', SIM_RUN_FOR: 100ms}}}\n";
        project.write("compose.yaml", &format!("name: shop\n{job}"));
        let lost = run(&t, &["up", "-f", &file]).await;
        assert!(lost.code == Some(1) && lost.err.contains("JobFailed"), "{lost:?}");
        assert_eq!(run(&t, &["down", "shop"]).await.code, Some(0));
        let none = run(&t, &["up", "-f", "/none/compose.yaml"]).await;
        assert_eq!(none.code, Some(2), "{none:?}");
    });
}

#[test]
fn up_takes_a_stack_as_it_is_written_with_its_secrets() {
    live("up_manifest", async |t| {
        let _operator = t.space.operator().start();
        operator_has_looked(&t, "it runs").await;
        let project = Project::new("up_manifest");
        let mut web = service("web:1", 50, &[]);
        web["secretEnv"] = json!({"KEY": {"secret": "key", "key": "key"}});
        let mut shop = stack("shop", &json!({"web": web}));
        shop["spec"]["secrets"] = json!({"key": {"secretName": "shop-key"}});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-key"}, "stringData": {"key": "hunter2"}});
        let yaml = |objects: &[&Value]| {
            objects
                .iter()
                .map(|o| {
                    format!(
                        "---\napiVersion: {}\nkind: {}\nmetadata: {}\n{}",
                        o["apiVersion"].as_str().unwrap(),
                        o["kind"].as_str().unwrap(),
                        o["metadata"],
                        rest(o)
                    )
                })
                .collect::<String>()
        };
        project.write("shop.yaml", &yaml(&[&secret, &shop]));
        let file = project.0.join("shop.yaml").to_string_lossy().into_owned();
        let up = begin(&t, &["up", "-f", &file]).await.expect("a thread");
        println!("{}{}", up.err, up.out);
        assert_eq!(up.code, Some(0), "{up:?}");
        assert!(up.out.starts_with("Secret shop-key: created\nAppStack shop: created\n"), "{up:?}");
        assert!(up.out.ends_with("shop is ready: 1/1\n"), "{up:?}");
        assert_silent(&up, &["hunter2"]);
        let down = run(&t, &["down", "shop"]).await;
        let kept = "kept, as `appstack up` made it: Secret shop-key;";
        assert!(down.code == Some(0) && down.err.contains(kept), "{down:?}");
        let labelled =
            eventually(SOON, "the Secret", async || secrets(&t).await.pop().ok_or_else(|| "none".to_owned()));
        assert_eq!(labelled.await.1, [("key".to_owned(), "hunter2".to_owned())]);

        // What it does not know goes another way, and nothing is done by halves.
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}});
        project.write("shop.yaml", &yaml(&[&shop, &pod]));
        let other = run(&t, &["up", "-f", &file]).await;
        assert!(other.code == Some(2) && other.err.contains("Pod p: `up` takes"), "{other:?}");
        shop["spec"]["services"]["web"]["dependsOn"] = json!({"gone": {}});
        project.write("shop.yaml", &yaml(&[&shop]));
        let broken = run(&t, &["up", "-f", &file]).await;
        assert!(broken.code == Some(1) && broken.err.contains("gone"), "{broken:?}");
    });
}

/// The other fields of an object, a line each.
fn rest(object: &Value) -> String {
    let fields = object.as_object().expect("an object").iter();
    let fields = fields.filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata"));
    fields.map(|(key, value)| format!("{key}: {value}\n")).collect()
}
