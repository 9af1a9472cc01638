//! Stacks that go, or change, while a pass over them is under way.

use std::time::Duration;

use serde_json::{Value, json};

use super::fake::{Fake, Sent};
use crate::controller::queue::Outcome;

fn two() -> Value {
    json!({"db": {"image": "db:1"}, "web": {"image": "web:1"}})
}

async fn converged() -> Fake {
    let fake = Fake::new(&two());
    fake.pass().await;
    for name in ["s-db", "s-web"] {
        fake.bring_up(name);
    }
    fake.pass().await;
    assert_eq!(fake.condition("Ready")["status"], "True");
    fake
}

fn calls(sent: &[Sent]) -> Vec<String> {
    let of_children = sent.iter().filter(|s| !s.path.ends_with("/status"));
    of_children.map(|s| format!("{} {}", s.verb, s.path)).collect()
}

/// The garbage collector takes the workloads of a stack that is gone.
fn collect(fake: &Fake) {
    fake.goes("deployments/s-db");
    fake.goes("deployments/s-web");
}

// The watch of stacks is behind that of their children.
#[tokio::test(start_paused = true)]
async fn workloads_of_a_stack_that_is_gone_are_not_made_again_though_nobody_has_told_us() {
    let fake = converged().await;
    fake.state.lock().unwrap().objects.remove("appstacks/s");
    collect(&fake);
    let (sent, outcome) = fake.pass().await;
    assert_eq!(calls(&sent), ["GET appstacks/s"], "one look for both");
    assert!(matches!(outcome, Outcome::At(_)), "{outcome:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(calls(&fake.pass().await.0), ["GET appstacks/s"], "and never before it was seen to live");
}

#[tokio::test(start_paused = true)]
async fn nor_those_of_a_stack_that_goes_nor_of_one_that_has_another_in_its_place() {
    let changes: [fn(&mut Value); 2] = [
        |stack| stack["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z"),
        |stack| stack["metadata"]["uid"] = json!("uid-2"),
    ];
    for change in changes {
        let fake = converged().await;
        change(fake.state.lock().unwrap().objects.get_mut("appstacks/s").unwrap());
        collect(&fake);
        assert_eq!(calls(&fake.pass().await.0), ["GET appstacks/s"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_somebody_deleted_is_made_again_after_one_look() {
    let fake = converged().await;
    fake.goes("deployments/s-db");
    let (sent, _) = fake.pass().await;
    assert_eq!(calls(&sent), ["GET appstacks/s", "PATCH deployments/s-db"]);
    assert!(calls(&fake.pass().await.0).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_we_have_deleted_ourselves_comes_back_without_a_look() {
    let fake = converged().await;
    fake.write(2, &json!({"services": {"db": {"image": "db:1"}, "web": {"image": "web:1", "profiles": ["more"]}}}));
    assert!(calls(&fake.pass().await.0).contains(&"DELETE deployments/s-web".to_owned()));
    fake.tell_of_deletions();
    fake.pass().await;
    fake.write(3, &json!({"services": two()}));
    let sent = calls(&fake.pass().await.0);
    assert!(sent.contains(&"PATCH deployments/s-web".to_owned()), "{sent:?}");
    assert!(!sent.contains(&"GET appstacks/s".to_owned()), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pass_starts_nothing_more_in_the_name_of_what_the_stack_said_before() {
    let web = |tag: u8| json!({"image": format!("web:{tag}"), "dependsOn": {"db": {}}});
    let spec = |tag: u8| json!({"db": {"image": "db:1"}, "web": web(tag), "slow": {"image": "slow:1"}});
    let changes: [fn(&Fake, &Value); 3] =
        [|fake, _| fake.delete_stack(), |fake, _| fake.begin_deletion(), |fake, other| fake.write_stack(3, other)];
    for change in changes {
        // In the middle of its first writes: what starts pods comes last of them.
        let ports = json!({"http": {"port": 80, "published": 80}});
        let fake = Fake::new(&json!({"web": {"image": "web:1", "ports": ports}, "db": {"image": "db:1"}}));
        fake.fail(&[("services/web-published", 1, 0, "")]);
        let meanwhile = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            change(&fake, &spec(2));
        };
        let (outcome, ()) = tokio::join!(fake.look(), meanwhile);
        let sent = calls(&fake.sent());
        assert!(sent.contains(&"PATCH services/web-published".to_owned()), "{sent:?}");
        assert!(!sent.iter().any(|call| call.contains("deployments")), "{sent:?}");
        assert_eq!(outcome, Outcome::Settled);

        // Between what was written and what may be written now.
        let fake = Fake::new(&json!({"db": {"image": "db:1"}}));
        fake.pass().await;
        fake.write_stack(2, &spec(1));
        fake.fail(&[("deployments/s-slow", 1, 0, "")]);
        fake.clear();
        let meanwhile = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            fake.bring_up("s-db"); // whom web waits for
            change(&fake, &spec(2));
        };
        let (outcome, ()) = tokio::join!(fake.look(), meanwhile);
        assert_eq!(outcome, Outcome::Settled, "the change wakes it again");
        let sent = calls(&fake.sent());
        assert!(sent.contains(&"PATCH deployments/s-slow".to_owned()), "{sent:?}");
        assert!(!sent.contains(&"PATCH deployments/s-web".to_owned()), "{sent:?}");
    }
}
