//! What says the same hashes the same, what pods show hashes apart, and no version of the operator hashes in another way.

use serde_json::{Value, json};

use super::*;

/// The revision of `web` in a stack where there is one of everything.
fn of(web: &Value, stack: &Value) -> String {
    let mut spec = json!({
        "services": {"web": {"image": "web:1"}, "db": {"image": "db:1"}},
        "networks": {"own": {}, "bus": {"sharedName": "company"}},
        "volumes": {"data": {"size": "1Gi"}},
        "configs": {"conf": {"content": "a"}, "site": {"data": {"a": "1", "b": "2"}}},
        "secrets": {"one": {"secretName": "theirs", "key": "k"}, "all": {"secretName": "theirs"}},
    });
    merge(&mut spec["services"]["web"], web);
    merge(&mut spec, stack);
    let spec: AppStackSpec = serde_json::from_value(spec).unwrap();
    revision("web", &spec.services["web"], &spec)
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn web(web: &Value) -> String {
    of(web, &json!({}))
}

#[test]
fn what_means_the_same_hashes_the_same() {
    let mut wrong = Vec::new();
    for (left, right) in [
        // Said, or left out.
        (json!({}), json!({"stdin": false, "tty": false, "init": false})),
        (json!({}), json!({"mode": "Replicated", "networkMode": "Stack"})),
        (json!({}), json!({"networks": {"default": {}}})),
        (json!({}), json!({"stopGracePeriod": "30s"})),
        (json!({}), json!({"imagePullPolicy": "IfNotPresent"})),
        (json!({"image": "web"}), json!({"image": "web", "imagePullPolicy": "Always"})),
        (json!({}), json!({"securityContext": {}})),
        (
            json!({}),
            json!({"securityContext": {"runAsNonRoot": false, "readOnlyRootFilesystem": false, "privileged": false,
                "allowPrivilegeEscalation": true, "seccompProfile": {"type": "RuntimeDefault"}, "capabilities": {}}}),
        ),
        (json!({}), json!({"resources": {"requests": {}, "limits": {}}})),
        (json!({"mode": "Job"}), json!({"mode": "Job", "job": {}})),
        (json!({"mode": "Job"}), json!({"mode": "Job", "job": {"completions": 1, "retries": 0}})),
        (json!({"gpu": {"count": 1}}), json!({"gpu": {"count": 1, "resource": "nvidia.com/gpu"}})),
        (
            json!({"tolerations": [{"key": "a", "value": "b"}]}),
            json!({"tolerations": [{"key": "a", "operator": "Equal", "value": "b"}]}),
        ),
        (
            json!({"healthcheck": {"http": {"port": 80}}}),
            json!({"healthcheck": {"http": {"port": 80, "path": "/", "scheme": "HTTP"}, "interval": "30s", "timeout": "30s",
                "retries": 3, "startPeriod": "0s", "startInterval": "5s", "onUnhealthy": "Ignore"}}),
        ),
        (
            json!({"mounts": {"/v": {"volume": "data"}}}),
            json!({"mounts": {"/v": {"volume": "data", "readOnly": false}}}),
        ),
        (
            json!({"mounts": {"/c": {"config": "site"}}}),
            json!({"mounts": {"/c": {"config": "site", "mode": "0444", "readOnly": true}}}),
        ),
        (json!({"mounts": {"/s": {"secret": "one"}}}), json!({"mounts": {"/s": {"secret": "one", "key": "k"}}})),
        (
            json!({"mounts": {"/i": {"image": {"reference": "i:1"}}}}),
            json!({"mounts": {"/i": {"image": {"reference": "i:1", "pullPolicy": "IfNotPresent"}}}}),
        ),
        (
            json!({"secretEnv": {"A": {"secret": "one"}}}),
            json!({"secretEnv": {"A": {"secret": "one", "key": "k", "optional": false}}}),
        ),
        (json!({"envFrom": [{"secret": "all"}]}), json!({"envFrom": [{"secret": "all", "optional": false}]})),
        (json!({"preStart": [{"name": "a"}]}), json!({"preStart": [{"name": "a", "image": "web:1"}]})),
        // In other words.
        (json!({"stopGracePeriod": "90s"}), json!({"stopGracePeriod": "1m30s"})),
        (
            json!({"healthcheck": {"shell": "true", "interval": "1m"}}),
            json!({"healthcheck": {"exec": ["/bin/sh", "-c", "true"], "interval": "60s"}}),
        ),
        (
            json!({"ports": {"a": {"port": 80}}, "healthcheck": {"tcp": {"port": "a"}}}),
            json!({"ports": {"a": {"port": 80}}, "healthcheck": {"tcp": {"port": 80}}}),
        ),
        (
            json!({"resources": {"limits": {"memory": "1Gi", "cpu": 1}}}),
            json!({"resources": {"limits": {"memory": "1024Mi", "cpu": "1000m"}}}),
        ),
        (
            json!({"resources": {"limits": {"memory": "1Gi"}}}),
            json!({"resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}}),
        ),
        (json!({"shmSize": "1Gi"}), json!({"mounts": {"/dev/shm": {"tmpfs": {"size": "1024Mi"}}}})),
        (
            json!({"mounts": {"/c": {"config": "site", "mode": "0555"}}}),
            json!({"mounts": {"/c": {"config": "site", "mode": "555"}}}),
        ),
        (
            json!({"securityContext": {"capabilities": {"add": ["CHOWN", "KILL"]}, "sysctls": {"net.a": "1"}}}),
            json!({"securityContext": {"capabilities": {"add": ["KILL", "CHOWN"]}, "sysctls": {"net/a": "1"}}}),
        ),
        (
            json!({"mounts": {"/v": {"volume": "data"}}, "securityContext": {"runAsUser": 999}}),
            json!({"mounts": {"/v": {"volume": "data"}}, "securityContext": {"runAsUser": 999, "fsGroup": 999}}),
        ),
        // A level is what it makes of the containers.
        (json!({}), json!({"podSecurity": "Privileged"})),
        (
            json!({"podSecurity": "Restricted"}),
            json!({"securityContext": {"runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}),
        ),
        // How many there are, when they start, who may call them and how.
        (json!({}), json!({"routes": {"a": {"ingressClassName": "nginx"}}})),
        (json!({}), json!({"replicas": 3, "publishNotReady": true, "endpointMode": "DNSRR", "profiles": ["a"]})),
        (json!({}), json!({"autoscale": {"max": 3, "cpuPercent": 50}, "publish": {"type": "NodePort"}})),
        (json!({}), json!({"dependsOn": {"db": {"restart": true}}, "update": {"parallelism": 2}})),
        (
            json!({"ports": {"a": {"port": 80}}}),
            json!({"ports": {"a": {"port": 80, "published": 8080, "appProtocol": "http", "openTo": "Cluster"}, "b": {"port": 80, "published": 81}}}),
        ),
        (json!({"mode": "Job"}), json!({"mode": "Job", "job": {"deadline": "1h", "retries": 5}})),
        // An alias is on the pod, whichever network it is of; one's own name is none.
        (
            json!({"networks": {"own": {"aliases": ["a"]}, "default": {}}}),
            json!({"networks": {"own": {}, "default": {"aliases": ["a", "web"]}}}),
        ),
    ] {
        if web(&left) != web(&right) {
            wrong.push(format!("{left} and {right}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_pods_show_hashes_apart() {
    let plain = web(&json!({}));
    for changed in [
        json!({"image": "web:2"}),
        json!({"imagePullPolicy": "Always"}),
        json!({"stdin": true}),
        json!({"mode": "Global"}),
        json!({"mode": "Job", "job": {"completions": 2}}),
        json!({"networkMode": "None"}),
        json!({"networks": {"own": {}}}),
        json!({"networks": {"default": {"aliases": ["a"]}}}),
        json!({"stopGracePeriod": "31s"}),
        json!({"ports": {"a": {"port": 80}}}),
        json!({"podSecurity": "Restricted"}),
        json!({"securityContext": {"runAsUser": 0}}),
        json!({"securityContext": {"fsGroup": 999}}),
        json!({"env": {"A": ""}}),
        json!({"secretEnv": {"A": {"secret": "one"}}}),
        json!({"mounts": {"/v": {"volume": "data"}}}),
        json!({"resources": {"limits": {"cpu": 1}}}),
        json!({"spread": {"host": "Preferred"}}),
        json!({"podTemplatePatch": {"spec": {"hostname": "a"}}}),
    ] {
        assert_ne!(web(&changed), plain, "{changed}");
    }
    let job = |job: Value| web(&json!({"mode": "Job", "job": job}));
    assert_ne!(job(json!({"completions": 2})), job(json!({})));
    let step = |policy: &str| web(&json!({"imagePullPolicy": policy, "preStart": [{"name": "a", "image": "step"}]}));
    assert_ne!(
        step("IfNotPresent"),
        web(&json!({"preStart": [{"name": "a", "image": "step"}]})),
        "the step's is another"
    );
}

#[test]
fn what_a_service_refers_to_is_a_part_of_it() {
    let uses = json!({"networks": {"bus": {}}, "secretEnv": {"A": {"secret": "one"}},
        "mounts": {"/v": {"volume": "data"}, "/c": {"config": "conf"}, "/s": {"config": "site", "key": "a"}}});
    let plain = of(&uses, &json!({}));
    for changed in [
        json!({"networks": {"bus": {"sharedName": "other"}}}),
        json!({"secrets": {"one": {"secretName": "others"}}}),
        json!({"secrets": {"one": {"key": "other"}}}),
        json!({"volumes": {"data": {"accessMode": "ReadWriteMany"}}}),
        json!({"volumes": {"data": {"size": null, "claimName": "theirs"}}}),
        json!({"configs": {"conf": {"content": "b"}}}),
        json!({"configs": {"site": {"data": {"b": "3"}}}}),
        json!({"podSecurity": "Restricted"}),
    ] {
        assert_ne!(of(&uses, &changed), plain, "{changed}");
    }
    for same in [
        json!({"volumes": {"data": {"size": "2Gi", "storageClassName": "fast", "retention": "Delete", "accessMode": "ReadWriteOnce", "perReplica": false}}}),
        json!({"configs": {"conf": {"content": null, "key": "conf", "data": {"conf": "a"}}}}),
        json!({"networks": {"bus": {"internal": true}, "own": {"sharedName": "mine"}}}),
        json!({"secrets": {"all": {"secretName": "others"}}}),
        json!({"services": {"db": {"image": "db:2"}}}),
        json!({"podSecurity": "Privileged", "isolation": "None", "stopped": true, "publish": {"type": "NodePort"}}),
    ] {
        assert_eq!(of(&uses, &same), plain, "{same}");
    }
}

/// Its pods carry the shared name as a label: without it they stay cut off from the other stacks.
#[test]
fn a_shared_name_of_the_default_network_is_a_new_revision_for_who_names_none() {
    let shared = json!({"networks": {"default": {"sharedName": "company"}}});
    assert_ne!(of(&json!({}), &shared), web(&json!({})));
    assert_eq!(of(&json!({}), &shared), of(&json!({"networks": {"default": {}}}), &shared));
    assert_eq!(of(&json!({"networkMode": "None"}), &shared), web(&json!({"networkMode": "None"})), "it joins none");
}

/// Who uses many fields: its revision must be the same in every version of the operator, or its pods are replaced by an upgrade.
#[test]
fn the_revision_is_pinned() {
    let rich = json!({
        "image": "web:1", "imagePullSecrets": ["pull"], "entrypoint": ["/web"], "command": ["--all"], "workingDir": "/srv", "init": true,
        "env": {"A": "1"}, "secretEnv": {"B": {"secret": "one"}}, "envTemplate": {"C": "x-$(B)"},
        "envFrom": [{"config": "site", "prefix": "S_"}, {"secret": "all", "optional": true}],
        "ports": {"http": {"port": 80, "published": 8080}, "dns": {"port": 53, "protocol": "UDP"}},
        "networks": {"bus": {"aliases": ["www"]}, "default": {}},
        "healthcheck": {"http": {"port": "http", "path": "/up"}, "interval": "1m30s", "retries": 5, "startPeriod": "10s"},
        "dependsOn": {"db": {}},
        "mounts": {"/data": {"volume": "data", "subPath": "d"}, "/etc/conf": {"config": "conf", "mode": "0400"}, "/run/s": {"secret": "one"},
            "/tmp": {"tmpfs": {"size": "64Mi"}}, "/work": {"ephemeral": {"size": "1Gi"}, "seed": "FromImage"}},
        "replicas": 2, "resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "1Gi"}}, "gpu": {"count": 1}, "shmSize": "1Gi",
        "preStart": [{"name": "migrate", "command": ["migrate"], "env": {"D": "2"}}], "postStart": {"exec": ["a"]}, "preStop": {"exec": ["b"]},
        "stopGracePeriod": "1m", "podSecurity": "Restricted", "securityContext": {"runAsUser": 999, "capabilities": {"add": ["NET_BIND_SERVICE"]}},
        "nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "gpu", "operator": "Exists"}], "spread": {"zone": "Preferred"},
        "priorityClassName": "high", "serviceAccountName": "web", "podLabels": {"team": "a"}, "podAnnotations": {"b": "c"},
        "hostAliases": {"old": "10.0.0.1"}, "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
        "podTemplatePatch": {"spec": {"hostname": "web"}},
    });
    assert_eq!([web(&rich), web(&json!({}))], ["63ffc7e6", "45e50a16"]);
}

#[test]
fn a_volume_is_filled_again_only_for_another_definition() {
    let spec: AppStackSpec =
        serde_json::from_value(json!({"services": {}, "secrets": {"one": {"secretName": "theirs", "key": "k"}}}))
            .unwrap();
    let of = |written: &Value| json!(populate(&serde_json::from_value(written.clone()).unwrap(), &spec));
    let plain = of(&json!({"image": "fetch:1", "secretEnv": {"A": {"secret": "one"}}}));
    let same = json!({"image": "fetch:1", "secretEnv": {"A": {"secret": "one", "key": "k", "optional": false}}, "mountPath": "/volume", "retries": 3});
    assert_eq!(of(&same), plain);
    assert_ne!(of(&json!({"image": "fetch:1", "secretEnv": {"A": {"secret": "one"}}, "mountPath": "/model"})), plain);
}
