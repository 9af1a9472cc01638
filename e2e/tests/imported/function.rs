//! A project that stays a Compose project in Git: kustomize imports it by a function each time it builds, and Argo CD by a plugin.

use std::path::Path;
use std::process::{Command, Output};

use e2e::cluster::{appstack, root};
use e2e::imported::scratch;
use e2e::samples::stack_of;
use e2e::space::documents;
use serde_json::{Value, json};

const PROJECT: &str = "name: shop
services:
  web: {image: 'web:1', environment: {DB_PASSWORD: change-me-9x7}, ports: ['80:80']}
";

const GENERATOR: &str = "apiVersion: appstack.dev/v1alpha1
kind: ComposeImport
metadata:
  name: shop
  annotations:
    config.kubernetes.io/function: |
      exec:
        path: PROGRAM
        args: [import, --function]
spec:
  args: [--file, compose.yaml, --publish, ClusterIP]
";

const KUSTOMIZATION: &str = "generators: [import.yaml]
resources: [other.yaml]
namespace: prod
images: [{name: web, newTag: '9'}]
configurations: [kustomizeconfig.yaml]
";

const OTHER: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}\n";
const CONFIG: &str = "images: [{path: spec/services/web/image, kind: AppStack}]\n";

fn build(folder: &Path) -> Output {
    // The kustomize in kubectl runs no functions.
    Command::new(root().join("target/tools/kustomize"))
        .args(["build", "--enable-alpha-plugins", "--enable-exec", "."])
        .current_dir(folder)
        .output()
        .expect("kustomize: e2e/go-tool.sh kustomize sigs.k8s.io/kustomize/kustomize/v5")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn kustomize_imports_a_project_each_time_it_builds() {
    let folder = scratch("function");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("compose.yaml", PROJECT);
    write("import.yaml", &GENERATOR.replace("PROGRAM", &appstack().to_string_lossy()));
    write("kustomization.yaml", KUSTOMIZATION);
    write("other.yaml", OTHER);
    write("kustomizeconfig.yaml", CONFIG);
    let built = build(&folder);
    assert!(built.status.success(), "{}", text(&built.stderr));
    let mut all = documents(&text(&built.stdout));
    assert_eq!(all.len(), 2, "a stack, and what was there; no Secret: {all:#?}");
    let stack = stack_of(&mut all);
    assert_eq!((&stack["metadata"]["name"], &stack["metadata"]["namespace"]), (&json!("shop"), &json!("prod")));
    assert_eq!(stack["spec"]["services"]["web"]["image"], json!("web:9"), "what kustomize changes comes after");
    assert!(!text(&built.stdout).contains("change-me-9x7"), "the value of a Secret is in what was built");

    // An edit in Git is an edit of the stack; what cannot be imported builds nothing.
    write("compose.yaml", &PROJECT.replace("web:1", "web:2").replace("{DB_PASSWORD: change-me-9x7}", "{MODE: new}"));
    let edited = build(&folder);
    assert!(text(&edited.stdout).contains("MODE: new"), "{}", text(&edited.stderr));
    write("compose.yaml", &PROJECT.replace("ports: ['80:80']", "volumes: ['/var/run/docker.sock:/d.sock']"));
    let refused = build(&folder);
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{}", text(&refused.stdout));
    assert!(text(&refused.stderr).contains("docker.sock"), "{}", text(&refused.stderr));
}

// The commands of the plugin, run as Argo CD's server of plugins does: in the folder of the application, without a shell.
#[test]
fn the_plugin_of_argo_prints_a_stack_for_the_applications_namespace() {
    let plugin = std::fs::read_to_string(root().join("manifests/argocd/plugin.yaml")).unwrap();
    let plugin: Value = documents(&plugin).remove(0);
    let folder = scratch("argo-plugin");
    std::fs::write(folder.join("compose.yaml"), PROJECT).unwrap();
    let found = plugin["spec"]["discover"]["fileName"].as_str().unwrap();
    assert!(folder.join(found).exists(), "{found} tells a project");
    let generate = &plugin["spec"]["generate"];
    let words: Vec<&str> = ["command", "args"]
        .into_iter()
        .flat_map(|of| generate[of].as_array().into_iter().flatten())
        .map(|w| w.as_str().unwrap())
        .collect();
    assert_eq!(words[0], "/appstack", "the program of the image");
    let said = Command::new(appstack()).args(&words[1..]).current_dir(&folder).env_clear().output().unwrap();
    assert!(said.status.success(), "{}", text(&said.stderr));
    let all = documents(&text(&said.stdout));
    assert_eq!(all.len(), 1);
    assert_eq!(
        (&all[0]["kind"], &all[0]["metadata"]["namespace"]),
        (&json!("AppStack"), &Value::Null),
        "Argo sets the namespace of the application"
    );
}
