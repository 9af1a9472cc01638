//! The imported folder under the real kustomize, which kubectl has built in: what an overlay changes reaches the stack.

use std::path::Path;
use std::process::Command;

use e2e::cluster::appstack;
use e2e::imported::{import, scratch};
use e2e::samples::{kustomize, stack_of};
use e2e::space::documents;
use serde_json::{Value, json};

/// A project with an image, and a name of something else, wherever a stack may have one.
const PROJECT: &str = "name: shop
services:
  web:
    image: web:1
    environment: {DB_PASSWORD: change-me-9x7}
    configs: [{source: site, target: /etc/site.conf}]
    secrets: [token]
    volumes: [{type: image, source: 'models:1', target: /models/all}, 'data:/data', 'old:/old']
    ports: ['80:80']
    pre_start: [{command: [migrate], image: 'tools:1'}]
    x-appstack: {routes: {web: {host: shop.example, tlsSecretName: tls, ingressClassName: nginx}}}
configs: {site: {external: true}}
secrets: {token: {external: true}}
volumes:
  data: {x-appstack: {populate: {image: 'seed:1'}}}
  old: {external: true}
";

const OVERLAY: &str = "
resources: [../shop, claim.yaml]
namePrefix: a-
nameSuffix: -z
namespace: prod
images:
- {name: web, newName: mirror.example/web, newTag: '9'}
- {name: models, newTag: '9'}
- {name: tools, newTag: '9'}
- {name: seed, newTag: '9'}
configMapGenerator: [{name: site, literals: [site=x]}]
secretGenerator:
- {name: token, literals: [token=x]}
- {name: tls, literals: [tls.crt=x]}
patches:
- patch: |
    apiVersion: v1
    kind: Secret
    metadata: {name: shop, namespace: shop}
    stringData: {db-password: of-production}
";

const CLAIM: &str = "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: old}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
";

fn write(folder: &Path, files: &[(&str, &str)]) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

fn built(folder: &Path) -> Vec<Value> {
    documents(&kustomize(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())))
}

fn name_of(all: &[Value], kind: &str, begins: &str) -> String {
    let names = all.iter().filter(|object| object["kind"] == kind).map(|object| object["metadata"]["name"].as_str());
    names.flatten().find(|name| name.starts_with(begins)).unwrap_or_else(|| panic!("a {kind} {begins}")).to_owned()
}

#[test]
fn what_an_overlay_of_kustomize_changes_reaches_the_fields_of_the_stack() {
    let top = scratch("kustomize");
    write(&top.join("project"), &[("compose.yaml", PROJECT)]);
    let said = Command::new(appstack())
        .args(["import", "--out", "../shop"])
        .current_dir(top.join("project"))
        .env_clear()
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    write(&top.join("overlay"), &[("kustomization.yaml", OVERLAY), ("claim.yaml", CLAIM)]);
    let mut all = built(&top.join("overlay"));
    let (site, token, tls) = (
        name_of(&all, "ConfigMap", "a-site-z-"),
        name_of(&all, "Secret", "a-token-z-"),
        name_of(&all, "Secret", "a-tls-z-"),
    );
    let secret =
        all.iter().find(|object| object["metadata"]["name"] == "a-shop-z" && object["kind"] == "Secret").unwrap();
    assert_eq!(secret["stringData"], json!({"db-password": "of-production"}));
    assert_eq!(name_of(&all, "PersistentVolumeClaim", "a-"), "a-old-z");
    assert!(
        all.iter()
            .filter(|object| object["kind"] != "Namespace")
            .all(|object| object["metadata"]["namespace"] == "prod")
    );
    assert_eq!(name_of(&all, "Namespace", ""), "prod");
    let stack = stack_of(&mut all);
    assert_eq!(stack["metadata"]["name"], "a-shop-z");
    for (path, value) in [
        ("/services/web/image", "mirror.example/web:9"),
        ("/services/web/preStart/0/image", "tools:9"),
        ("/services/web/mounts/~1models~1all/image/reference", "models:9"),
        ("/services/web/routes/web/tlsSecretName", &tls),
        ("/volumes/data/populate/image", "seed:9"),
        ("/volumes/old/claimName", "a-old-z"),
        ("/secrets/shop/secretName", "a-shop-z"),
        ("/secrets/token/secretName", &token),
        ("/configs/site/configMapName", &site),
    ] {
        assert_eq!(stack["spec"].pointer(path), Some(&json!(value)), "{path}");
    }
}

#[test]
fn an_imported_folder_is_what_kustomize_builds_of_it() {
    let out = scratch("kustomize-finity");
    let said = import("finity", None, &[], &out);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let written: Vec<Value> = ["namespace.yaml", "secrets.yaml", "appstack.yaml"]
        .into_iter()
        .flat_map(|name| documents(&std::fs::read_to_string(out.join(name)).unwrap()))
        .collect();
    let built = built(&out);
    assert_eq!(built.len(), written.len());
    for object in written {
        assert!(built.contains(&object), "kustomize changes {}", object["kind"]);
    }
}
