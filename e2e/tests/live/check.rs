//! `appstack check`: what it says of a cluster, to one who may do everything and to one who may do nothing.

use std::process::Command;

use e2e::cluster::Cluster;
use e2e::grant::account;
use e2e::{Live, cluster, eventually, live};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::commands::{Said, run};
use crate::stacks::SOON;

/// State and words of a line.
fn row(said: &Said, name: &str) -> (String, String) {
    let all: Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"));
    let rows = all["checks"].as_array().expect("lines").clone();
    let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {all:#}"));
    let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
    (text("state"), format!("{} {}", text("says"), text("fix")))
}

async fn operator_is(t: &Live, state: &str) -> Said {
    eventually(SOON, &format!("the operator to be {state}"), async || {
        let said = run(t, &["check", "-o", "json"]).await;
        if row(&said, "operator").0 == state { Ok(said) } else { Err(format!("{said:?}")) }
    })
    .await
}

#[test]
fn a_cluster_that_has_all_passes_and_what_is_missing_is_named_with_its_remedy() {
    live("check", async |t| {
        let operator = t.space.operator().start();
        let said = operator_is(&t, "good").await;
        assert_eq!(said.code, Some(0), "{said:?}");
        for name in ["definition", "your rights", "pod security"] {
            assert_eq!(row(&said, name).0, "good", "{name}: {said:?}");
        }
        assert_eq!(row(&said, "Gateway API").0, "good", "{said:?}");
        for name in ["storage", "load balancer", "metrics"] {
            assert_ne!(row(&said, name).0, "missing", "some stacks need it: {said:?}");
        }
        let table = run(&t, &["check"]).await;
        println!("{}", table.out);
        assert!(table.code == Some(0) && table.out.lines().count() == 8 && table.err.is_empty(), "{table:?}");

        // One who may not see anything is told so, and what to ask for.
        let file = e2e::operator::folder(&t.space.test).join("nobody");
        account(Cluster::get(), &t.space.client, (&t.space.name, "nobody"), &file).await;
        let nobody = Command::new(cluster::appstack())
            .args(["check", "-o", "json", "-n", &t.space.name])
            .env("KUBECONFIG", &file)
            .output()
            .expect("it");
        let nobody = Said::of(&nobody);
        assert_eq!(nobody.code, Some(1), "{nobody:?}");
        let (state, words) = row(&nobody, "your rights");
        assert!(
            state == "missing" && words.contains("get appstacks") && words.contains("create rolebinding"),
            "{words}"
        );
        assert_eq!(row(&nobody, "storage").0, "unknown", "{nobody:?}");

        let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        let namespaces: Api<Namespace> = Api::all(t.space.client.clone());
        namespaces.patch(&t.space.name, &PatchParams::default(), &Patch::Merge(&label)).await.expect("a label");
        let said = run(&t, &["check", "-o", "json"]).await;
        assert!(row(&said, "pod security").1.contains("level restricted"), "{said:?}");
        drop(operator);
        let said = operator_is(&t, "missing").await;
        assert!(said.code == Some(1) && row(&said, "operator").1.contains("appstack run"), "{said:?}");
    });
}
