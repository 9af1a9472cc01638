//! The commands that steer a running stack, and what becomes of what they ask for.

use e2e::observer::Seen;
use e2e::workload::is_complete;
use e2e::{Kind, Live, json, live};
use serde_json::{Value, json};

use crate::commands::run;
use crate::stacks::{SOON, is_signal, operator_has_looked, service, stack};

const REVISION: &str = "/metadata/annotations/appstack.dev~1revision";

/// The revision that the Deployment of a service is made from.
async fn revision(t: &Live, service: &str) -> String {
    let object = t.space.get(Kind::Deployment, &format!("shop-{service}")).await.unwrap_or_default();
    json::text(&object, REVISION).to_owned()
}

/// The versions at which a service was first written at this revision, and first complete at it.
fn steps(history: &[Seen], service: &str, revision: &str) -> (u64, u64) {
    let of = |seen: &&Seen| {
        seen.kind == Kind::Deployment
            && !seen.deleted
            && json::name(&seen.object) == format!("shop-{service}")
            && json::text(&seen.object, REVISION) == revision
    };
    let written = history.iter().find(of).map(|seen| seen.version);
    let complete = history.iter().filter(of).find(|seen| is_complete(seen.kind, &seen.object)).map(|seen| seen.version);
    (written.expect("written"), complete.expect("complete"))
}

/// Nothing of the stack is written when the operator looks at it once more.
async fn assert_at_rest(t: &Live, mark: &str) {
    operator_has_looked(t, &format!("{mark}-rest")).await;
    let (audit, from) = (t.audit(), t.audit().mark().await);
    t.space.touch("shop", mark).await;
    operator_has_looked(t, mark).await;
    audit.since(from).await.without(|name| is_signal(name) || name == "shop").assert_none(mark);
}

fn shop() -> Value {
    let mut api = service("api:1", 300, &["db", "migrate"]);
    api["dependsOn"]["migrate"] = json!({});
    let mut web = service("web:1", 200, &["api"]);
    web["dependsOn"]["api"]["restart"] = json!(true);
    stack(
        "shop",
        &json!({
            "db": service("db:1", 700, &[]),
            "migrate": {"image": "migrate:1", "mode": "Job", "env": {"SIM_RUN_FOR": "200ms"}, "dependsOn": {"db": {}}},
            "api": api, "web": web, "log": service("log:1", 50, &[]),
        }),
    )
}

// "`appstack restart STACK [SERVICE...]` rolls in dependency order"; "a converged stack costs zero requests".
#[test]
fn a_restart_rolls_in_dependency_order_leaves_jobs_alone_and_survives_an_apply_from_git() {
    live("steer_restart", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop()).await;
        t.space.wait_ready("shop", SOON).await;
        let jobs = t.space.list(Kind::Job).await.len();
        let services = ["db", "api", "web", "log"];
        let mut before = Vec::new();
        for service in services {
            before.push(revision(&t, service).await);
        }

        let dry = run(&t, &["restart", "shop", "--dry-run", "server"]).await;
        assert!(dry.code == Some(0) && dry.err.contains("nothing was changed"), "{dry:?}");
        assert_eq!(revision(&t, "db").await, before[0]);

        let said = run(&t, &["restart", "shop", "--wait", "--timeout", "60s"]).await;
        println!("{}{}", said.out, said.err);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.err.contains("left as they are: migrate"), "{said:?}");
        assert!(said.out.ends_with("shop is ready: 5/5\n"), "it waited for this restart: {said:?}");
        let mut after = Vec::new();
        for service in services {
            after.push(revision(&t, service).await);
        }
        assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{before:?} {after:?}");
        let history = t.observer.history().await;
        let [db, api, web] = [0, 1, 2].map(|at| steps(&history, services[at], &after[at]));
        assert!(db.1 < api.0 && api.1 < web.0, "written, complete: db {db:?} api {api:?} web {web:?}");
        assert_eq!(t.space.list(Kind::Job).await.len(), jobs, "the migration did not run again");
        assert_at_rest(&t, "restarted").await;

        t.space.apply_object(&shop()).await; // `kubectl apply --server-side`
        operator_has_looked(&t, "applied").await;
        assert_eq!(revision(&t, "db").await, after[0], "what was asked for is not Git's to take away");
        assert_at_rest(&t, "applied-again").await;
    });
}

// "`restart: true` dependants follow"; "Jobs are re-run only if named"; clear words, exit 1.
#[test]
fn one_service_takes_its_followers_along_and_a_job_runs_again_when_it_is_named() {
    live("steer_restart_one", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop()).await;
        t.space.wait_ready("shop", SOON).await;
        let before = [revision(&t, "db").await, revision(&t, "api").await, revision(&t, "web").await];
        let said = run(&t, &["restart", "shop", "api", "--wait"]).await;
        assert!(said.code == Some(0) && said.out.contains("restarts with api"), "{said:?}");
        let after = [revision(&t, "db").await, revision(&t, "api").await, revision(&t, "web").await];
        assert!(before[0] == after[0] && before[1] != after[1] && before[2] != after[2], "{before:?} {after:?}");

        let names = async || {
            let mut names: Vec<String> =
                t.space.list(Kind::Job).await.iter().map(|job| json::name(job).to_owned()).collect();
            names.sort();
            names
        };
        let first = names().await;
        let said = run(&t, &["restart", "shop", "migrate", "--wait"]).await;
        assert!(said.code == Some(0) && said.out.contains("runs again"), "{said:?}");
        assert_at_rest(&t, "again").await;
        let second = names().await;
        assert!(second.len() == 1 && first != second, "{first:?} {second:?}");
        assert_eq!(after[1], revision(&t, "api").await, "who waits for a Job is not restarted with it");

        for (patch, words) in [
            (json!({"stopped": true}), "spec.stopped: nothing of this stack runs"),
            (json!({"stopped": null, "suspend": true}), "`appstack resume shop` first"),
            (json!({"suspend": null}), "no such service; there are: api, db, log, migrate, web"),
        ] {
            t.space.patch("shop", json!({"spec": patch})).await;
            let said = run(&t, &["restart", "shop", "wep"]).await;
            assert!(said.code == Some(1) && said.err.contains(words), "{said:?}");
        }
    });
}
