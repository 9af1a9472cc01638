//! `appstack diff`: what the operator would change, said before it does.

use e2e::{Kind, Live, json, live};
use serde_json::{Value, json};

use crate::commands::{Said, run};
use crate::stacks::{SOON, finity, one_of_each, operator_has_looked, service, stack};

/// Compares a file with the cluster.
async fn diff(t: &Live, stack: &Value) -> Said {
    let file = std::env::temp_dir().join(format!("{}.yaml", t.space.name));
    std::fs::write(&file, stack.to_string()).expect("a file");
    let said = run(t, &["diff", &file.to_string_lossy()]).await;
    std::fs::remove_file(&file).expect("its end");
    said
}

fn assert_same(said: &Said) {
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", ""), "{said:?}");
}

#[test]
fn a_stack_that_has_converged_differs_in_nothing() {
    live("diff_same", async |t| {
        let _operator = t.space.operator().args(&["--max-pod-security", "Privileged"]).start();
        let mut objects = vec![one_of_each("each")];
        objects.extend(finity(|_| 50));
        for object in &objects {
            t.space.apply_object(object).await;
        }
        let stacks: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "AppStack").collect();
        assert!(stacks.len() > 1);
        for stack in stacks {
            let name = json::name(stack);
            t.space.wait_ready(name, SOON).await;
            operator_has_looked(&t, name).await;
            assert_same(&run(&t, &["diff", name, "--max-pod-security", "Privileged"]).await);
        }
    });
}

#[test]
fn what_would_be_made_changed_and_deleted_is_shown_and_nothing_is_done() {
    live("diff_changes", async |t| {
        let _operator = t.space.operator().start();
        let first = stack(
            "shop",
            &json!({"db": service("db:1", 50, &[]), "web": service("web:1", 50, &["db"]), "old": service("old:1", 50, &[])}),
        );
        // No such stack yet: everything is to be made, the dependants after the rest.
        let said = diff(&t, &first).await;
        println!("{}", said.out);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains("diff create Deployment/shop-db\n"), "{}", said.out);
        assert!(said.out.contains("diff create Deployment/shop-web (held, waits for db (Healthy): "), "{}", said.out);
        assert!(t.space.list(Kind::Deployment).await.is_empty() && t.space.list(Kind::NetworkPolicy).await.is_empty());
        t.space.apply_object(&first).await;
        t.space.wait_ready("shop", SOON).await;
        assert_same(&diff(&t, &first).await);

        let second = stack(
            "shop",
            &json!({"db": service("db:2", 50, &[]), "web": service("web:2", 50, &["db"]), "new": service("new:1", 50, &[])}),
        );
        let before = t.space.children("shop").await;
        let said = diff(&t, &second).await;
        println!("{}{}", said.out, said.err);
        assert_eq!(said.code, Some(1), "{said:?}");
        for line in [
            "diff change Deployment/shop-db\n",
            "--- cluster/Deployment/shop-db\n+++ stack/Deployment/shop-db\n",
            "-      - image: db:1\n",
            "+      - image: db:2\n",
            "diff change Deployment/shop-web (held, waits for db (Healthy): ",
            "+      - image: web:2\n",
            "diff create Deployment/shop-new\n--- /dev/null\n",
            "diff delete Deployment/shop-old",
            "+++ /dev/null\n",
        ] {
            assert!(said.out.contains(line) || said.out.contains(&line.replace("- image", "  image")), "no {line:?}");
        }
        for noise in ["managedFields", "resourceVersion", "status:", "\x1b"] {
            assert!(!said.out.contains(noise), "{noise} in {}", said.out);
        }
        assert!(said.err.contains("not at once"), "{}", said.err);
        assert_eq!(before, t.space.children("shop").await, "a dry run");
        t.space.apply_object(&second).await;
        t.space.wait_ready("shop", SOON).await;
        operator_has_looked(&t, "the second").await;
        assert_same(&run(&t, &["diff", "shop"]).await);
    });
}

#[test]
fn an_edit_by_hand_shows_until_it_is_put_right_and_what_cannot_be_asked_is_an_error() {
    live("diff_drift", async |t| {
        let mut operator = t.space.operator().start();
        let shop = stack("shop", &json!({"db": service("db:1", 50, &[])}));
        t.space.apply_object(&shop).await;
        t.space.wait_ready("shop", SOON).await;
        operator.stop();
        let edit = json!({"spec": {"template": {"metadata": {"annotations": {"appstack.dev/revision": "mine"}}}}});
        t.space.edit(Kind::Deployment, "shop-db", edit).await;
        let said = run(&t, &["diff", "shop"]).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains("-        appstack.dev/revision: mine\n"), "{}", said.out);

        // In the way, and of nobody's stack: the operator would leave it alone.
        let mut taken = shop.clone();
        taken["spec"]["services"]["late"] = json!({"image": "late:1"});
        let foreign = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop-late"}, "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "x", "image": "x:1"}]}}}});
        t.space.apply_object(&foreign).await;
        let said = diff(&t, &taken).await;
        assert_eq!(said.code, Some(3), "{said:?}");
        assert!(said.err.contains("error: Deployment 'shop-late': "), "{}", said.err);
        assert_eq!(run(&t, &["diff", "none"]).await.code, Some(2));
        assert_eq!(run(&t, &["diff", "./none.yaml"]).await.code, Some(2));
        let broken = stack("shop", &json!({"web": {"image": "web:1", "dependsOn": {"gone": {}}}}));
        assert_eq!(diff(&t, &broken).await.code, Some(2));
    });
}
