//! A new version of the operator that renders otherwise.

use e2e::{Kind, Live, json, live};
use serde_json::json;

use crate::stacks::{SOON, is_signal, one_of_each, operator_has_looked};

/// Debug builds put its value in an annotation of every pod template, which is what another rendering looks like.
const SALT: &str = "APPSTACK_TEST_RENDER_SALT";

// "A rendering change without a definition change (simulate a new operator version) rolls no pod."
#[test]
fn a_new_rendering_alone_rolls_no_pod() {
    live("upgrade_rendering", async |t| {
        let audit = t.audit();
        let mut old = t.space.operator().start();
        t.space.apply_object(&one_of_each("up")).await;
        t.space.wait_ready("up", SOON).await;
        operator_has_looked(&t, "before").await;
        let before = templates(&t).await;
        let pods = pods(&t).await;
        old.stop();

        let mark = audit.mark().await;
        let _new = t.space.operator().env(SALT, "x").start();
        operator_has_looked(&t, "upgraded").await;
        t.space.touch("up", "after the upgrade").await;
        operator_has_looked(&t, "touched").await;
        let requests = audit.since(mark).await.without(is_signal);
        assert_eq!(requests.writes_of("deployments"), 0, "expected no write of a Deployment, saw\n{requests}");
        assert_eq!(templates(&t).await, before);
        assert_eq!(self::pods(&t).await, pods, "no pod is replaced");

        // What somebody edited is put right, and takes the new rendering along.
        t.space
            .edit(
                Kind::Deployment,
                "up-web",
                json!({"spec": {"template": {"metadata": {"labels": {"appstack.dev/network.front": "edited"}}}}}),
            )
            .await;
        operator_has_looked(&t, "edited").await;
        t.space.wait_ready("up", SOON).await;
        let web = t.space.get(Kind::Deployment, "up-web").await.unwrap();
        let member = json::text(&web, "/spec/template/metadata/labels/appstack.dev~1network.front");
        assert_ne!(member, "edited", "an edit is put right");
        assert_eq!(templates(&t).await[0], before[0], "the other Deployment is still as it was");

        // So does the next change of the definition.
        t.space.patch("up", json!({"spec": {"services": {"db": {"image": "db:2"}}}})).await;
        t.space.wait_ready("up", SOON).await;
        let db = t.space.get(Kind::Deployment, "up-db").await.unwrap();
        assert!(
            salted(&db),
            "expected the new rendering with the new definition, saw {}",
            db["spec"]["template"]["metadata"]
        );
    });
}

fn salted(deployment: &serde_json::Value) -> bool {
    json::entries(deployment, "/spec/template/metadata/annotations").any(|(_, text)| text == "x")
}

/// The pod templates of db and web, in this order.
async fn templates(t: &Live) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["up-db", "up-web"] {
        let live = t.space.get(Kind::Deployment, name).await.unwrap();
        found.push(live["spec"]["template"].to_string());
    }
    found
}

async fn pods(t: &Live) -> Vec<String> {
    let mut names: Vec<String> = t.space.list(Kind::Pod).await.iter().map(|p| json::name(p).to_owned()).collect();
    names.sort();
    names
}
