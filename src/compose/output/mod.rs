//! What `import` writes: the stack, its Secrets, a namespace, what kustomize needs, and the report (pure).

mod comments;
mod kustomize;
mod lines;
pub mod report;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use kustomize::config as kustomize_config;

use super::Loaded;
use super::mapping::{MadeSecret, Mapped};
use crate::api::AppStack;

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its name in the folder.
    pub name: &'static str,
    /// Its text.
    pub text: String,
    /// Whether only its owner may read it.
    pub is_secret: bool,
}

/// Names tell enough, and a Secret's text must not show.
impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.text.len())
    }
}

/// The stack.
pub const STACK: &str = "appstack.yaml";
/// Its namespace.
pub const NAMESPACE: &str = "namespace.yaml";
/// Its Secrets.
pub const SECRETS: &str = "secrets.yaml";
/// What holds the files together for kustomize.
pub const KUSTOMIZATION: &str = "kustomization.yaml";
/// Where a stack has images and names of other objects, for kustomize.
pub const KUSTOMIZE_CONFIG: &str = "kustomizeconfig.yaml";
/// Keeps Secrets out of Git.
pub const GIT_IGNORE: &str = ".gitignore";
/// What became of every key, for programs.
pub const REPORT: &str = "import-report.json";
/// The same, for people.
pub const REPORT_TEXT: &str = "import-report.md";

/// Text that Flux would fill in: what looks like a variable here is one of a shell or a config.
const FLUX_SUBSTITUTE: &str = "kustomize.toolkit.fluxcd.io/substitute";

/// A stack as an object, without its namespace: what [`files`] writes, and what can be checked before.
pub fn document(stack: &AppStack) -> Value {
    let mut metadata = serde_json::to_value(&stack.metadata).unwrap_or_default();
    let spec = serde_json::to_value(&stack.spec).unwrap_or_default();
    if has_variable(&spec) {
        metadata["annotations"][FLUX_SUBSTITUTE] = json!("disabled");
    }
    let mut object = json!({"apiVersion": crate::api::API_VERSION, "kind": "AppStack", "metadata": metadata});
    object["spec"] = spec;
    object
}

/// The files but for the report, in the order of their names; `stack` is the [`document`] of what was mapped. With `placeholders` Secrets hold
/// none of their values.
///
/// # Errors
/// If something cannot be written as YAML, which nothing here is.
pub fn files(
    mapped: &Mapped,
    mut stack: Value,
    loaded: &Loaded,
    namespace: &str,
    placeholders: bool,
) -> Result<Vec<File>, serde_saphyr::ser::Error> {
    let plain = |name, text| File { name, text, is_secret: false };
    if !namespace.is_empty() {
        stack["metadata"]["namespace"] = json!(namespace);
    }
    let written = serde_saphyr::to_string(&stack)?;
    let mut files = vec![
        plain(STACK, comments::with_comments(written, &stack, mapped, loaded)),
        plain(
            NAMESPACE,
            serde_saphyr::to_string(&json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
            }))?,
        ),
        plain(KUSTOMIZATION, kustomize::kustomization(!mapped.secrets.is_empty())?),
        plain(KUSTOMIZE_CONFIG, kustomize::config(&mapped.stack.spec)?),
        plain(GIT_IGNORE, format!("{SECRETS}\n")),
    ];
    if !mapped.secrets.is_empty() {
        let text = secrets(&mapped.secrets, namespace, placeholders)?;
        files.push(File { name: SECRETS, text, is_secret: !placeholders });
    }
    files.sort_by_key(|file| file.name);
    Ok(files)
}

/// The reports: what became of every key, for programs and for people.
///
/// # Errors
/// In words, if the first cannot be written as JSON, which nothing in it prevents.
pub fn reports(mapped: &Mapped, loaded: &Loaded) -> Result<Vec<File>, String> {
    let plain = |name, text| File { name, text, is_secret: false };
    let json = report::json(mapped, loaded).map_err(|error| format!("the report is no JSON: {error}"))?;
    Ok(vec![plain(REPORT, json), plain(REPORT_TEXT, report::text(mapped, loaded))])
}

/// Whether a text has `${`, which Flux's `postBuild` would fill in, or make blank.
fn has_variable(value: &Value) -> bool {
    match value {
        // Most texts have no dollar, which is found out sooner.
        Value::String(text) => text.contains('$') && text.contains("${"),
        Value::Array(items) => items.iter().any(has_variable),
        Value::Object(map) => map.values().any(has_variable),
        _ => false,
    }
}

/// Secrets; texts as texts, other values in base64.
fn secrets(made: &[MadeSecret], namespace: &str, placeholders: bool) -> Result<String, serde_saphyr::ser::Error> {
    let mut documents = String::new();
    for secret in made {
        let (mut texts, mut others) = (BTreeMap::new(), BTreeMap::new());
        for (key, value) in &secret.data {
            match std::str::from_utf8(value) {
                _ if placeholders => drop(texts.insert(key, format!("change-me-{key}"))),
                Ok(text) => drop(texts.insert(key, text.to_owned())),
                Err(_) => drop(others.insert(key, k8s_openapi::ByteString(value.clone()))),
            }
        }
        let mut object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": secret.name, "namespace": namespace},
        });
        if !texts.is_empty() {
            object["stringData"] = json!(texts);
        }
        if !others.is_empty() {
            object["data"] = json!(others);
        }
        documents += "---\n";
        documents += &serde_saphyr::to_string(&object)?;
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::super::mapping::choices::Choices;
    use super::super::mapping::tests::mapped_and_loaded;
    use super::*;

    #[test]
    fn files_are_the_same_however_often_and_hold_together() {
        let text = "name: shop
services:
  web: {image: 'web:1', command: [sh, -c, 'echo $${HOME}'], secrets: [key], networks: [front]}
networks: {front: }
secrets: {key: {file: ./key.txt}}
";
        let files_of = |placeholders| {
            let given = [("compose.yaml", text), ("key.txt", "hunter2")];
            let (mapped, loaded) = mapped_and_loaded(&given, &Choices::default());
            files(&mapped, document(&mapped.stack), &loaded, "shop", placeholders).unwrap()
        };
        let written = files_of(false);
        assert_eq!(written, files_of(false));
        let names: Vec<&str> = written.iter().map(|file| file.name).collect();
        assert_eq!(names, [GIT_IGNORE, STACK, KUSTOMIZATION, KUSTOMIZE_CONFIG, NAMESPACE, SECRETS]);
        let of = |name: &str| &written.iter().find(|file| file.name == name).unwrap().text;
        assert!(of(STACK).contains(FLUX_SUBSTITUTE) && !of(STACK).contains("hunter2"), "{}", of(STACK));
        assert!(of(SECRETS).contains("hunter2"));
        assert!(written.iter().all(|file| file.is_secret == (file.name == SECRETS)));
        assert!(files_of(true).iter().all(|file| !file.text.contains("hunter2") && !file.is_secret));
        assert!(!format!("{written:?}").contains("hunter2"));
    }
}
