//! What the chart becomes, against what `appstack manifests` prints.

use std::collections::BTreeMap;
use std::process::Command;

use e2e::cluster::{appstack, root};
use e2e::helm::{chart, helm, template, values};
use e2e::json;
use e2e::space::documents;
use serde_json::{Value, json};

/// What helm adds, and tools that look for it: the stated differences from the manifests, with the namespace itself.
const OF_HELM: [&str; 3] = ["app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"];

type Place = (String, String, String);

fn by_place(objects: Vec<Value>) -> BTreeMap<Place, Value> {
    let installs = objects.into_iter().filter(|object| object["kind"] != "Namespace" && !is_test(object));
    let placed = installs.map(|object| {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        ((json::text(&object, "/kind").to_owned(), namespace, json::name(&object).to_owned()), object)
    });
    placed.collect()
}

pub fn is_test(object: &Value) -> bool {
    object["metadata"]["annotations"].get("helm.sh/hook").is_some()
}

/// Takes away what is of helm, wherever there are labels or annotations.
fn without_helm(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in OF_HELM.iter().chain(&["helm.sh/resource-policy"]) {
                map.remove(*key);
            }
            map.values_mut().for_each(without_helm);
        }
        Value::Array(items) => items.iter_mut().for_each(without_helm),
        _ => {}
    }
}

/// Without empty labels, and with 500.0 as 500.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("labels").is_some_and(|labels| labels.as_object().is_some_and(serde_json::Map::is_empty)) {
                map.remove("labels");
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            if let Some(float) = number.as_f64() {
                *value = json!(float);
            }
        }
        _ => {}
    }
}

fn assert_same(rendered: Vec<Value>, file: &str) {
    let text = std::fs::read_to_string(root().join("manifests").join(file)).unwrap();
    assert_is(rendered, documents(&text), file);
}

/// Whether these are the same objects, but for what helm adds.
fn assert_is(rendered: Vec<Value>, shipped: Vec<Value>, file: &str) {
    let shipped = by_place(shipped);
    let mut ours = by_place(rendered);
    assert_eq!(ours.keys().collect::<Vec<_>>(), shipped.keys().collect::<Vec<_>>(), "other objects than {file}");
    for (place, mut shipped) in shipped {
        let ours = ours.get_mut(&place).unwrap();
        without_helm(ours);
        // The definition has no labels in the manifests.
        if place.0 == "CustomResourceDefinition" {
            ours["metadata"].as_object_mut().unwrap().remove("labels");
        }
        tidy(ours);
        tidy(&mut shipped);
        assert!(*ours == shipped, "{place:?} is not what {file} holds:\n{}", first_difference(ours, &shipped, ""));
    }
}

fn first_difference(ours: &Value, theirs: &Value, at: &str) -> String {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys());
            let mut found = keys.filter(|key| a.get(*key) != b.get(*key)).map(|key| {
                first_difference(
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    &format!("{at}/{key}"),
                )
            });
            found.next().unwrap_or_default()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut found = a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b);
            found.next().map_or_else(String::new, |(n, (a, b))| first_difference(a, b, &format!("{at}/{n}")))
        }
        _ => format!("{at}: chart {ours}, manifests {theirs}"),
    }
}

#[test]
fn the_chart_passes_strict_lint() {
    let said = helm(None, &["lint", "--strict", chart().to_str().unwrap()]);
    assert!(
        said.status.success(),
        "{}{}",
        String::from_utf8_lossy(&said.stdout),
        String::from_utf8_lossy(&said.stderr)
    );
}

#[test]
fn with_its_defaults_it_is_the_install_manifest() {
    assert_same(template(&chart(), &[]).unwrap(), "install.yaml");
}

#[test]
fn for_one_namespace_it_is_the_namespaced_manifest() {
    let one = ["--namespace", "appstack", "--set", "watchNamespace=appstack"];
    assert_same(template(&chart(), &one).unwrap(), "install-namespaced.yaml");
}

#[test]
fn for_a_shard_it_is_what_the_command_prints() {
    let says = ["--name", "shard-a", "--selector", "shard in (a, b)", "--apply-as", "required"];
    let printed = Command::new(appstack()).arg("manifests").args(says).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    // Without an override it would be shard-a-appstack.
    let file =
        values("shard", "{selector: 'shard in (a, b)', operator: {applyAs: required}, fullnameOverride: shard-a}");
    let (chart, file) = (chart(), file.to_str().unwrap());
    let args = ["template", "shard-a", chart.to_str().unwrap(), "--namespace", "appstack-system", "--values", file];
    let said = helm(None, &args);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let objects = documents(&String::from_utf8_lossy(&said.stdout));
    assert_is(objects, documents(&String::from_utf8_lossy(&printed.stdout)), "`appstack manifests` prints");
}

#[test]
fn releases_side_by_side_share_nothing() {
    let release = |name: &str, namespace: &str, sets: &str| {
        let chart = chart();
        let args = ["template", name, chart.to_str().unwrap(), "--namespace", namespace, "--set", sets];
        let said = helm(None, &args);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        documents(&String::from_utf8_lossy(&said.stdout))
    };
    let more = "metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true,metrics.podMonitor.enabled=true,replicaCount=2";
    let all = [
        release("appstack", "appstack-system", &format!("selector=shard!=a,{more}")),
        release("appstack-a", "appstack-system", &format!("selector=shard=a,crds.enabled=false,{more}")),
        release("b", "appstack-system", &format!("selector=shard=b,crds.enabled=false,{more}")),
        // One for each namespace may have the same name.
        release("appstack", "shop", &format!("watchNamespace=shop,crds.enabled=false,{more}")),
    ];
    let mut places = BTreeMap::new();
    for (n, object) in all.iter().enumerate().flat_map(|(n, objects)| objects.iter().map(move |object| (n, object))) {
        let place = format!("{} {} {}", object["kind"], object["metadata"]["namespace"], object["metadata"]["name"]);
        assert_eq!(places.insert(place.clone(), n), None, "{place} is of two releases");
    }
    let pods = |objects: &[Value]| {
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        (
            deployment["spec"]["selector"]["matchLabels"].clone(),
            deployment["spec"]["template"]["metadata"]["labels"].clone(),
        )
    };
    for (n, one) in all.iter().take(3).enumerate() {
        for other in all.iter().take(3).skip(n + 1) {
            let ((selects, _), (_, labels)) = (pods(one), pods(other));
            let finds = json::entries(&selects, "").all(|(key, value)| labels[key] == *value);
            assert!(!finds, "{selects} finds the pods of another release: {labels}");
        }
    }
}

// `helm test` waits for a stack, which has to be one that this release looks after.
#[test]
fn the_stack_of_the_test_is_one_that_the_release_looks_after() {
    for (selector, labels) in [
        ("shard=a", json!({"shard": "a"})),
        ("shard==a,tier = web", json!({"shard": "a", "tier": "web"})),
        ("x.io/shard in (a, b), !old", json!({"x.io/shard": "a"})),
        ("sharded", json!({"sharded": "true"})),
        ("shard!=a,tier notin (x, y)", json!({})),
        ("!shard", json!({})),
        ("", json!({})),
    ] {
        let file = values("selected", &json!({"selector": selector}).to_string());
        let objects = template(&chart(), &["--values", file.to_str().unwrap()]).unwrap();
        let mut stack = objects.into_iter().find(|object| object["kind"] == "AppStack").unwrap();
        without_helm(&mut stack);
        assert_eq!(stack["metadata"]["labels"], labels, "{selector}");
    }
}

// S1: "Operator rules: wildcards / secrets verbs / escalate, bind, impersonate / exec / nodes / RBAC kinds", "parse rendered chart in all value combinations"
#[test]
fn no_combination_of_values_gives_a_right_that_is_too_much() {
    let forbidden_verbs = ["*", "escalate", "bind"];
    let forbidden =
        ["*", "secrets", "pods/exec", "nodes", "roles", "rolebindings", "clusterroles", "clusterrolebindings"];
    let (mut rules, mut acting) = (0, 0);
    for apply_as in ["", "off", "allowed", "required"] {
        for watched in ["", "appstack-system", "shop"] {
            for aggregate in [true, false] {
                for account in [true, false] {
                    for create in [true, false] {
                        let sets = [
                            format!("operator.applyAs={apply_as}"),
                            format!("watchNamespace={watched}"),
                            format!("rbac.aggregate={aggregate}"),
                            format!("rbac.create={create}"),
                            format!("serviceAccount.create={account}"),
                        ];
                        let objects = template(&chart(), &["--set", &sets.join(",")]).unwrap();
                        let granting = objects.iter().filter(|o| json::text(o, "/kind").ends_with("Role"));
                        for role in granting {
                            assert!(watched.is_empty() || role["kind"] == "Role", "{watched}: a {}", role["kind"]);
                            for rule in json::items(role, "/rules") {
                                rules += 1;
                                let has = |key: &str, word: &str| json::items(rule, key).any(|value| value == word);
                                assert!(forbidden_verbs.iter().all(|word| !has("/verbs", word)), "{rule}");
                                assert!(forbidden.iter().all(|word| !has("/resources", word)), "{rule}");
                                assert!(!has("/apiGroups", "*"), "{rule}");
                                if has("/verbs", "impersonate") {
                                    let expected = json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]});
                                    assert_eq!(*rule, expected);
                                    assert!(["allowed", "required"].contains(&apply_as), "nobody has asked for {rule}");
                                    acting += 1;
                                }
                            }
                        }
                        let of_roles = objects.iter().filter(|o| json::text(o, "/kind").contains("Role")).count();
                        assert_eq!(of_roles == 0, !create && (!aggregate || !watched.is_empty()), "{sets:?}");
                    }
                }
            }
        }
    }
    assert!(rules > 400, "rules are looked at: {rules}");
    assert_eq!(acting, 2 * 3 * 2 * 2, "one for each that was asked for, with its roles");
}

#[test]
fn its_notes_say_to_apply_server_side_and_warn_of_a_definition_that_is_not_kept() {
    let chart = chart();
    let notes = |set: &str| {
        let args = [
            "install",
            "appstack",
            chart.to_str().unwrap(),
            "--dry-run=client",
            "--namespace",
            "appstack-system",
            "--set",
            set,
        ];
        let said = helm(None, &args);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        text.split_once("NOTES:").expect("notes").1.to_owned()
    };
    let usual = notes("crds.keep=true");
    assert!(usual.contains("kubectl apply --server-side") && !usual.contains("WARNING"), "{usual}");
    assert!(usual.contains("looks after all namespaces"), "{usual}");
    assert!(notes("watchNamespace=shop").contains("looks after namespace shop"));
    let shard = notes("selector=shard=a");
    assert!(shard.contains("looks after stacks with the labels shard=a of all namespaces"), "{shard}");
    assert!(shard.contains("Nobody looks after other stacks") && !usual.contains("Nobody"), "{shard}");
    assert!(notes("operator.applyAs=allowed").contains("act as any service account of the cluster"));
    let acting = notes("operator.applyAs=required,watchNamespace=shop");
    assert!(acting.contains("act as the service accounts of namespace shop"), "{acting}");
    assert!(!usual.contains("service account") && !notes("operator.applyAs=off").contains("service account"));
    assert!(notes("crds.keep=false").contains("WARNING"));
    assert!(notes("crds.enabled=false").contains("appstack crd | kubectl apply --server-side -f -"));
}
