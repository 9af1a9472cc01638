//! Jobs: run once for each definition, in their turn, never two at once.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::observer::Seen;
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::stacks::{SOON, is_signal, operator_has_looked, service, stack, wait_state};

fn shop(migrate: &Value, web: &str) -> Value {
    let mut job =
        json!({"image": "migrate:1", "mode": "Job", "dependsOn": {"db": {}}, "env": {"SIM_RUN_FOR": "300ms"}});
    job.as_object_mut().unwrap().extend(migrate.as_object().unwrap().clone());
    let mut web = service(web, 50, &[]);
    web["dependsOn"] = json!({"migrate": {}});
    stack("shop", &json!({"db": service("db:1", 300, &[]), "migrate": job, "web": web}))
}

async fn jobs(t: &Live) -> Vec<Value> {
    let jobs = t.space.list(Kind::Job).await;
    jobs.into_iter().filter(|job| json::label(job, "appstack.dev/service") == "migrate").collect()
}

fn uid(object: &Value) -> String {
    json::text(object, "/metadata/uid").to_owned()
}

#[test]
fn a_job_runs_once_before_its_dependants_and_again_when_it_is_deleted() {
    live("jobs_once", async |t| {
        let mut operator = t.space.operator().start();
        t.space.apply_object(&shop(&json!({}), "web:1")).await;
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(t.space.status("shop").await["services"]["migrate"]["state"], "Completed");
        assert_eq!(t.assert_order().await, 3);
        let first = jobs(&t).await;
        assert_eq!(first.len(), 1);

        // Converged, touched and after a restart: no request, and no second run.
        operator_has_looked(&t, "before").await;
        let audit = t.audit();
        let mark = audit.mark().await;
        t.space.touch("shop", "1").await;
        operator_has_looked(&t, "touched").await;
        operator.restart();
        operator_has_looked(&t, "restarted").await;
        audit.since(mark).await.without(|name| is_signal(name) || name == "shop").assert_none("a finished job");

        // A dependant that changes does not run it again; nor does how often it may be tried.
        t.space.apply_object(&shop(&json!({"job": {"retries": 2}}), "web:2")).await;
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(jobs(&t).await.iter().map(uid).collect::<Vec<_>>(), [uid(&first[0])]);

        // Deleted by hand: runs again, under its name.
        t.space.delete(Kind::Job, json::name(&first[0])).await;
        let again = eventually(SOON, "the Job to have run again", async || match jobs(&t).await.as_slice() {
            [job] if uid(job) != uid(&first[0]) && json::holds(job, "Complete") => Ok(job.clone()),
            others => Err(format!("{} jobs", others.len())),
        })
        .await;
        assert_eq!(json::name(&again), json::name(&first[0]));
    });
}

// "a finished one stays until the new one succeeds"; "two migrations never run at once".
#[test]
fn two_runs_of_a_job_never_overlap_and_a_result_stays_until_the_next() {
    live("jobs_overlap", async |t| {
        let _operator = t.space.operator().start();
        let run = |tag: &str, time: &str| {
            shop(&json!({"image": format!("migrate:{tag}"), "env": {"SIM_RUN_FOR": time}}), "web:1")
        };
        t.space.apply_object(&run("1", "200ms")).await;
        t.space.wait_ready("shop", SOON).await;
        let first = json::name(&jobs(&t).await[0]).to_owned();

        // A long one, and another while it runs.
        t.space.apply_object(&run("2", "20s")).await;
        running(&t, "migrate:2").await;
        assert!(t.space.get(Kind::Job, &first).await.is_some(), "the last result is kept while the next is on its way");
        t.space.apply_object(&run("3", "200ms")).await;
        eventually(SOON, "the third run to be all there is", async || match jobs(&t).await.as_slice() {
            [job] if json::holds(job, "Complete") && json::name(job) != first => Ok(()),
            others => Err(others.iter().map(|j| json::name(j).to_owned()).collect::<Vec<_>>().join(", ")),
        })
        .await;
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(most_at_once(&t.observer.history().await, "migrate:"), 1, "pods of the Job that had not ended");
    });
}

async fn running(t: &Live, image: &str) {
    eventually(SOON, &format!("a pod with {image} to run"), async || {
        let pods = t.space.list(Kind::Pod).await;
        let runs = |p: &&Value| p["spec"]["containers"][0]["image"] == image && p["status"]["phase"] == "Running";
        pods.iter().find(runs).map(drop).ok_or_else(|| "none".into())
    })
    .await;
}

/// The largest number of pods with such an image that existed and had not ended at the same moment.
pub fn most_at_once(history: &[Seen], image: &str) -> usize {
    let mut pods: BTreeMap<String, bool> = BTreeMap::new();
    let mut most = 0;
    for seen in history.iter().filter(|s| s.kind == Kind::Pod) {
        if !json::text(&seen.object, "/spec/containers/0/image").starts_with(image) {
            continue;
        }
        let ended = matches!(json::text(&seen.object, "/status/phase"), "Succeeded" | "Failed");
        pods.insert(json::name(&seen.object).to_owned(), !seen.deleted && !ended);
        most = most.max(pods.values().filter(|there| **there).count());
    }
    most
}

#[test]
fn a_failed_job_is_named_by_all_who_wait_for_it_and_heals_with_its_definition() {
    live("jobs_failed", async |t| {
        let _operator = t.space.operator().start();
        let failing = json!({"env": {"SIM_EXIT_CODE": "3", "SIM_RUN_FOR": "100ms"}});
        t.space.apply_object(&shop(&failing, "web:1")).await;
        let migrate = wait_state(&t, "shop", "migrate", "Failed").await;
        assert_eq!(migrate["reason"], "JobFailed", "{migrate}");
        assert!(json::text(&migrate, "/message").contains("BackoffLimitExceeded"), "{migrate}");
        let web = wait_state(&t, "shop", "web", "Failed").await;
        assert_eq!(web["reason"], "DependencyFailed");
        assert!(json::text(&web, "/message").contains("migrate"), "{web}");
        eventually(SOON, "the stack to be Stalled", async || {
            let live = t.space.get(Kind::AppStack, "shop").await.unwrap_or_default();
            if json::holds(&live, "Stalled") { Ok(()) } else { Err(live["status"].to_string()) }
        })
        .await;
        assert!(t.space.get(Kind::Deployment, "shop-web").await.is_none());
        assert_eq!(jobs(&t).await.len(), 1, "it is not tried again by itself");

        t.space.apply_object(&shop(&json!({}), "web:1")).await;
        t.space.wait_ready("shop", SOON).await;
    });
}

#[test]
fn a_job_is_tried_as_often_as_it_says_and_its_pods_are_dialled_by_nobody() {
    live("jobs_retries", async |t| {
        let _operator = t.space.operator().start();
        let twice = json!({"job": {"retries": 1}, "env": {"SIM_FAIL_TIMES": "1", "SIM_RUN_FOR": "100ms"}});
        t.space.apply_object(&shop(&twice, "web:1")).await;
        t.space.wait_ready("shop", Duration::from_secs(90)).await;
        let pods = t.space.list(Kind::Pod).await;
        let of_job: Vec<&Value> = pods.iter().filter(|p| json::label(p, "appstack.dev/job") == "migrate").collect();
        assert_eq!(of_job.len(), 2, "one failed, one succeeded; both are kept for their logs");
        assert!(of_job.iter().all(|p| json::label(p, "appstack.dev/service").is_empty()), "no Service selects them");
        assert!(t.space.get(Kind::Service, "migrate").await.is_none());
    });
}
