//! Pod Security admission of the real server: what we render passes at its level, or validation named it before.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use e2e::cluster::{appstack, root};
use e2e::{Kind, Live, eventually, json, live};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::stacks::{self, Dice, SOON, stack, wait_state};

const LEVELS: [&str; 3] = ["Restricted", "Baseline", "Privileged"];

/// A namespace that enforces a level; nothing is kept in it.
async fn enforcing(client: &Client, level: &str) -> Api<DynamicObject> {
    let name = format!("e2e-enforces-{}", level.to_lowercase());
    label(client, &name, &json!(level.to_lowercase())).await;
    Kind::Pod.api(client.clone(), &name)
}

pub async fn label(client: &Client, namespace: &str, level: &Value) {
    let api: Api<DynamicObject> =
        Api::all_with(client.clone(), &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace")));
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": namespace, "labels": {"pod-security.kubernetes.io/enforce": level}}});
    let how = PatchParams::apply("e2e-pod-security").force();
    api.patch(namespace, &how, &Patch::Apply(&object)).await.expect("a namespace");
}

/// What the server says of a pod from this template, made by nobody.
async fn admission(api: &Api<DynamicObject>, template: &Value) -> Result<(), String> {
    let mut spec = template["spec"].clone();
    // Looked up before Pod Security is asked, and no part of it.
    for field in ["serviceAccountName", "priorityClassName", "preemptionPolicy", "runtimeClassName"] {
        spec.as_object_mut().unwrap().remove(field);
    }
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": spec, "metadata": {
        "generateName": "x-", "labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"]}});
    let how = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&how, &serde_json::from_value(pod).unwrap()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

fn level_of<'a>(stack: &'a Value, service: &str) -> &'a str {
    let own = stack["spec"]["services"][service]["podSecurity"].as_str();
    own.or(stack["spec"]["podSecurity"].as_str()).unwrap_or("Baseline")
}

fn rendered(file: &PathBuf) -> Vec<Value> {
    let printed = Command::new(appstack())
        .args(["render", "--max-pod-security", "Privileged"])
        .arg(file)
        .output()
        .expect("appstack render");
    assert!(printed.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&printed.stderr));
    e2e::space::documents(&String::from_utf8_lossy(&printed.stdout))
}

/// Every pod template of what a stack renders to is admitted at the level of its service. Returns how many there are.
async fn passes(client: &Client, stack: &Value, objects: &[Value], name: &str) -> usize {
    let mut count = 0;
    for object in objects.iter().filter(|o| o["spec"]["template"].is_object()) {
        let level = level_of(stack, json::label(object, "appstack.dev/service"));
        let api = enforcing(client, level).await;
        let mut template = object["spec"]["template"].clone();
        // The StatefulSet adds the claims of the pod's own.
        for claim in json::items(object, "/spec/volumeClaimTemplates") {
            let volume = json!({"name": json::name(claim), "persistentVolumeClaim": {"claimName": "own"}});
            let mut volumes = template["spec"]["volumes"].as_array().cloned().unwrap_or_default();
            volumes.push(volume);
            template["spec"]["volumes"] = json!(volumes);
        }
        let said = admission(&api, &template).await;
        assert!(said.is_ok(), "{name}: {} {} at {level}: {said:?}", object["kind"], json::name(object));
        count += 1;
    }
    count
}

#[test]
fn every_golden_and_every_sample_passes_at_its_level() {
    live("pod_security_rendered", async |t| {
        let files = |folder: &str| std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let golden = files("src/render/golden").map(|folder| folder.join("stack.yaml")).filter(|file| file.is_file());
        let samples = files("manifests/samples").filter(|file| file.extension().is_some_and(|e| e == "yaml"));
        let mut count = 0;
        for file in golden.chain(samples) {
            let documents = e2e::space::documents(&std::fs::read_to_string(&file).unwrap());
            let Some(stack) = documents.iter().find(|d| d["kind"] == "AppStack") else { continue };
            count += passes(&t.space.client, stack, &rendered(&file), &file.display().to_string()).await;
        }
        println!("{count} pod templates admitted at their level");
        assert!(count > 60, "{count}");
    });
}

#[test]
fn of_many_random_security_contexts_each_passes_or_was_refused_by_validation() {
    live("pod_security_random", async |t| {
        let mut dice = Dice(0x0dd5_ec09_1234_5678);
        let mut services = serde_json::Map::new();
        for number in 0..240 {
            services.insert(format!("s{number:03}"), random_service(&mut dice));
        }
        let mut all = stack("random", &Value::Object(services));
        let folder = root().join("target/e2e/pod_security");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("stack.yaml");
        std::fs::write(&file, all.to_string()).unwrap();
        let said = Command::new(appstack())
            .args(["validate", "--max-pod-security", "Privileged"])
            .arg(&file)
            .output()
            .expect("appstack validate");
        let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        let services = all["spec"]["services"].as_object_mut().unwrap();
        let refused: BTreeSet<String> =
            services.keys().filter(|name| said.contains(&format!("spec.services[{name}]"))).cloned().collect();
        services.retain(|name, _| !refused.contains(name));
        std::fs::write(&file, all.to_string()).unwrap();
        let admitted = passes(&t.space.client, &all, &rendered(&file), "random").await;
        println!("{admitted} admitted, {} refused by validation before", refused.len());
        assert!(admitted > 60 && refused.len() > 60, "{admitted} admitted, {} refused", refused.len());
    });
}

fn random_service(dice: &mut Dice) -> Value {
    let mut service = json!({"image": "x:1", "podSecurity": LEVELS[usize::try_from(dice.roll(3)).unwrap()]});
    let mut context = serde_json::Map::new();
    let mut maybe = |dice: &mut Dice, key: &str, values: &[Value]| {
        if dice.roll(4) == 0 {
            context.insert(key.into(), values[usize::try_from(dice.roll(values.len() as u64)).unwrap()].clone());
        }
    };
    maybe(dice, "runAsUser", &[json!(0), json!(1000)]);
    maybe(dice, "runAsNonRoot", &[json!(true), json!(false)]);
    maybe(dice, "privileged", &[json!(true), json!(false)]);
    maybe(dice, "allowPrivilegeEscalation", &[json!(true), json!(false)]);
    maybe(dice, "readOnlyRootFilesystem", &[json!(true)]);
    maybe(
        dice,
        "capabilities",
        &[
            json!({"add": ["NET_BIND_SERVICE"]}),
            json!({"add": ["SYS_ADMIN"]}),
            json!({"add": ["CHOWN"], "drop": ["ALL"]}),
            json!({"drop": ["MKNOD"]}),
        ],
    );
    maybe(
        dice,
        "seccompProfile",
        &[
            json!({"type": "Unconfined"}),
            json!({"type": "RuntimeDefault"}),
            json!({"type": "Localhost", "localhostProfile": "a.json"}),
        ],
    );
    maybe(
        dice,
        "sysctls",
        &[json!({"net.ipv4.ip_unprivileged_port_start": "0"}), json!({"net.core.somaxconn": "1024"})],
    );
    if !context.is_empty() {
        service["securityContext"] = Value::Object(context);
    }
    if dice.roll(4) == 0 {
        let mounts = [
            json!({"hostPath": {"path": "/var/log"}}),
            json!({"tmpfs": {}}),
            json!({"ephemeral": {"size": "1Gi"}}),
            json!({"image": {"reference": "data:1"}}),
        ];
        service["mounts"] = json!({"/x": mounts[usize::try_from(dice.roll(4)).unwrap()]});
    }
    if dice.roll(6) == 0 {
        service["networkMode"] = json!("Host");
        service["ports"] = json!({"http": {"port": 8080}});
    }
    if dice.roll(4) == 0 {
        let patches = [
            json!({"spec": {"hostPID": true}}),
            json!({"spec": {"containers": [{"name": "side", "image": "side:1"}]}}),
            json!({"spec": {"containers": [{"name": "side", "image": "side:1", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}),
            json!({"spec": {"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}}),
            json!({"spec": {"securityContext": {"runAsUser": 0}}}),
            json!({"spec": {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}}),
            json!({"spec": {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}}),
            json!({"spec": {"volumes": [{"name": "n", "nfs": {"server": "s", "path": "/"}}]}}),
            json!({"spec": {"terminationGracePeriodSeconds": 5}}),
        ];
        service["podTemplatePatch"] = patches[usize::try_from(dice.roll(patches.len() as u64)).unwrap()].clone();
    }
    if dice.roll(5) == 0 {
        service["preStart"] = json!([{"name": "step", "command": ["true"]}]);
    }
    service
}

// "`Restricted` works for a whole sample."
#[test]
fn a_whole_sample_runs_restricted() {
    live("pod_security_restricted", async |t| {
        label(&t.space.client, &t.space.name, &json!("restricted")).await;
        let _operator = t.space.operator().start();
        for mut document in stacks::finity(|_| 100) {
            if document["kind"] == "AppStack" {
                document["spec"]["podSecurity"] = json!("Restricted");
                // Their images run as root, as a kubelet sees: at this level somebody else has to be named.
                for (_, service) in document["spec"]["services"].as_object_mut().expect("services") {
                    service["securityContext"]["runAsUser"] = json!(1000);
                }
            }
            t.space.apply_object(&document).await;
        }
        t.space.wait_ready("finity", SOON).await;
    });
}

// Pods that are refused are named on the service, whatever kind is to make them (T17), and it heals.
#[test]
fn a_refusal_by_pod_security_is_named_on_every_kind_and_heals() {
    live("pod_security_refused", async |t| {
        label(&t.space.client, &t.space.name, &json!("restricted")).await;
        let _operator = t.space.operator().start();
        let mut all = stack(
            "shop",
            &json!({
                "deployment": {"image": "a:1"},
                "set": {"image": "a:1", "mounts": {"/own": {"volume": "own"}}},
                "agent": {"image": "a:1", "mode": "Global"},
                "job": {"image": "a:1", "mode": "Job"},
            }),
        );
        all["spec"]["volumes"] = json!({"own": {"size": "1Gi", "perReplica": true}});
        t.space.apply_object(&all).await;
        for service in ["deployment", "set", "agent", "job"] {
            named(&t, service).await;
        }
        label(&t.space.client, &t.space.name, &json!("privileged")).await;
        // Its controllers try again after a while; a new definition makes them do it now.
        for service in ["deployment", "set", "agent", "job"] {
            t.space.patch("shop", json!({"spec": {"services": {service: {"image": "a:2"}}}})).await;
        }
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(wait_state(&t, "shop", "job", "Completed").await["message"], Value::Null);
    });
}

async fn named(t: &Live, service: &str) {
    eventually(
        std::time::Duration::from_secs(15),
        &format!("{service} to say that its pods are refused"),
        async || {
            let said = t.space.status("shop").await["services"][service].clone();
            if json::text(&said, "/message").contains("violates PodSecurity") {
                Ok(())
            } else {
                Err(format!("{said:#}"))
            }
        },
    )
    .await;
}
