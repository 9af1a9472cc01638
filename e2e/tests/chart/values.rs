//! The values of the chart: what each of them does, and what is refused.

use std::collections::BTreeSet;

use e2e::helm::{chart, template, values};
use serde_json::{Value, json};

const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

fn find<'a>(objects: &'a [Value], kind: &str) -> Option<&'a Value> {
    let not_a_test = |o: &&Value| o["metadata"]["annotations"].get("helm.sh/hook").is_none();
    objects.iter().filter(not_a_test).find(|object| object["kind"] == kind)
}

/// Values, then a kind, a place in it, and what must be there.
#[allow(clippy::type_complexity)] // a table
fn table() -> Vec<(&'static str, &'static str, String, Value)> {
    let pod = |rest: &str| format!("{POD}{rest}");
    let container = |rest: &str| format!("{CONTAINER}{rest}");
    let d = "Deployment";
    let digest = format!("sha256:{}", "a".repeat(64));
    vec![
        ("image: {registry: '', repository: local/op, tag: dev}", d, container("/image"), json!("local/op:dev")),
        (
            "image: {digest: 'sha256:DIGEST', tag: dev}",
            d,
            container("/image"),
            json!(format!("ghcr.io/appstack-dev/appstack@{digest}")),
        ),
        ("image: {pullPolicy: Always}", d, container("/imagePullPolicy"), json!("Always")),
        ("imagePullSecrets: [{name: regcred}]", d, pod("/imagePullSecrets"), json!([{"name": "regcred"}])),
        ("replicaCount: 2", d, "/spec/replicas".into(), json!(2)),
        ("replicaCount: 2", "PodDisruptionBudget", "/spec/maxUnavailable".into(), json!(1)),
        (
            "{replicaCount: 3, podDisruptionBudget: {maxUnavailable: 34%}}",
            "PodDisruptionBudget",
            "/spec/maxUnavailable".into(),
            json!("34%"),
        ),
        (
            "replicaCount: 2",
            d,
            pod(
                "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm/topologyKey",
            ),
            json!("kubernetes.io/hostname"),
        ),
        ("watchNamespace: shop", d, container("/args/3"), json!("--watch-namespace=shop")),
        ("watchNamespace: shop", "Role", "/metadata/namespace".into(), json!("shop")),
        ("watchNamespace: shop", "RoleBinding", "/subjects/0/namespace".into(), json!("appstack-system")),
        ("leaderElection: {namespace: leases}", d, container("/args/2"), json!("--lease-namespace=leases")),
        ("leaderElection: {namespace: leases}", "Role", "/metadata/namespace".into(), json!("leases")),
        ("leaderElection: {term: 30}", d, container("/args/3"), json!("--lease-term=30")),
        ("operator: {maxPodSecurity: Restricted}", d, container("/args/3"), json!("--max-pod-security=Restricted")),
        ("operator: {conflictRetry: 1m}", d, container("/args/3"), json!("--conflict-retry=1m")),
        ("operator: {refusalRetry: 1m}", d, container("/args/3"), json!("--refusal-retry=1m")),
        (
            "operator: {dns: {selector: {app: dns, tier: top}}}",
            d,
            container("/args/4"),
            json!("--dns-selector=tier=top"),
        ),
        ("operator: {dns: {ports: [53, 5353]}}", d, container("/args/3"), json!("--dns-port=53,5353")),
        (
            "operator: {dns: {cidrs: [10.0.0.10/32, 'fd00::a/128']}}",
            d,
            container("/args/3"),
            json!("--dns-cidr=10.0.0.10/32,fd00::a/128"),
        ),
        ("log: {format: text}", d, container("/args/3"), json!("--log-format=text")),
        (
            "log: {level: debug}",
            d,
            container("/env/2"),
            json!({"name": "RUST_LOG", "value": "info,kube_runtime=error,appstack=debug"}),
        ),
        ("extraArgs: [--identity=me]", d, container("/args/3"), json!("--identity=me")),
        ("extraEnv: [{name: HTTPS_PROXY, value: 'http://proxy'}]", d, container("/env/2/name"), json!("HTTPS_PROXY")),
        (
            "{extraVolumes: [{name: ca, emptyDir: {}}], extraVolumeMounts: [{name: ca, mountPath: /ca}]}",
            d,
            container("/volumeMounts/0/mountPath"),
            json!("/ca"),
        ),
        ("{extraVolumes: [{name: ca, emptyDir: {}}]}", d, pod("/volumes/0/name"), json!("ca")),
        (
            "serviceAccount: {name: op, annotations: {a: b}}",
            "ServiceAccount",
            "/metadata/annotations/a".into(),
            json!("b"),
        ),
        ("serviceAccount: {name: op}", d, pod("/serviceAccountName"), json!("op")),
        ("serviceAccount: {name: op}", "ClusterRoleBinding", "/subjects/0/name".into(), json!("op")),
        ("serviceAccount: {create: false}", d, pod("/serviceAccountName"), json!("default")),
        ("resources: {limits: {memory: 1Gi}}", d, container("/resources/limits/memory"), json!("1Gi")),
        ("nodeSelector: {disk: ssd}", d, pod("/nodeSelector/disk"), json!("ssd")),
        ("tolerations: [{operator: Exists}]", d, pod("/tolerations/0/operator"), json!("Exists")),
        ("{replicaCount: 2, affinity: {nodeAffinity: {}}}", d, pod("/affinity"), json!({"nodeAffinity": {}})),
        (
            "topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]",
            d,
            pod("/topologySpreadConstraints/0/topologyKey"),
            json!("zone"),
        ),
        ("priorityClassName: system-cluster-critical", d, pod("/priorityClassName"), json!("system-cluster-critical")),
        ("podAnnotations: {a: b}", d, "/spec/template/metadata/annotations/a".into(), json!("b")),
        ("{podLabels: {a: b}, commonLabels: {a: c, d: e}}", d, "/spec/template/metadata/labels/a".into(), json!("b")),
        ("commonLabels: {team: x}", "CustomResourceDefinition", "/metadata/labels/team".into(), json!("x")),
        ("deploymentAnnotations: {a: b}", d, "/metadata/annotations/a".into(), json!("b")),
        ("podSecurityContext: {runAsUser: 1000}", d, pod("/securityContext/runAsUser"), json!(1000)),
        ("securityContext: {privileged: false}", d, container("/securityContext/privileged"), json!(false)),
        (
            "crds: {keep: true}",
            "CustomResourceDefinition",
            "/metadata/annotations/helm.sh~1resource-policy".into(),
            json!("keep"),
        ),
        (
            "metrics: {service: {port: 9090, annotations: {a: b}, labels: {c: d}}}",
            "Service",
            "/spec/ports/0/port".into(),
            json!(9090),
        ),
        ("metrics: {service: {labels: {c: d}}}", "Service", "/metadata/labels/c".into(), json!("d")),
        (
            "metrics: {serviceMonitor: {enabled: true, interval: 30s, labels: {release: prom}}}",
            "ServiceMonitor",
            "/spec/endpoints/0/interval".into(),
            json!("30s"),
        ),
        (
            "metrics: {serviceMonitor: {enabled: true, labels: {release: prom}}}",
            "ServiceMonitor",
            "/metadata/labels/release".into(),
            json!("prom"),
        ),
        (
            "metrics: {enabled: false, podMonitor: {enabled: true, relabelings: [{action: labeldrop, regex: pod}]}}",
            "PodMonitor",
            "/spec/podMetricsEndpoints/0/relabelings/0/regex".into(),
            json!("pod"),
        ),
        (
            "networkPolicy: {metricsFrom: [{podSelector: {}}]}",
            "NetworkPolicy",
            "/spec/ingress/0/from".into(),
            json!([{"podSelector": {}}]),
        ),
        (
            "networkPolicy: {apiServerPorts: [8443]}",
            "NetworkPolicy",
            "/spec/egress/0/ports".into(),
            json!([{"protocol": "TCP", "port": 8443}]),
        ),
        (
            "networkPolicy: {extraEgress: [{ports: [{port: 3128}]}]}",
            "NetworkPolicy",
            "/spec/egress/2/ports/0/port".into(),
            json!(3128),
        ),
        ("nameOverride: op", d, "/metadata/name".into(), json!("appstack-op")),
        ("fullnameOverride: op", "NetworkPolicy", "/metadata/name".into(), json!("op")),
        ("global: {anything: goes}", d, "/metadata/name".into(), json!("appstack")),
    ]
}

#[test]
fn each_value_does_what_it_says() {
    for (n, (text, kind, place, wanted)) in table().into_iter().enumerate() {
        let text = text.replace("DIGEST", &"a".repeat(64));
        let file = values(&format!("does-{n}"), &text);
        let objects =
            template(&chart(), &["--values", file.to_str().unwrap()]).unwrap_or_else(|e| panic!("{text}: {e}"));
        let object = find(&objects, kind).unwrap_or_else(|| panic!("{text}: no {kind}"));
        assert_eq!(object.pointer(&place), Some(&wanted), "{text}: {kind} {place} in {object:#}");
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
    match schema["properties"].as_object() {
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
