//! The values of the chart: what each of them does, and what is refused.

use std::collections::BTreeSet;

use e2e::cluster::root;
use e2e::helm::{chart, template, values};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rendered::is_test;

const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

/// A line of `values.yaml` beside this file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Does {
    values: Value,
    /// The kind; none: the Deployment.
    of: Option<String>,
    at: String,
    is: Value,
}

fn find<'a>(objects: &'a [Value], kind: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind && !is_test(object))
}

#[test]
fn each_value_does_what_it_says() {
    let table = std::fs::read_to_string(root().join("e2e/tests/chart/values.yaml")).unwrap();
    let table = table.replace("DIGEST", &"a".repeat(64));
    let table: Vec<Does> = serde_saphyr::from_str(table.split_once('\n').unwrap().1).unwrap();
    for (n, Does { values: given, of, at, is }) in table.into_iter().enumerate() {
        let file = values(&format!("does-{n}"), &given.to_string());
        let objects =
            template(&chart(), &["--values", file.to_str().unwrap()]).unwrap_or_else(|e| panic!("{given}: {e}"));
        let kind = of.as_deref().unwrap_or("Deployment");
        let place = at.replace("CONTAINER", CONTAINER).replace("POD", POD);
        let found = objects.iter().filter(|o| o["kind"] == kind && !is_test(o)).any(|o| o.pointer(&place) == Some(&is));
        assert!(found, "{given}: no {kind} has {is} at {place}: {:#}", json!(find(&objects, kind)));
    }
}

#[test]
fn what_is_switched_off_is_not_there() {
    for (text, kind) in [
        ("crds: {enabled: false}", "CustomResourceDefinition"),
        ("serviceAccount: {create: false}", "ServiceAccount"),
        ("rbac: {create: false}", "ClusterRoleBinding"),
        ("rbac: {create: false}", "Role"),
        ("watchNamespace: shop", "ClusterRole"),
        ("{rbac: {create: false, aggregate: false}}", "ClusterRole"),
        ("metrics: {enabled: false}", "Service"),
        ("networkPolicy: {enabled: false}", "NetworkPolicy"),
        ("replicaCount: 1", "PodDisruptionBudget"),
        ("{replicaCount: 2, podDisruptionBudget: {enabled: false}}", "PodDisruptionBudget"),
        ("{}", "ServiceMonitor"),
        ("{}", "PodMonitor"),
        ("{}", "PrometheusRule"),
        ("{}", "ConfigMap"),
    ] {
        let file = values(&format!("off-{kind}-{}", text.len()), text);
        let objects = template(&chart(), &["--values", file.to_str().unwrap()]).unwrap();
        assert!(find(&objects, kind).is_none(), "{text}: {kind}");
        assert!(find(&objects, "Deployment").is_some(), "{text}");
    }
    let file = values("off-keep", "crds: {keep: false}");
    let objects = template(&chart(), &["--values", file.to_str().unwrap()]).unwrap();
    let marks = &find(&objects, "CustomResourceDefinition").unwrap()["metadata"]["annotations"];
    assert!(marks.get("helm.sh/resource-policy").is_none(), "{marks}");
}

#[test]
fn bad_values_are_refused_by_name() {
    for (n, (text, place)) in [
        ("replicas: 2", "replicas"),
        ("replicaCount: '2'", "replicaCount"),
        ("replicaCount: -1", "replicaCount"),
        ("image: {digest: abc}", "image/digest"),
        ("image: {tagg: x}", "tagg"),
        ("image: {pullPolicy: Sometimes}", "pullPolicy"),
        ("image: ghcr.io/x/y:1", "image"),
        ("watchNamespace: [shop]", "watchNamespace"),
        ("watchNamespace: Shop_1", "watchNamespace"),
        ("leaderElection: {term: 1}", "leaderElection/term"),
        ("selector: 'a;b'", "selector"),
        ("selector: [shard]", "selector"),
        ("operator: {applyAs: always}", "applyAs"),
        ("operator: {applyAs: yes}", "applyAs"),
        ("operator: {maxPodSecurity: baseline}", "maxPodSecurity"),
        ("operator: {conflictRetry: soon}", "conflictRetry"),
        ("operator: {dns: {ports: [0]}}", "dns/ports"),
        ("operator: {dns: {cidrs: [10.0.0.1]}}", "dns/cidrs"),
        ("log: {level: loud}", "log/level"),
        ("extraArgs: --x", "extraArgs"),
        ("podLabels: {app.kubernetes.io/name: mine}", "podLabels"),
        ("commonLabels: {helm.sh/chart: mine}", "commonLabels"),
        ("metrics: {serviceMonitor: {enabled: 'yes'}}", "serviceMonitor/enabled"),
        ("metrics: {enabled: false, serviceMonitor: {enabled: true}}", "metrics.enabled"),
        ("metrics: {prometheusRule: {enabled: true, disabled: [AppStackNoLeaders]}}", "no alert AppStackNoLeaders"),
        ("metrics: {dashboard: {label: ''}}", "dashboard/label"),
        ("networkPolicy: {apiServerPorts: []}", "apiServerPorts"),
        ("crds: {install: true}", "install"),
        ("resources: big", "resources"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = values(&format!("bad-{n}"), text);
        let said = template(&chart(), &["--values", file.to_str().unwrap()]).expect_err(text);
        assert!(said.contains(place), "{text}: {place} is not in {said}");
    }
}

/// The names of all values, with a `.` between.
fn leaves(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value.as_object().filter(|map| !map.is_empty()) {
        Some(map) if !["resources", "podSecurityContext", "securityContext"].contains(&at) => {
            for (key, value) in map {
                leaves(value, &if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, found);
            }
        }
        _ => {
            found.insert(at.to_owned());
        }
    }
}

/// The same of the schema; what has no properties of its own is one value.
fn of_schema(schema: &Value, whole: &Value, at: &str, found: &mut BTreeSet<String>) {
    let named = schema["$ref"].as_str().map(|name| &whole["definitions"][name.rsplit('/').next().unwrap()]);
    let schema = named.unwrap_or(schema);
    let fields = schema["properties"].as_object();
    match fields.filter(|fields| fields.values().any(|field| *field != false)) {
        Some(fields) => {
            assert_eq!(schema["additionalProperties"], false, "{at} takes what nobody knows");
            for (key, field) in fields {
                of_schema(field, whole, &if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, found);
            }
        }
        None => {
            found.insert(at.to_owned());
        }
    }
}

#[test]
fn every_value_is_in_the_schema_and_in_the_readme() {
    let text = |file: &str| std::fs::read_to_string(chart().join(file)).unwrap();
    let written: Value = serde_saphyr::from_str(&text("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&text("values.schema.json")).unwrap();
    let (mut ours, mut known) = (BTreeSet::new(), BTreeSet::new());
    leaves(&written, "", &mut ours);
    of_schema(&schema, &schema, "", &mut known);
    known.remove("global"); // of the chart that this one is part of
    assert_eq!(ours, known);
    let readme = text("README.md");
    let unsaid: Vec<&String> = ours.iter().filter(|name| !readme.contains(&format!("`{name}`"))).collect();
    assert!(unsaid.is_empty(), "not in README.md: {unsaid:?}");
}
