//! The commands that steer a running stack, and what becomes of what they ask for.

use e2e::observer::Seen;
use e2e::workload::is_complete;
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::commands::run;
use crate::stacks::{SOON, is_signal, operator_has_looked, service, stack, wait_state};

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

fn kept(tag: &str, log: &str) -> Value {
    let env = json!({"SIM_READY_DELAY": "100ms"});
    let mut all = stack(
        "shop",
        &json!({
            "web": {"image": format!("web:{tag}"), "env": env, "update": {"history": 3}, "mounts": {"/c": {"config": "conf"}}, "replicas": 2},
            "db": {"image": format!("db:{tag}"), "env": env, "update": {"history": 3}, "mounts": {"/d": {"volume": "own"}}},
            "agent": {"image": format!("agent:{tag}"), "mode": "Global", "env": env, "update": {"history": 3}},
            "log": {"image": format!("log:{log}")},
        }),
    );
    all["spec"]["configs"] = json!({"conf": {"content": tag}});
    all["spec"]["volumes"] = json!({"own": {"size": "1Gi", "perReplica": true}});
    all
}

const KEPT: [(Kind, &str); 3] = [(Kind::Deployment, "web"), (Kind::StatefulSet, "db"), (Kind::DaemonSet, "agent")];

/// Each of these runs the image of this tag, whole.
async fn runs(t: &Live, services: &[(Kind, &str)], tag: &str) {
    for (kind, name) in services {
        eventually(SOON, &format!("{name} to run {tag}"), async || {
            let object = t.space.get(*kind, &format!("shop-{name}")).await.unwrap_or_default();
            let image = json::text(&object, "/spec/template/spec/containers/0/image");
            let whole = is_complete(*kind, &object);
            if whole && image == format!("{name}:{tag}") {
                Ok(())
            } else {
                Err(format!("{image} {}", object["status"]))
            }
        })
        .await;
    }
}

// "put a service back to its last good revision; the next spec edit undoes it"; "Converged = zero requests".
#[test]
fn what_is_rolled_back_by_hand_stays_until_its_definition_changes_or_it_is_undone() {
    live("steer_rollback", async |t| {
        let mut operator = t.space.operator().start();
        for tag in ["1", "2"] {
            t.space.apply_object(&kept(tag, "1")).await;
            t.space.wait_ready("shop", SOON).await;
            runs(&t, &KEPT, tag).await;
        }
        eventually(SOON, "both revisions to be kept", async || {
            let said = run(&t, &["history", "shop"]).await;
            if said.out.lines().count() == 7 { Ok(()) } else { Err(said.out) }
        })
        .await;
        let said = run(&t, &["history", "shop"]).await;
        println!("{}{}", said.out, said.err);
        assert!(said.err.contains("spec.services[log].update: keeps no history"), "{said:?}");
        for (service, words) in [("log", "keeps no history; set history"), ("gone", "no such service")] {
            let said = run(&t, &["rollback", "shop", service]).await;
            assert!(said.code == Some(1) && said.err.contains(words), "{said:?}");
        }
        let said = run(&t, &["rollback", "shop", "web", "--to", "00000000"]).await;
        assert!(said.code == Some(1) && said.err.contains("is not kept; there are: "), "{said:?}");

        for (_, name) in KEPT {
            let said = run(&t, &["rollback", "shop", name]).await;
            assert_eq!(said.code, Some(0), "{said:?}");
            assert!(
                said.out.starts_with(&format!("{name}: {name}:2 (")) && said.out.contains(&format!("-> {name}:1 ("))
            );
        }
        runs(&t, &KEPT, "1").await;
        let web = wait_state(&t, "shop", "web", "RolledBack").await;
        assert!(json::text(&web, "/message").contains("was put back by hand in place of"), "{web}");
        let configs = t.space.list(Kind::ConfigMap).await;
        assert!(configs.iter().any(|config| config["data"]["conf"] == "1"), "the content it was made from is there");
        assert_at_rest(&t, "back").await;
        let history = run(&t, &["history", "shop", "web"]).await;
        println!("{}", history.out);
        assert!(history.out.contains("current, rolled back to") && history.out.contains("written, rolled back from"));

        // Neither an apply of the same manifest, nor an edit of another service, nor a new leader undoes it.
        operator.restart();
        t.space.apply_object(&kept("2", "1")).await;
        t.space.apply_object(&kept("2", "2")).await;
        runs(&t, &[(Kind::Deployment, "log")], "2").await;
        runs(&t, &KEPT, "1").await;
        assert_at_rest(&t, "applied").await;

        // A count is no definition, and is kept by what runs.
        t.space.patch("shop", json!({"spec": {"services": {"web": {"replicas": 3}}}})).await;
        eventually(SOON, "three pods of what runs", async || {
            let object = t.space.get(Kind::Deployment, "shop-web").await.unwrap_or_default();
            let image = json::text(&object, "/spec/template/spec/containers/0/image");
            if image == "web:1" && object["status"]["availableReplicas"] == 3 {
                Ok(())
            } else {
                Err(object["status"].to_string())
            }
        })
        .await;

        // A workload that somebody deletes comes back as it was put back, and never otherwise.
        t.space.delete(Kind::Deployment, "shop-web").await;
        eventually(SOON, "the Deployment to be made anew", async || {
            let history = t.observer.of(Kind::Deployment, "shop-web").await;
            let gone = history.iter().position(|seen| seen.deleted).ok_or("not gone yet")?;
            let anew: Vec<&str> = history[gone + 1..]
                .iter()
                .map(|seen| json::text(&seen.object, "/spec/template/spec/containers/0/image"))
                .collect();
            assert!(anew.iter().all(|image| *image == "web:1"), "{anew:?}");
            if anew.is_empty() { Err("not made yet".to_owned()) } else { Ok(()) }
        })
        .await;
        runs(&t, &[(Kind::Deployment, "web")], "1").await;

        let said = run(&t, &["rollback", "shop", "agent", "--undo"]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        runs(&t, &[(Kind::DaemonSet, "agent")], "2").await;
        t.space.apply_object(&kept("3", "2")).await;
        runs(&t, &KEPT, "3").await;
        t.space.wait_ready("shop", SOON).await;
        assert_at_rest(&t, "edited").await;

        // What nobody keeps: the operator says so, and goes on.
        assert_eq!(run(&t, &["rollback", "shop", "web"]).await.code, Some(0));
        let object = t.space.get(Kind::AppStack, "shop").await.unwrap_or_default();
        let asked = json::text(&object, "/metadata/annotations/appstack.dev~1rollback.web");
        let (definition, _) = asked.split_once(':').expect("DEFINITION:REVISION");
        let edit =
            json!({"metadata": {"annotations": {"appstack.dev/rollback.web": format!("{definition}:00000000")}}});
        t.space.patch("shop", edit).await;
        runs(&t, &KEPT, "3").await;
        t.space.wait_ready("shop", SOON).await;
        let web = wait_state(&t, "shop", "web", "Ready").await;
        assert_eq!(web["reason"], "RevisionNotKept", "{web}");
        assert_at_rest(&t, "not-kept").await;
        let edit = json!({"metadata": {"annotations": {"appstack.dev/rollback.web": "nothing"}}});
        t.space.patch("shop", edit).await;
        assert_at_rest(&t, "malformed").await;
        t.space.wait_ready("shop", SOON).await;
    });
}

// "`suspend` / `resume`: leave alone, take up again"; what is asked meanwhile waits.
#[test]
fn a_suspended_stack_is_left_as_it_is_and_takes_up_what_waited_when_it_is_resumed() {
    live("steer_suspend", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop()).await;
        t.space.wait_ready("shop", SOON).await;
        let dry = run(&t, &["suspend", "shop", "--dry-run", "client"]).await;
        assert!(dry.code == Some(0) && dry.out == "shop: suspended (dry run)\n", "{dry:?}");
        let said = run(&t, &["suspend", "shop"]).await;
        assert!(said.code == Some(0) && said.out == "shop: suspended\n", "{said:?}");
        assert!(run(&t, &["suspend", "shop"]).await.out.contains("is suspended already"));
        operator_has_looked(&t, "suspended").await;
        let from = t.audit().mark().await;
        t.space.patch("shop", json!({"spec": {"services": {"db": {"image": "db:2"}}}})).await;
        t.space.patch("shop", json!({"metadata": {"annotations": {"appstack.dev/restart.log": "1"}}})).await;
        operator_has_looked(&t, "edited").await;
        t.audit()
            .since(from)
            .await
            .without(|name| is_signal(name) || name == "shop")
            .assert_none("of a suspended stack");
        let before = revision(&t, "log").await;

        let said = run(&t, &["resume", "shop"]).await;
        assert!(said.code == Some(0) && said.out == "shop: looked after\n", "{said:?}");
        assert_eq!(run(&t, &["wait", "shop", "--timeout", "60s"]).await.code, Some(0));
        assert_ne!(revision(&t, "log").await, before, "what was asked meanwhile is done");
        let db = t.space.get(Kind::Deployment, "shop-db").await.unwrap_or_default();
        assert_eq!(json::text(&db, "/spec/template/spec/containers/0/image"), "db:2");
        assert_at_rest(&t, "resumed").await;
    });
}

// "`required: false`: a dependency that is off by profile, unhealthy past its deadline, or failed, is a warning. An undefined one is an error always."
#[test]
fn what_is_not_required_is_waited_for_until_it_has_failed_and_only_then_passed_over() {
    live("steer_optional", async |t| {
        let _operator = t.space.operator().start();
        let on = |name: &str, required: bool| json!({"image": "x:1", "dependsOn": {name: {"required": required}}});
        let never = json!({"SIM_MODE": "never-ready"});
        let shop = stack(
            "shop",
            &json!({
                "off": {"image": "off:1", "profiles": ["local"]},
                "late": {"image": "late:1", "env": never, "update": {"deadline": "4s"}},
                "seed": {"image": "seed:1", "mode": "Job", "env": {"SIM_EXIT_CODE": "3", "SIM_RUN_FOR": "100ms"}},
                "on-off": on("off", false), "on-late": on("late", false), "on-seed": on("seed", false),
                "needs-late": on("late", true), "needs-seed": on("seed", true),
            }),
        );
        let mut undefined = shop.clone();
        undefined["spec"]["services"]["on-off"]["dependsOn"] = json!({"gone": {"required": false}});
        let refused = t.space.try_apply(&undefined).await.unwrap_err();
        assert!(refused.contains("dependsOn may name other services of this stack only"), "{refused}");

        t.space.apply_object(&shop).await;
        wait_state(&t, "shop", "on-late", "Waiting").await;
        for (service, state) in [
            ("on-off", "Ready"),
            ("on-seed", "Ready"),
            ("on-late", "Ready"),
            ("needs-seed", "Failed"),
            ("needs-late", "Failed"),
        ] {
            wait_state(&t, "shop", service, state).await;
        }
        assert!(t.space.get(Kind::Deployment, "shop-off").await.is_none());
    });
}
