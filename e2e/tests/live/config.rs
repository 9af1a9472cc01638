//! Configuration: what is missing is named and heals; what changes rolls its users, and only them.

use std::time::{Duration, Instant};

use e2e::observer::Seen;
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json};

use crate::stacks::{SOON, operator_has_looked, service, stack};

/// From the pod that cannot start to the status that says why.
const WITHIN: Duration = Duration::from_secs(10);

fn secret(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data})
}

fn shop(web: &Value, rest: &Value) -> Value {
    let mut all = stack("shop", &json!({"web": {"image": "web:1"}, "other": {"image": "other:1"}}));
    all["spec"]["services"]["web"].as_object_mut().unwrap().extend(web.as_object().unwrap().clone());
    all["spec"].as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    all
}

/// The stack does not come up for want of something that the status names; then it is there, and the stack heals.
async fn missing(t: &Live, stack: &Value, says: &[&str], cure: &Value) {
    let _operator = t.space.operator().start();
    t.space.apply_object(stack).await;
    let begin = Instant::now();
    eventually(WITHIN, &format!("the status to say {says:?}"), async || {
        let web = t.space.status("shop").await["services"]["web"].clone();
        let text = json::text(&web, "/message");
        if says.iter().all(|word| text.contains(word)) { Ok(()) } else { Err(format!("{web:#}")) }
    })
    .await;
    println!("{says:?}: said after {:.1} s", begin.elapsed().as_secs_f64());
    t.space.apply_object(cure).await;
    t.space.wait_ready("shop", SOON).await;
}

#[test]
fn a_missing_secret_of_a_variable_is_named_and_heals() {
    live("config_missing_secret", async |t| {
        let stack = shop(
            &json!({"secretEnv": {"PASSWORD": {"secret": "db", "key": "password"}}, "envTemplate": {"URL": "pg://app:$(PASSWORD)@db"}}),
            &json!({"secrets": {"db": {"secretName": "shop-db"}}}),
        );
        missing(&t, &stack, &["shop-db", "not found"], &secret("shop-db", &json!({"password": "x"}))).await;
    });
}

#[test]
fn a_missing_key_of_a_secret_is_named_and_heals() {
    live("config_missing_key", async |t| {
        t.space.apply_object(&secret("shop-db", &json!({"user": "x"}))).await;
        let stack = shop(
            &json!({"secretEnv": {"PASSWORD": {"secret": "db", "key": "password"}}}),
            &json!({"secrets": {"db": {"secretName": "shop-db"}}}),
        );
        missing(&t, &stack, &["password", "shop-db"], &secret("shop-db", &json!({"password": "x"}))).await;
    });
}

#[test]
fn a_missing_secret_of_a_mount_is_named_and_heals() {
    live("config_missing_mount", async |t| {
        let stack = shop(
            &json!({"mounts": {"/run/secrets/tls": {"secret": "tls"}}}),
            &json!({"secrets": {"tls": {"secretName": "shop-tls"}}}),
        );
        missing(&t, &stack, &["shop-tls", "not found"], &secret("shop-tls", &json!({"crt": "x"}))).await;
    });
}

#[test]
fn a_missing_config_map_is_named_and_heals() {
    live("config_missing_config_map", async |t| {
        let stack = shop(
            &json!({"envFrom": [{"config": "settings"}]}),
            &json!({"configs": {"settings": {"configMapName": "team-settings"}}}),
        );
        let cure =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "team-settings"}, "data": {"A": "1"}});
        missing(&t, &stack, &["team-settings", "not found"], &cure).await;
    });
}

// "Changed inline config rolls exactly its users, in order."
#[test]
fn a_changed_config_rolls_its_users_in_order_and_nobody_else() {
    live("config_rolls_users", async |t| {
        let _operator = t.space.operator().start();
        let all = |text: &str| {
            let mut stack = stack(
                "shop",
                &json!({"db": service("db:1", 400, &[]), "api": service("api:1", 50, &["db"]), "web": service("web:1", 50, &["api"])}),
            );
            stack["spec"]["configs"] =
                json!({"settings": {"data": {"MODE": text}}, "logo": {"binaryData": {"logo.png": "iVBORw0KGgo="}}});
            stack["spec"]["services"]["db"]["mounts"] =
                json!({"/etc/settings": {"config": "settings"}, "/srv": {"config": "logo"}});
            stack["spec"]["services"]["web"]["envFrom"] = json!([{"config": "settings", "prefix": "APP_"}]);
            stack
        };
        t.space.apply_object(&all("one")).await;
        t.space.wait_ready("shop", SOON).await;
        let revision = async |name: &str| {
            json::number(&t.space.get(Kind::Deployment, name).await.unwrap(), "/metadata/generation")
        };
        let before = (revision("shop-db").await, revision("shop-api").await, revision("shop-web").await);
        operator_has_looked(&t, "before").await;
        let seen = t.observer.history().await.len();
        t.space.apply_object(&all("two")).await;
        t.space.wait_ready("shop", SOON).await;
        let after = (revision("shop-db").await, revision("shop-api").await, revision("shop-web").await);
        assert_eq!(after, (before.0 + 1, before.1, before.2 + 1));
        let history = t.observer.history().await;
        let (old, new) = history.split_at(seen);
        let pods = |seen: &'_ [Seen], service: &str| -> Vec<(String, u64, bool)> {
            let of = seen.iter().filter(|s| s.kind == Kind::Pod && !s.deleted);
            of.filter(|s| json::label(&s.object, "appstack.dev/service") == service)
                .map(|s| (json::name(&s.object).to_owned(), s.version, json::holds(&s.object, "Ready")))
                .collect()
        };
        let first = |service: &str, ready: bool| {
            let known = pods(old, service);
            let new = pods(new, service).into_iter().filter(|(name, ..)| known.iter().all(|(other, ..)| other != name));
            new.filter(|(_, _, is_ready)| *is_ready || !ready).map(|(_, version, _)| version).min()
        };
        let (db, web) = (first("db", true), first("web", false));
        assert!(db.is_some() && db < web, "the new pod of db was ready at {db:?}, that of web made at {web:?}");
        let maps = t.space.list(Kind::ConfigMap).await;
        let ours = || maps.iter().filter(|m| json::label(m, "appstack.dev/config") == "settings");
        eventually(SOON, "the old content to be gone", async || {
            let there = t.space.list(Kind::ConfigMap).await;
            let texts: Vec<&str> =
                there.iter().map(|m| json::text(m, "/data/MODE")).filter(|m| !m.is_empty()).collect();
            if texts == ["two"] { Ok(()) } else { Err(format!("{texts:?}")) }
        })
        .await;
        assert!(ours().all(|map| map["immutable"] == true));
    });
}
