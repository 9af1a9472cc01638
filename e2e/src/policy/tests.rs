//! One table: what each field means. Who is asked about:
//! `a` (app=a, tier=front, 10.0.0.1), `b` (app=b, ports http 8080 TCP and dns 53 UDP, 10.0.0.2), `host` (app=a, on the node's network, 10.9.0.1), all
//! of namespace `here` (team=red); `far` (app=a, 10.1.0.1) of namespace `there` (team=blue); `web`, an address outside (192.0.2.7), and `six`
//! (2001:db8::7).

use serde_json::{Value, json};

use super::{Cluster, End, Pod, Side, Verdict};

fn pods() -> Vec<Pod> {
    let pod = |namespace: &str, name: &str, ip: &str, labels: Value, more: Value| {
        let mut object = json!({"metadata": {"labels": labels}, "status": {"podIP": ip}, "spec": more});
        object["spec"]["initContainers"] = json!([
            {"name": "once", "ports": [{"name": "late", "containerPort": 9001}]},
            {"name": "sidecar", "restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 9100}]},
        ]);
        Pod::of(namespace, name, &object)
    };
    let ports =
        json!([{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]);
    vec![
        pod("here", "a", "10.0.0.1", json!({"app": "a", "tier": "front"}), json!({})),
        pod("here", "b", "10.0.0.2", json!({"app": "b"}), json!({"containers": [{"ports": ports}]})),
        pod("here", "host", "10.9.0.1", json!({"app": "a"}), json!({"hostNetwork": true})),
        pod("there", "far", "10.1.0.1", json!({"app": "a"}), json!({})),
    ]
}

/// `from > to port/protocol` under policies with these specs, all of namespace `here`.
fn ask(specs: &Value, question: &str) -> Verdict {
    let policies = specs.as_array().unwrap().iter().enumerate().map(|(n, spec)| {
        let policy = json!({"metadata": {"name": format!("p{n}"), "namespace": "here"}, "spec": spec});
        serde_json::from_value(policy).unwrap()
    });
    let labelled = [("here", "red"), ("there", "blue")];
    let namespaces = labelled.map(|(name, team)| (name.to_owned(), [("team".to_owned(), team.to_owned())].into()));
    let cluster = Cluster { namespaces: namespaces.into(), pods: pods(), policies: policies.collect() };
    let end = |name: &str| match name {
        "web" => End::Outside("192.0.2.7".parse().unwrap()),
        "six" => End::Outside("2001:db8::7".parse().unwrap()),
        name => End::Pod(cluster.pods.iter().find(|pod| pod.name == name).unwrap()),
    };
    let (from, rest) = question.split_once(" > ").unwrap();
    let (to, port) = rest.split_once(' ').unwrap();
    let (number, protocol) = port.split_once('/').unwrap();
    cluster.verdict(end(from), end(to), number.parse().unwrap(), protocol)
}

/// Ingress to `b` by this rule.
fn to_b(rule: &Value) -> Value {
    json!([{"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"], "ingress": [rule]}])
}

/// Egress from `a` by this rule.
fn from_a(rule: &Value) -> Value {
    json!([{"podSelector": {"matchLabels": {"tier": "front"}}, "policyTypes": ["Egress"], "egress": [rule]}])
}

/// Ingress to `b` from whom this selects.
fn from_pods(selector: &Value) -> Value {
    to_b(&json!({"from": [{"podSelector": selector}]}))
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    let mut one = json!({"key": key, "operator": operator});
    if !values.is_empty() {
        one["values"] = json!(values);
    }
    from_pods(&json!({"matchExpressions": [one]}))
}

fn check(what: &str, policies: &Value, yes: &[&str], no: &[&str]) {
    for (questions, expected) in [(yes, true), (no, false)] {
        for question in questions {
            let verdict = ask(policies, question);
            assert_eq!(verdict.allowed, expected, "{what}: {question}: {verdict:?}");
        }
    }
}

#[test]
fn peers_mean_what_the_api_documents() {
    let (a, far, web, host) = ("a > b 80/TCP", "far > b 80/TCP", "web > b 80/TCP", "host > b 80/TCP");
    let all = [a, far, web, host, "six > b 80/TCP"];
    let blue = json!({"matchLabels": {"team": "blue"}});
    let named = json!({"matchLabels": {"kubernetes.io/metadata.name": "here"}});
    let app_a = json!({"matchLabels": {"app": "a"}});
    let block = |cidr: &str, except: Value| to_b(&json!({"from": [{"ipBlock": {"cidr": cidr, "except": except}}]}));

    check("no policy", &json!([]), &all, &[]);
    check("no rule", &json!([{"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"]}]), &[], &all);
    check("a rule that says nothing", &to_b(&json!({})), &all, &[]);
    check("empty lists", &to_b(&json!({"from": [], "ports": []})), &all, &[]);
    check("all pods of the own namespace", &from_pods(&json!({})), &[a], &[far, web, host]);
    check("labels", &from_pods(&app_a), &[a], &[far, web, host]);
    check("two labels", &from_pods(&json!({"matchLabels": {"app": "a", "tier": "back"}})), &[], &[a]);
    check("a label with an empty value", &from_pods(&json!({"matchLabels": {"none": ""}})), &[], &[a]);
    check("In", &expression("app", "In", &["x", "a"]), &[a], &[far]);
    check("In, absent", &expression("none", "In", &["x"]), &[], &[a]);
    check("NotIn", &expression("app", "NotIn", &["a"]), &[], &[a]);
    check("NotIn, absent", &expression("none", "NotIn", &["a"]), &[a], &[]);
    check("Exists", &expression("tier", "Exists", &[]), &[a], &[far]);
    check("DoesNotExist", &expression("tier", "DoesNotExist", &[]), &[], &[a]);
    check("all namespaces", &to_b(&json!({"from": [{"namespaceSelector": {}}]})), &[a, far], &[web, host]);
    check("a namespace", &to_b(&json!({"from": [{"namespaceSelector": blue}]})), &[far], &[a, web]);
    check("a namespace by name", &to_b(&json!({"from": [{"namespaceSelector": named}]})), &[a], &[far, web]);
    let both = json!({"from": [{"namespaceSelector": blue, "podSelector": app_a}]});
    check("both selectors of one peer", &to_b(&both), &[far], &[a]);
    let either = json!({"from": [{"namespaceSelector": blue}, {"podSelector": app_a}]});
    check("two peers", &to_b(&either), &[far, a], &[web]);
    check("a block", &block("192.0.2.0/24", json!([])), &[web], &[a, far, "six > b 80/TCP"]);
    check("a block with an exception", &block("192.0.0.0/8", json!(["192.0.2.0/29"])), &[], &[web]);
    check("beside the exception", &block("192.0.0.0/8", json!(["192.0.2.8/29"])), &[web], &[]);
    check("everywhere", &block("0.0.0.0/0", json!([])), &[a, far, web, host], &["six > b 80/TCP"]);
    check("one address", &block("192.0.2.7/32", json!([])), &[web], &[a]);
    check("written with host bits", &block("192.0.2.99/24", json!([])), &[web], &[a]);
    check("a block of version 6", &block("2001:db8::/32", json!([])), &["six > b 80/TCP"], &[web]);
    check("pods by their address", &block("10.0.0.0/16", json!([])), &[a], &[far, host]);
    check("who is on a node's network, by the node's address", &block("10.9.0.0/16", json!([])), &[host], &[a]);
}

#[test]
fn ports_mean_what_the_api_documents() {
    let on = |port: Value| to_b(&json!({"ports": [port]}));
    let out = |port: Value| from_a(&json!({"ports": [port]}));
    let (http, dns) = ("a > b 8080/TCP", "a > b 53/UDP");

    check("a number", &on(json!({"port": 8080})), &[http], &["a > b 8081/TCP", "a > b 8080/UDP"]);
    check("a number and UDP", &on(json!({"port": 53, "protocol": "UDP"})), &[dns], &["a > b 53/TCP"]);
    check("SCTP", &on(json!({"port": 9, "protocol": "SCTP"})), &["a > b 9/SCTP"], &["a > b 9/TCP"]);
    check("a protocol alone", &on(json!({"protocol": "UDP"})), &[dns, "a > b 1/UDP"], &[http]);
    check("nothing is TCP", &on(json!({})), &[http, "a > b 1/TCP"], &[dns]);
    let range = json!({"port": 8000, "endPort": 8080});
    check("a range", &on(range), &[http, "a > b 8000/TCP"], &["a > b 7999/TCP", "a > b 8081/TCP", "a > b 8080/UDP"]);
    check("a name", &on(json!({"port": "http"})), &[http, "web > b 8080/TCP"], &["a > b 80/TCP"]);
    check("a name under another protocol", &on(json!({"port": "dns"})), &[], &[dns, "a > b 53/TCP"]);
    check("a name of UDP", &on(json!({"port": "dns", "protocol": "UDP"})), &[dns], &[http]);
    check("a name that nobody has", &on(json!({"port": "ftp"})), &[], &[http, "a > b 21/TCP"]);
    check("a sidecar's name", &on(json!({"port": "metrics"})), &["a > b 9100/TCP"], &[http]);
    check("a name of who has ended", &on(json!({"port": "late"})), &[], &["a > b 9001/TCP"]);
    check("a name, on the way out", &out(json!({"port": "http"})), &[http], &["a > b 80/TCP", "a > far 8080/TCP"]);
    check("a name, out of the cluster", &out(json!({"port": "http"})), &[], &["a > web 8080/TCP"]);
    check(
        "a name, to a node's network",
        &out(json!({"port": "metrics"})),
        &["a > far 9100/TCP"],
        &["a > host 9100/TCP"],
    );
    check("a number, out of the cluster", &out(json!({"port": 443})), &["a > web 443/TCP"], &["a > web 80/TCP"]);
    let two = json!({"ports": [{"port": 1}, {"port": 2}], "from": [{"podSelector": {}}]});
    check("peers and ports", &to_b(&two), &["a > b 1/TCP", "a > b 2/TCP"], &["a > b 3/TCP", "far > b 1/TCP"]);
}

#[test]
fn directions_and_sums_mean_what_the_api_documents() {
    let all = |more: Value| {
        let mut spec = json!({"podSelector": {}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([spec])
    };
    let (inside, inwards, outwards) = ("a > b 80/TCP", "web > b 80/TCP", "a > web 80/TCP");
    check("no types: ingress", &all(json!({})), &[outwards], &[inside, inwards]);
    check(
        "no types, egress rules: both",
        &all(json!({"egress": [{"to": [{"podSelector": {}}]}]})),
        &[],
        &[inwards, outwards],
    );
    check("no types, no egress rule: ingress", &all(json!({"egress": []})), &[outwards], &[inwards]);
    check("no selector is every pod", &json!([{"policyTypes": ["Egress"]}]), &[inwards], &[inside, outwards]);
    check("egress alone", &all(json!({"policyTypes": ["Egress"], "egress": [{}]})), &[inside, inwards, outwards], &[]);
    check(
        "rules of a type that is not named",
        &all(json!({"policyTypes": ["Egress"], "ingress": [{}]})),
        &[inwards],
        &[outwards],
    );
    check("both", &all(json!({"policyTypes": ["Ingress", "Egress"]})), &[], &[inside, inwards, outwards]);
    check("to itself", &all(json!({"policyTypes": ["Ingress", "Egress"]})), &["a > a 80/TCP", "b > b 80/TCP"], &[]);
    check(
        "on a node's network",
        &all(json!({"policyTypes": ["Ingress", "Egress"]})),
        &["host > web 80/TCP", "web > host 80/TCP"],
        &["host > b 80/TCP"],
    );
    check(
        "another namespace's pods",
        &all(json!({"policyTypes": ["Ingress", "Egress"]})),
        &["far > web 80/TCP", "web > far 80/TCP"],
        &["far > a 80/TCP"],
    );

    let ingress = |rules: Value| json!({"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"], "ingress": rules});
    let sum = json!([
        ingress(json!([])),
        ingress(json!([{"ports": [{"port": 1}]}, {"from": [{"podSelector": {}}], "ports": [{"port": 2}]}])),
        ingress(json!([{"ports": [{"port": 3}]}])),
    ]);
    check("sums", &sum, &["a > b 1/TCP", "a > b 2/TCP", "web > b 3/TCP"], &["web > b 2/TCP", "a > b 4/TCP"]);
    assert_eq!(ask(&sum, "web > b 3/TCP").ingress, Side::Let(vec!["here/p2".into()]));
    assert_eq!(
        ask(&sum, "web > b 4/TCP").ingress,
        Side::Walled(vec!["here/p0".into(), "here/p1".into(), "here/p2".into()])
    );
    assert_eq!(ask(&sum, "a > b 4/TCP").egress, Side::Free);
    let unequal =
        json!([ingress(json!([{}])), {"podSelector": {"matchLabels": {"tier": "front"}}, "policyTypes": ["Egress"]}]);
    check("both sides must let it", &unequal, &[inwards], &[inside]);
}
