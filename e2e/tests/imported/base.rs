//! The operator as a base of kustomize, and stacks that somebody has written by hand.

use std::path::Path;
use std::process::{Command, Output};

use e2e::cluster::{appstack, root};
use e2e::imported::scratch;
use e2e::samples::{kustomize, run, stack_of};
use e2e::space::documents;
use serde_json::{Value, json};

fn built(folder: &Path) -> Vec<Value> {
    documents(&kustomize(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
}

fn one<'a>(all: &'a [Value], kind: &str) -> &'a Value {
    all.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("a {kind}"))
}

/// Built with another namespace and another image, wherever an object has either.
fn moved(name: &str, resource: &str) -> Vec<Value> {
    let folder = scratch(name);
    let overlay = format!(
        "resources: ['{resource}']\nnamespace: ops\nimages:\n- name: ghcr.io/appstack-dev/appstack\n  newName: mirror.example/appstack\n  digest: sha256:{}\n",
        "0".repeat(64)
    );
    std::fs::write(folder.join("kustomization.yaml"), overlay).unwrap();
    if !resource.contains('/') {
        std::fs::copy(root().join("manifests").join(resource), folder.join(resource)).unwrap();
    }
    built(&folder)
}

fn subjects(all: &[Value]) -> Vec<&Value> {
    all.iter().filter_map(|object| object.pointer("/subjects/0/namespace")).collect()
}

#[test]
fn the_operator_is_a_base_of_kustomize_that_can_be_moved() {
    let all = moved("base-cluster", "../../../../manifests");
    assert_eq!(one(&all, "Namespace")["metadata"]["name"], "ops");
    assert_eq!(one(&all, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let text = serde_json::to_string(&all).unwrap();
    assert!(!text.contains("appstack-system"), "something stays behind in the old namespace");
    let operator = one(&all, "Deployment").pointer("/spec/template/spec/containers/0").unwrap();
    assert_eq!(operator["image"], format!("mirror.example/appstack@sha256:{}", "0".repeat(64)));
    assert_eq!(subjects(&all), [&json!("ops"), &json!("ops")]);
}

#[test]
fn the_operator_of_one_namespace_can_be_moved_too() {
    let all = moved("base-namespaced", "install-namespaced.yaml");
    for object in all.iter().filter(|object| object["kind"] != "CustomResourceDefinition") {
        assert_eq!(object["metadata"]["namespace"], "ops", "{}", object["kind"]);
    }
    assert_eq!(subjects(&all), [&json!("ops"), &json!("ops")]);
    let args = one(&all, "Deployment").pointer("/spec/template/spec/containers/0/args").unwrap();
    for flag in ["--watch-namespace=$(POD_NAMESPACE)", "--lease-namespace=$(POD_NAMESPACE)"] {
        assert!(args.as_array().unwrap().contains(&json!(flag)), "{flag} in {args}");
    }
}

/// A stack with an image, and a name of something else, wherever it may have one.
const BY_HAND: &str = "apiVersion: appstack.dev/v1alpha1
kind: AppStack
metadata: {name: shop}
spec:
  services:
    web:
      image: web:1
      preStart: [{name: migrate, image: 'tools:1', command: [migrate]}]
      ports: {http: {port: 80}}
      routes: {web: {host: shop.example, ingressClassName: nginx, tlsSecretName: tls}}
      mounts: {/models/all: {image: {reference: 'models:1'}}, /old: {volume: old}, /data: {volume: data}}
  volumes: {data: {size: 1Gi, populate: {image: 'seed:1'}}, old: {claimName: old}}
  secrets: {token: {secretName: token}}
  configs: {site: {configMapName: site}}
";

const KUSTOMIZATION: &str = "resources: [shop.yaml]
configurations: [kustomizeconfig.yaml]
images:
- {name: web, newTag: '9'}
- {name: models, newTag: '9'}
- {name: tools, newTag: '9'}
- {name: seed, newTag: '9'}
namePrefix: a-
configMapGenerator: [{name: site, literals: [site=x]}]
secretGenerator:
- {name: token, literals: [token=x]}
- {name: tls, literals: [tls.crt=x]}
";

fn config_of(stack: &str) -> Output {
    run(&appstack(), &["kustomize-config", "-"], stack.as_bytes())
}

#[test]
fn kustomize_reaches_a_stack_that_was_written_by_hand() {
    let said = config_of(BY_HAND);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let folder = scratch("by-hand");
    for (name, text) in [("shop.yaml", BY_HAND), ("kustomization.yaml", KUSTOMIZATION)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::fs::write(folder.join("kustomizeconfig.yaml"), &said.stdout).unwrap();
    let mut all = built(&folder);
    let spec = stack_of(&mut all)["spec"].clone();
    for (path, value) in [
        ("/services/web/image", "web:9"),
        ("/services/web/preStart/0/image", "tools:9"),
        ("/services/web/mounts/~1models~1all/image/reference", "models:9"),
        ("/volumes/data/populate/image", "seed:9"),
    ] {
        assert_eq!(spec.pointer(path), Some(&json!(value)), "{path}");
    }
    for (path, begins) in [
        ("/services/web/routes/web/tlsSecretName", "a-tls-"),
        ("/secrets/token/secretName", "a-token-"),
        ("/configs/site/configMapName", "a-site-"),
    ] {
        let name = spec.pointer(path).and_then(Value::as_str).unwrap();
        assert!(name.starts_with(begins) && name.len() > begins.len(), "{path}: {name}");
    }
}

#[test]
fn the_configuration_of_an_imported_stack_is_the_one_that_was_written_with_it() {
    let out = scratch("config-again");
    let said = e2e::imported::import("finity", None, &[], &out);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let again = Command::new(appstack()).arg("kustomize-config").arg(out.join("appstack.yaml")).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&again.stdout),
        std::fs::read_to_string(out.join("kustomizeconfig.yaml")).unwrap()
    );
}

#[test]
fn a_stack_with_errors_has_no_configuration() {
    let said = config_of(&BY_HAND.replace("image: web:1", "image: 'web 1'"));
    assert_eq!((said.status.code(), said.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&said.stderr).contains("spec.services[web].image"));
    assert_eq!(config_of("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n").status.code(), Some(2));
}
