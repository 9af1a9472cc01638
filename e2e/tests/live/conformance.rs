//! What others see in a stack's status: the real kstatus library judges every version of a stack and of its children, at every stage.

use std::time::Duration;

use e2e::observer::Seen;
use e2e::{Kind, Live, argo, budget, eventually, json, kstatus, live};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::stacks::{SOON, operator_has_looked, service, stack, wait_state};

const IN_PROGRESS: &str = "InProgress";
const CURRENT: &str = "Current";
const FAILED: &str = "Failed";
const TERMINATING: &str = "Terminating";

fn shop(db: &str, web: &str) -> Value {
    let mut web = service(web, 300, &["api"]);
    web["ports"] = json!({"http": {"port": 8000, "published": 80}});
    let mut db = service(db, 300, &[]);
    db["mounts"] = json!({"/data": {"volume": "data"}});
    let mut all = stack("shop", &json!({"db": db, "api": service("api:1", 300, &["db"]), "web": web}));
    all["spec"]["volumes"] = json!({"data": {"size": "1Gi"}});
    all
}

/// The stages of a stack's life, each with the verdicts that it must show, one after the other.
struct Stages<'a> {
    t: &'a Live,
    seen: u64,
    judged: usize,
    last: String,
    captured: Vec<(String, Value, Value)>,
}

impl Stages<'_> {
    /// Everything since the stage before; fails unless the verdicts on the stack were these, without repetitions. The last
    /// verdict of the stage before may go on for a while: a node may have more to say of the same.
    async fn were(&mut self, stage: &str, expected: &[&str]) {
        sleep(Duration::from_millis(800)).await; // whatever might follow
        let history = self.t.observer.history().await;
        let verdicts = kstatus::verdicts(&history);
        let early = kstatus::too_early(&history, &verdicts);
        assert!(early.is_empty(), "{stage}: Current too early:\n  {}", early.join("\n  "));
        let of_stack = |s: &Seen| s.kind == Kind::AppStack && json::name(&s.object) == "shop" && !s.deleted;
        let mut shown: Vec<(&str, &Seen)> = verdicts
            .iter()
            .zip(&history)
            .filter(|(_, s)| of_stack(s) && s.version > self.seen)
            .map(|(verdict, seen)| (verdict.as_str(), seen))
            .collect();
        self.judged += shown.len();
        for (verdict, seen) in &shown {
            let (observed, generation) = ("/status/observedGeneration", "/metadata/generation");
            let newest = json::number(&seen.object, observed) == json::number(&seen.object, generation);
            assert!(
                newest || [IN_PROGRESS, TERMINATING].contains(verdict),
                "{stage}: {verdict} at {:#}",
                seen.object["status"]
            );
        }
        self.agree_with_argo(stage, &shown);
        self.seen = history.last().map_or(0, |s| s.version);
        shown.dedup_by_key(|(verdict, _)| *verdict);
        let mut found: Vec<&str> = shown.iter().map(|(verdict, _)| *verdict).collect();
        if expected.first() != found.first() && found.first().is_some_and(|first| *first == self.last) {
            found.remove(0);
        }
        println!("{stage}: {}", found.join(", "));
        assert_eq!(found, expected, "{stage}: {:#}", shown.last().map(|(_, s)| &s.object["status"]).unwrap());
        (*found.last().unwrap_or(&"")).clone_into(&mut self.last);
        if self.last == CURRENT {
            Self::children_are_current(stage, &history, &verdicts);
        }
    }

    /// Argo CD is of the same opinion on every version, but for what is going, of which it does not ask the script. Captures the last of the stage, and one whose
    /// newest generation nobody has looked at yet.
    fn agree_with_argo(&mut self, stage: &str, shown: &[(&str, &Seen)]) {
        let there = shown.iter().filter(|(verdict, _)| *verdict != TERMINATING);
        let asked: Vec<(&str, Value)> = there.map(|(verdict, seen)| (*verdict, kstatus::whole(seen))).collect();
        let answers = argo::health(asked.iter().map(|(_, stack)| stack));
        for ((verdict, stack), health) in asked.iter().zip(&answers) {
            argo::assert_agrees(stage, verdict, stack, health);
        }
        let generation = |stack: &Value| json::number(stack, "/metadata/generation");
        let unseen = |(_, stack): &(&str, Value)| {
            (1..generation(stack)).contains(&json::number(stack, "/status/observedGeneration"))
        };
        if stage == "an update"
            && let Some(at) = asked.iter().position(unseen)
        {
            self.captured.push((format!("{stage} not seen"), asked[at].1.clone(), answers[at].clone()));
        }
        if let (Some((_, stack)), Some(health)) = (asked.last(), answers.last()) {
            self.captured.push((stage.to_owned(), stack.clone(), health.clone()));
        }
    }

    /// Every child that is there now.
    fn children_are_current(stage: &str, history: &[Seen], verdicts: &[String]) {
        let mut last = std::collections::BTreeMap::new();
        for (seen, verdict) in history.iter().zip(verdicts) {
            let of_stack = json::label(&seen.object, "appstack.dev/stack") == "shop";
            if of_stack && seen.kind != Kind::Pod {
                last.insert((seen.kind, json::name(&seen.object)), (seen.deleted, verdict));
            }
        }
        let there: Vec<_> = last.iter().filter(|(_, (deleted, _))| !deleted).collect();
        assert!(there.len() > 8, "{stage}: {there:?}");
        for (child, (_, verdict)) in there {
            assert_eq!(*verdict, CURRENT, "{stage}: {child:?} of a stack that is");
        }
    }

    async fn ready(&self) {
        self.t.space.wait_ready("shop", SOON).await;
    }

    async fn stalled(&self, reason: &str) {
        eventually(SOON, &format!("the stack to be Stalled by {reason}"), async || {
            let live = self.t.space.get(Kind::AppStack, "shop").await.unwrap_or_default();
            let why = json::condition(&live, "Stalled").map(|c| json::text(c, "/reason").to_owned());
            if why.as_deref() == Some(reason) { Ok(()) } else { Err(live["status"].to_string()) }
        })
        .await;
    }
}

// "Conformance: our objects, at every stage captured in live tests, give the expected verdict under the real kstatus library and never Current early."
#[test]
fn kstatus_sees_every_stage_for_what_it_is() {
    argo::built(); // takes minutes, which are no test's time
    live("conformance_stages", async |t| {
        let mut stages = Stages { t: &t, seen: 0, judged: 0, last: String::new(), captured: Vec::new() };
        let space = &t.space;
        space.apply_object(&shop("db:1", "web:1")).await;
        stages.were("nobody has looked", &[IN_PROGRESS]).await;

        let _operator = space.operator().start();
        stages.ready().await;
        stages.were("creation", &[IN_PROGRESS, CURRENT]).await;

        space.apply_object(&shop("db:2", "web:2")).await;
        stages.ready().await;
        stages.were("an update", &[IN_PROGRESS, CURRENT]).await;

        let mut failing = shop("db:3", "web:3");
        failing["spec"]["services"]["db"]["env"] = json!({"SIM_MODE": "image-pull-error"});
        space.apply_object(&failing).await;
        eventually(SOON, "the failing image to be named", async || {
            let status = space.status("shop").await;
            let named = status["services"]["db"]["reason"] == "ImagePullBackOff";
            if named { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;
        stages.were("a failing image, before its deadline", &[IN_PROGRESS]).await;
        space.patch("shop", json!({"spec": {"services": {"db": {"update": {"deadline": "2s"}}}}})).await;
        stages.stalled("ServicesFailed").await;
        stages.were("a failing image, past its deadline", &[IN_PROGRESS, FAILED]).await;
        let mut healed = shop("db:4", "web:3");
        healed["spec"]["services"]["db"]["update"] = json!({"deadline": "5m"}); // two seconds are few for a pod that starts
        space.apply_object(&healed).await;
        stages.ready().await;
        stages.were("healing", &[IN_PROGRESS, CURRENT]).await;

        space.patch("shop", json!({"spec": {"services": {"api": {"replicas": 3}}}})).await;
        stages.ready().await;
        stages.were("scaling", &[IN_PROGRESS, CURRENT]).await;

        space.patch("shop", json!({"spec": {"suspend": true}})).await;
        operator_has_looked(&t, "suspended").await;
        stages.were("suspended", &[IN_PROGRESS]).await;
        space.patch("shop", json!({"spec": {"suspend": null}})).await;
        stages.ready().await;
        stages.were("resumed", &[IN_PROGRESS, CURRENT]).await;

        let db = |after: Value| json!({"spec": {"services": {"db": {"dependsOn": after}}}});
        space.patch("shop", db(json!({"web": {}}))).await;
        stages.stalled("DependencyCycle").await;
        stages.were("a spec that cannot be", &[IN_PROGRESS, FAILED]).await;
        space.patch("shop", db(Value::Null)).await;
        stages.ready().await;
        stages.were("put right", &[IN_PROGRESS, CURRENT]).await;

        space.patch("shop", json!({"spec": {"stopped": true}})).await;
        stages.ready().await;
        stages.were("stopped", &[IN_PROGRESS, CURRENT]).await;
        space.patch("shop", json!({"spec": {"stopped": null}})).await;
        stages.ready().await;
        stages.were("started", &[IN_PROGRESS, CURRENT]).await;

        let pods = space.list(Kind::Pod).await;
        let pod = pods.iter().find(|p| json::label(p, "appstack.dev/service") == "db").expect("a pod of db");
        space
            .edit(
                Kind::Pod,
                json::name(pod),
                json!({"metadata": {"annotations": {"sim.appstack.dev/mode": "unready"}}}),
            )
            .await;
        wait_state(&t, "shop", "db", "Degraded").await;
        stages.were("a pod that is lost", &[IN_PROGRESS]).await;
        space
            .edit(Kind::Pod, json::name(pod), json!({"metadata": {"annotations": {"sim.appstack.dev/mode": null}}}))
            .await;
        stages.ready().await;
        stages.were("a pod that is back", &[CURRENT]).await;

        // The children go first, so that its going is seen.
        space.api(Kind::AppStack).delete("shop", &DeleteParams::foreground()).await.expect("a deletion");
        eventually(SOON, "the stack to be gone", async || match space.get(Kind::AppStack, "shop").await {
            None => Ok(()),
            Some(live) => Err(live["metadata"]["finalizers"].to_string()),
        })
        .await;
        stages.were("deletion", &[TERMINATING]).await;
        argo::keep(&stages.captured);
        println!("{} versions judged", stages.judged);
    });
}

#[test]
fn kstatus_calls_a_stack_failed_only_when_a_failed_job_leaves_nothing_to_wait_for() {
    argo::built();
    live("conformance_job", async |t| {
        let of = |code: &str| {
            let mut web = service("web:1", 100, &[]);
            web["dependsOn"] = json!({"migrate": {}});
            let migrate =
                json!({"image": "migrate:1", "mode": "Job", "env": {"SIM_EXIT_CODE": code, "SIM_RUN_FOR": "200ms"}});
            // Nobody waits for it, and it comes up when the test says so: until then the stack is not given up.
            let slow = json!({"image": "slow:1", "env": {"SIM_MODE": "never-ready"}});
            let others =
                json!({"migrate": migrate, "web": web, "slow": slow, "more": service("more:1", 500, &["slow"])});
            stack("shop", &others)
        };
        let mut stages = Stages { t: &t, seen: 0, judged: 0, last: String::new(), captured: Vec::new() };
        let _operator = t.space.operator().start();
        t.space.apply_object(&of("3")).await;
        wait_state(&t, "shop", "web", "Failed").await;
        stages.were("a failed Job while others come up", &[IN_PROGRESS]).await;
        let pods = t.space.list(Kind::Pod).await;
        let slow = pods.iter().find(|p| json::label(p, "appstack.dev/service") == "slow").expect("a pod of slow");
        let up = json!({"metadata": {"annotations": {"sim.appstack.dev/mode": "none"}}});
        t.space.edit(Kind::Pod, json::name(slow), up).await;
        stages.stalled("ServicesFailed").await;
        stages.were("a failed Job, and all others are up", &[IN_PROGRESS, FAILED]).await;
        assert_eq!(t.space.status("shop").await["services"]["more"]["state"], "Ready");
        t.space.apply_object(&of("0")).await;
        stages.ready().await;
        stages.were("healing", &[IN_PROGRESS, CURRENT]).await;
    });
}

/// Values that nobody may repeat: each stands where a user may write one.
const MARKS: [&str; 6] =
    ["mark-env-1", "mark-template-2", "mark-secret-3", "mark-config-4", "mark-step-5", "mark-broken-6"];

// "no secret or env value in any."
#[test]
fn nothing_that_is_said_repeats_a_value_of_the_environment() {
    live("conformance_values", async |t| {
        let _operator = t.space.operator().start();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "stringData": {"password": MARKS[2]}});
        t.space.apply_object(&secret).await;
        let marked = |image: &str, mode: &str| {
            let db = json!({
                "image": image, "env": {"SIM_MODE": mode, "PLAIN": MARKS[0]},
                "envTemplate": {"URL": format!("db://{}@$(PLAIN)", MARKS[1])},
                "secretEnv": {"PASSWORD": {"secret": "own", "key": "password"}, "GONE": {"secret": "own", "key": "gone"}},
                "mounts": {"/etc/db.conf": {"config": "settings"}},
                "preStart": [{"name": "step", "command": ["true"], "env": {"STEP": MARKS[4]}}],
            });
            let mut all = stack("shop", &json!({"db": db, "web": service("web:1", 50, &["db"])}));
            all["spec"]["configs"] = json!({"settings": {"content": MARKS[3]}});
            all["spec"]["secrets"] = json!({"own": {"secretName": "own"}});
            all
        };
        t.space.apply_object(&marked("db:1", "none")).await;
        wait_reason(&t, "CreateContainerConfigError").await;
        let mut whole = marked("db:2", "image-pull-error");
        whole["spec"]["services"]["db"]["secretEnv"].as_object_mut().unwrap().remove("GONE");
        t.space.apply_object(&whole).await;
        wait_reason(&t, "ImagePullBackOff").await;
        whole["spec"]["services"]["db"]["env"]["SIM_MODE"] = json!("crashloop");
        t.space.apply_object(&whole).await;
        wait_reason(&t, "CrashLoopBackOff").await;
        // Wrong, and of several kinds: what is said of it names the place.
        let mut broken = whole.clone();
        broken["spec"]["services"]["db"]["envTemplate"] = json!({"URL": format!("{}$(NOBODY)", MARKS[5])});
        broken["spec"]["services"]["db"]["dependsOn"] = json!({"web": {}});
        t.space.apply_object(&broken).await;
        eventually(SOON, "the spec to be called invalid", async || {
            let live = t.space.get(Kind::AppStack, "shop").await.unwrap_or_default();
            if json::holds(&live, "Stalled") { Ok(()) } else { Err(live["status"].to_string()) }
        })
        .await;
        whole["spec"]["services"]["db"]["env"]["SIM_MODE"] = json!("none");
        t.space.apply_object(&whole).await;
        t.space.wait_ready("shop", SOON).await;

        let history = t.observer.history().await;
        let statuses = history.iter().filter(|s| s.kind == Kind::AppStack).map(|s| s.object["status"].to_string());
        let events = t.space.list(Kind::Event).await.into_iter().map(|e| e.to_string());
        let log = e2e::operator::folder("conformance_values").join("operator.log");
        let log = std::fs::read_to_string(&log).expect("the operator's log");
        let said: Vec<String> = statuses.chain(events).chain([log]).collect();
        assert!(said.len() > 12, "{}", said.len());
        for mark in MARKS {
            let found: Vec<&String> = said.iter().filter(|text| text.contains(mark)).collect();
            assert!(found.is_empty(), "{mark} is repeated in {found:?}");
        }
        println!("{} texts, none with a value", said.len());
    });
}

async fn wait_reason(t: &Live, reason: &str) {
    eventually(SOON, &format!("db to say {reason}"), async || {
        let status = t.space.status("shop").await;
        if status["services"]["db"]["reason"] == reason { Ok(()) } else { Err(format!("{status:#}")) }
    })
    .await;
}

// "A rollout of k services makes at most k+2 status writes and n+2 requests for n children"; "no status write without a difference".
#[test]
fn a_rollout_of_k_services_costs_k_and_2_statuses_and_n_and_2_requests() {
    live("conformance_writes", async |t| {
        let _operator = t.space.operator().start();
        operator_has_looked(&t, "begin").await;
        let audit = t.audit();
        let begin = audit.mark().await;
        let stacks = [("chain", 1, 900), ("quick", 1, 100), ("wide", 4, 900)];
        for (name, width, delay) in stacks {
            let mut services = serde_json::Map::new();
            let count = 8;
            for at in 0..count {
                let after = format!("{name}{}", at - width);
                let after: &[&str] = if at < width { &[] } else { &[&after] };
                services.insert(format!("{name}{at}"), service("app:1", delay, after));
            }
            let mark = audit.mark().await;
            t.space.apply_object(&stack(name, &Value::Object(services))).await;
            t.space.wait_ready(name, SOON).await;
            sleep(Duration::from_secs(3)).await; // whatever might follow
            // Real pods of the stack before may still have something to say.
            let requests = audit.since(mark).await.without(|other| !other.starts_with(name));
            let (children, writes) = (t.space.children(name).await.len(), requests.child_writes().len());
            let statuses = requests.writes_of("appstacks/status");
            println!("{name}: {count} services, {statuses} statuses; {children} children, {writes} requests");
            let history = t.observer.of(Kind::AppStack, name).await;
            // Pods that are real may have more to say since the requests were counted.
            assert!(statuses < history.len(), "each write made a difference: {statuses} in {} versions", history.len());
            assert!(writes <= children + 2, "{requests}");
            let count = usize::try_from(count).unwrap();
            let (most, told) = (budget::statuses(count, &history), budget::told(&history));
            assert!(statuses <= most, "{name}: {statuses} statuses for {count} services, {most} allowed:\n{told}");
        }
        for (name, ..) in stacks {
            let statuses = audit.since(begin).await.without(|other| other != name).writes_of("appstacks/status");
            let history = t.observer.of(Kind::AppStack, name).await;
            let told = budget::told(&history);
            assert!(statuses < history.len(), "{name}: {statuses} in {} versions:\n{told}", history.len());
        }
    });
}
