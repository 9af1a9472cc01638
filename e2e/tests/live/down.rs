//! `appstack down`: a stack goes, and what is in its volumes only when that is asked.

use e2e::{Kind, Live, json, live};
use serde_json::{Value, json};

use crate::commands::run;
use crate::stacks::{SOON, service, stack};

/// web waits for api, which waits for db; one claim stays, one goes.
async fn up(t: &Live, teardown: &str) {
    let mut shop = stack(
        "shop",
        &json!({"db": service("db:1", 50, &[]), "api": service("api:1", 50, &["db"]), "web": service("web:1", 50, &["api"])}),
    );
    shop["spec"]["teardown"] = json!(teardown);
    shop["spec"]["volumes"] = json!({"data": {"size": "1Gi"}, "scratch": {"size": "1Gi", "retention": "Delete"}});
    shop["spec"]["services"]["db"]["mounts"] = json!({"/data": {"volume": "data"}, "/scratch": {"volume": "scratch"}});
    t.space.apply_object(&shop).await;
    t.space.wait_ready("shop", SOON).await;
}

async fn names(t: &Live, kind: Kind) -> Vec<String> {
    t.space.list(kind).await.iter().map(|object| json::name(object).to_owned()).collect()
}

#[test]
fn down_follows_a_stack_to_its_end_in_reverse_order_and_names_the_claims_that_stay() {
    live("down_ordered", async |t| {
        let _operator = t.space.operator().start();
        up(&t, "Ordered").await;
        for place in ["client", "server"] {
            let dry = run(&t, &["down", "shop", &format!("--dry-run={place}")]).await;
            assert_eq!(dry.code, Some(0), "{dry:?}");
            assert!(dry.out.contains("its services in this order: web, api, db\n"), "{dry:?}");
            assert!(dry.out.contains("  shop-data   data     1Gi\n") && !dry.out.contains("scratch"), "{dry:?}");
        }
        assert_eq!(names(&t, Kind::Pod).await.len(), 3, "nothing was changed");

        let down = run(&t, &["down", "shop"]).await;
        println!("{}{}", down.err, down.out);
        assert_eq!(down.code, Some(0), "{down:?}");
        assert_eq!(down.err, "web is gone\napi is gone\ndb is gone\n");
        let expected = "\
shop is gone
kept, with what is in them (`appstack down shop --volumes` deletes them):
  CLAIM       VOLUME   SIZE
  shop-data   data     1Gi
";
        assert_eq!(down.out, expected);
        assert!(t.space.get(Kind::AppStack, "shop").await.is_none());
        assert!(names(&t, Kind::Pod).await.is_empty() && names(&t, Kind::Deployment).await.is_empty());

        // What stays can go later; then there is nothing left to delete.
        let again = run(&t, &["down", "shop"]).await;
        assert!(again.code == Some(1) && again.err.contains("no AppStack 'shop'"), "{again:?}");
        assert!(again.err.contains("shop-data"), "{again:?}");
        let volumes = run(&t, &["down", "shop", "--volumes"]).await;
        assert!(volumes.code == Some(0) && volumes.out.starts_with("claims deleted"), "{volumes:?}");
        assert!(names(&t, Kind::PersistentVolumeClaim).await.is_empty());
        assert_eq!(run(&t, &["down", "shop", "--volumes"]).await.code, Some(1));
    });
}

#[test]
fn claims_go_only_when_that_is_asked_and_nobody_else_uses_them() {
    live("down_volumes", async |t| {
        let mut operator = t.space.operator().start();
        up(&t, "Immediate").await;
        let volumes: Value = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "shop-data"}}]);
        let containers = json!([{"name": "x", "image": "x:1", "volumeMounts": [{"name": "data", "mountPath": "/x"}]}]);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reader"},
            "spec": {"containers": containers, "volumes": volumes}});
        t.space.apply_object(&pod).await;
        let used = run(&t, &["down", "shop", "--volumes"]).await;
        assert_eq!(used.code, Some(1), "{used:?}");
        assert!(used.err.contains("claim shop-data is in use by pod reader"), "{used:?}");
        assert!(t.space.get(Kind::AppStack, "shop").await.is_some(), "nothing was deleted");
        t.space.delete(Kind::Pod, "reader").await;
        e2e::eventually(SOON, "the reader to be gone", async || {
            if names(&t, Kind::Pod).await.contains(&"reader".to_owned()) { Err("there".to_owned()) } else { Ok(()) }
        })
        .await;

        let down = run(&t, &["down", "shop", "-v"]).await;
        println!("{}{}", down.err, down.out);
        assert_eq!(down.code, Some(0), "{down:?}");
        assert!(down.out.ends_with("  shop-data   data     1Gi\n"), "{down:?}");
        assert!(names(&t, Kind::PersistentVolumeClaim).await.is_empty() && names(&t, Kind::Pod).await.is_empty());

        // In order, and nobody is there to see to it.
        up(&t, "Ordered").await;
        operator.stop();
        let stuck = run(&t, &["down", "shop", "--timeout", "2s"]).await;
        assert_eq!(stuck.code, Some(124), "{stuck:?}");
        operator.start_again();
        assert_eq!(run(&t, &["down", "shop"]).await.code, Some(0), "one goes on with it");
    });
}
