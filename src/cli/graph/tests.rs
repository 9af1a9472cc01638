use std::path::Path;

use clap::Parser;

use super::*;
use crate::api::AppStack;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    graph: GraphArgs,
}

/// What the command says of a sample, on so many columns.
fn said(sample: &str, more: &[&str], columns: usize) -> Result<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/samples").join(sample);
    let args = ["appstack", file.to_str().unwrap()].into_iter().chain(more.iter().copied());
    let args = Command::try_parse_from(args).map_err(|error| error.to_string())?.graph;
    let written = load_stack(&args.file, PodSecurity::Privileged).unwrap();
    shown(&check(&written, PodSecurity::Privileged).unwrap(), &args, columns)
}

#[test]
fn a_graph_shows_levels_networks_and_volumes() {
    let expected = "\
finity: 4 services in 4 levels; a level starts when what it waits for holds

LEVEL   SERVICE               KIND         WAITS-FOR
1       finity-db             Deployment
2       finity-backend        Deployment   finity-db (Healthy)
3       finity-backend-node   Deployment   finity-backend (Healthy), finity-db (Healthy)
4       finity-frontend       Deployment   finity-backend (Healthy), finity-backend-node (Healthy)

NETWORK          MEMBERS
finity-network   finity-backend, finity-backend-node, finity-db, finity-frontend

VOLUME                 USERS
backend-node-modules   finity-backend-node
postgres-data          finity-db
";
    assert_eq!(said("finity.yaml", &[], 120).unwrap(), expected);
}

#[test]
fn a_graph_shows_the_stacks_that_are_waited_for() {
    let stack: AppStack = serde_json::from_value(serde_json::json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"},
        "spec": {"dependsOn": {"infra": {}, "base": {}}, "services": {"db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {}}}}}}))
    .unwrap();
    let stack = check(&stack, PodSecurity::Baseline).unwrap();
    let table = dependencies::table(&stack, 120);
    assert!(
        table.contains("the first level starts when these stacks of its namespace are Ready: base, infra\n"),
        "{table}"
    );
    let graph: serde_json::Value = serde_json::from_str(&dependencies::json(&stack)).unwrap();
    assert_eq!(graph["waitsForStacks"], serde_json::json!(["base", "infra"]));
    let mermaid = dependencies::mermaid(&stack);
    assert!(
        mermaid.contains("k1[[\"stack infra\"]]\n  k1 -->|Ready| s0\n") && !mermaid.contains("Ready| s1"),
        "{mermaid}"
    );
    let dot = dependencies::dot(&stack);
    assert!(
        dot.contains("\"stack/infra\" -> \"db\" [label=\"Ready\"];") && !dot.contains("-> \"web\" [label=\"Ready\"]"),
        "{dot}"
    );
}

#[test]
fn a_long_list_is_broken_between_its_items() {
    let text = said("soundforge.yaml", &[], 100).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(
        text.contains(
            "download (Healthy),\n                                        processing (Healthy), spotify (Healthy)"
        ),
        "{text}"
    );
}

#[test]
fn the_matrix_shows_who_can_talk_to_whom() {
    let expected = "\
finity: who can talk to whom

FROM                           1  2  3  4  INTERNET  DNS
1 finity-backend               *  *  *  *         *    *
2 finity-backend-node          *  *  *  *         *    *
3 finity-db                    *  *  *  *         *    *
4 finity-frontend              *  *  *  *         *    *
  other pods of the namespace  o  o  o  o
  pods of other namespaces     o  o  o  o
  outside the cluster          o  o  o  o

*  on every port    o  on the ports listed below    -  not at all

SERVICE               PORT       OPEN-TO    WHY
finity-backend        8000/TCP   everyone   published as 8000
finity-backend-node   3001/TCP   everyone   published as 3001
finity-db             5432/TCP   everyone   published as 5432
finity-frontend       3000/TCP   everyone   published as 3000
";
    assert_eq!(said("finity.yaml", &["--reachability"], 120).unwrap(), expected);
}

#[test]
fn a_matrix_of_many_services_fits_the_terminal() {
    for columns in [120, 80] {
        let text = said("soundforge.yaml", &["--reachability"], columns).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
        let blocks = text.lines().filter(|line| line.starts_with("FROM")).count();
        assert_eq!(blocks, if columns == 120 { 1 } else { 2 });
    }
}

#[test]
fn why_names_the_reason_on_each_port() {
    let expected = "\
PORT        ALLOWED   WHY
8080/TCP    no        internal networks only: postgres has no way out but to their members
any other   no        internal networks only: postgres has no way out but to their members
";
    assert_eq!(said("soundforge.yaml", &["--why", "postgres", "frontend"], 120).unwrap(), expected);
    let expected = "\
PORT        ALLOWED   WHY
8080/TCP    yes       published as 8080
any other   no        the port is not published
";
    assert_eq!(said("soundforge.yaml", &["--why", "outside", "frontend"], 120).unwrap(), expected);
    let wrong = said("finity.yaml", &["--why", "nobody", "finity-db"], 120).unwrap_err();
    assert!(wrong.starts_with("'nobody' is nobody here; there are service/finity-backend, "), "{wrong}");
    let wrong = said("finity.yaml", &["--why", "outside", "internet"], 120).unwrap_err();
    assert_eq!(wrong, "what outside does with internet is not the stack's to decide");
}

#[test]
fn json_has_every_answer_with_a_reason_that_stays() {
    let text = said("finity.yaml", &["--why", "outside", "service/finity-db", "-o", "json"], 120).unwrap();
    let expected = r#"{
  "answers": [
    {
      "allowed": true,
      "from": "outside",
      "port": "5432/TCP",
      "reason": "Published",
      "to": "service/finity-db",
      "why": "published as 5432"
    },
    {
      "allowed": false,
      "from": "outside",
      "port": "other",
      "reason": "NotPublished",
      "to": "service/finity-db",
      "why": "the port is not published"
    }
  ],
  "stack": "finity"
}
"#;
    assert_eq!(text, expected);
    let all: serde_json::Value =
        serde_json::from_str(&said("finity.yaml", &["--reachability", "-o", "json"], 120).unwrap()).unwrap();
    // 4 services and 3 strangers, to 4 services with 2 answers each; 4 services to the internet and to DNS.
    assert_eq!(all["answers"].as_array().unwrap().len(), 7 * 8 + 4 * 2);
}

#[test]
fn pictures_have_arrows_in_the_order_of_the_rollout() {
    let mermaid = said("finity.yaml", &["-o", "mermaid"], 120).unwrap();
    assert!(mermaid.starts_with("flowchart LR\n  s0[\"finity-backend\"]\n"), "{mermaid}");
    assert!(mermaid.contains("  s2 -->|Healthy| s0\n") && mermaid.contains("  v1[(\"postgres-data\")]\n  v1 --- s2\n"));
    let dot = said("finity.yaml", &["-o", "dot"], 120).unwrap();
    assert!(dot.contains("  \"finity-db\" -> \"finity-backend\" [label=\"Healthy\"];\n"), "{dot}");
    let wrong = said("finity.yaml", &["--reachability", "-o", "dot"], 120).unwrap_err();
    assert_eq!(wrong, "reachability is shown as table or json");
}

#[test]
fn a_graph_as_json_says_what_the_table_says() {
    let graph: serde_json::Value = serde_json::from_str(&said("finity.yaml", &["-o", "json"], 120).unwrap()).unwrap();
    let expected = serde_json::json!({
        "name": "finity-backend", "level": 2, "kind": "Deployment",
        "waitsFor": [{"service": "finity-db", "condition": "Healthy", "required": true}],
        "networks": ["finity-network"], "volumes": [],
    });
    assert_eq!(graph["services"][1], expected);
    assert_eq!(graph["volumes"][1], serde_json::json!({"name": "postgres-data", "users": ["finity-db"]}));
    assert_eq!(graph["networks"][0]["internal"], false);
}
