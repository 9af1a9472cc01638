//! What `up` is to bring up: Compose files as `import` reads them, or a stack as it is written.

use std::io;
use std::process::ExitCode;

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::UpArgs;
use crate::api::{AppStack, PodSecurity};
use crate::cli::document::{Sort, sort};
use crate::cli::findings::{self, Finding, Severity, escaped};
use crate::cli::import::{self, Imported, differences};
use crate::cli::source::{Document, Source};
use crate::cli::validate::{Checked, check};
use crate::compose::mapping::{Carry, MadeSecret};

/// A stack, and what goes with it.
pub(super) struct Given {
    /// Nothing is wrong with it as far as can be told here.
    pub(super) stack: AppStack,
    /// Secrets and ConfigMaps, before the stack.
    pub(super) objects: Vec<Value>,
    /// Where the files say it goes; none: wherever the context says.
    pub(super) namespace: Option<String>,
    /// Whether the namespace is made where it is missing.
    pub(super) makes_namespace: bool,
    /// Folders whose data is to be carried into volumes.
    pub(super) carries: Vec<Carry>,
}

/// Reads the files; what is wrong with them is said on standard error, and the exit code is all there is to go on with.
pub(super) fn read(args: &UpArgs) -> Result<Given, ExitCode> {
    let standard_input = args.project.standard_input().map_err(|error| unread("standard input", &error))?;
    let files = args.project.files();
    let text_of = |file: &String| match file.as_str() {
        "-" => standard_input.clone(),
        // One that cannot be read is no manifest: the loader of Compose files says why.
        file => std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default(),
    };
    let texts: Vec<(String, String)> = files.iter().map(|file| (file.clone(), text_of(file))).collect();
    let manifests = texts.iter().filter(|(_, text)| is_manifest(text)).count();
    if manifests > 0 && manifests == texts.len() {
        return written(args, texts);
    }
    if manifests > 0 {
        eprintln!(
            "error: some of these files are Compose files, and some are manifests; `up` takes the ones or the others"
        );
        return Err(ExitCode::from(2));
    }
    imported(args, standard_input)
}

fn unread(file: &str, error: &io::Error) -> ExitCode {
    eprintln!("error: {file}: {error}");
    ExitCode::from(2)
}

/// Whether a text is one for Kubernetes: a Compose file has neither key at its top.
fn is_manifest(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    has("apiVersion") && has("kind")
}

fn imported(args: &UpArgs, standard_input: String) -> Result<Given, ExitCode> {
    let pen = args.color.pen(&io::stderr());
    let choices = args.choices.choices();
    let Imported { loaded, mapped, failed, .. } =
        import::read(&args.project, Ok(standard_input), &choices, args.strict, pen)?;
    for line in differences(&mapped, &loaded, "`appstack import` tells of them") {
        eprintln!("{line}");
    }
    if failed {
        eprintln!(
            "error: nothing was applied; what is refused is above, `appstack import` writes a report of all keys"
        );
        return Err(ExitCode::from(1));
    }
    let namespace = args.place.namespace.clone().or_else(|| mapped.stack.metadata.name.clone());
    Ok(Given {
        objects: mapped.secrets.iter().map(secret).collect(),
        stack: mapped.stack,
        namespace,
        makes_namespace: true,
        carries: mapped.carries,
    })
}

/// All of it as `data`: what a server makes of `stringData` it does not take back when a key goes.
fn secret(made: &MadeSecret) -> Value {
    let data = made.data.iter().map(|(key, value)| (key.clone(), json!(ByteString(value.clone()))));
    let data: serde_json::Map<String, Value> = data.collect();
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": made.name}, "data": data})
}

fn written(args: &UpArgs, texts: Vec<(String, String)>) -> Result<Given, ExitCode> {
    let no = |why: String| {
        eprintln!("error: {why}");
        Err(ExitCode::from(2))
    };
    let (mut stacks, mut others) = (Vec::new(), Vec::new());
    for (file, text) in texts {
        let name = if file == "-" { "standard input" } else { &file };
        let checked = check(Source::parse(name, text.into_bytes()), PodSecurity::Privileged);
        if !checked.findings.is_empty() {
            eprint!("{}", said(&checked, args));
        }
        if checked.has_errors() {
            return Err(ExitCode::from(1));
        }
        let documents = checked.source.documents.iter().map(Document::value);
        others.extend(documents.filter(|value| matches!(sort(value), Sort::Other(_))));
        stacks.extend(checked.stacks);
    }
    let stack = match (stacks.pop(), stacks.is_empty()) {
        (Some(stack), true) => stack,
        (None, _) => return no("there is no AppStack in these files".into()),
        (Some(_), false) => return no("there is more than one AppStack in these files; `up` brings up one".into()),
    };
    let (named, asked) = (stack.metadata.namespace.clone(), args.place.namespace.clone());
    if let (Some(named), Some(asked)) = (&named, &asked)
        && named != asked
    {
        return no(format!("the stack is for namespace '{named}', and -n says '{asked}'"));
    }
    let namespace = named.or(asked);
    let (mut objects, mut makes_namespace) = (Vec::new(), false);
    for other in others {
        let text = |field: &str| other.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, name, place) = (text("/kind"), text("/metadata/name"), text("/metadata/namespace"));
        match (text("/apiVersion").as_str(), kind.as_str()) {
            ("v1", "Namespace") if Some(&name) == namespace.as_ref() => makes_namespace = true,
            ("v1", "Secret" | "ConfigMap") if place.is_empty() || Some(&place) == namespace.as_ref() => {
                objects.push(as_data(other));
            }
            ("v1", "Namespace" | "Secret" | "ConfigMap") => {
                return no(format!(
                    "{kind} {name} is not in the stack's namespace; `kubectl apply --server-side` takes it"
                ));
            }
            _ => {
                return no(format!(
                    "{kind} {name}: `up` takes a stack with its Namespace, Secrets and ConfigMaps; `kubectl apply --server-side` takes the rest"
                ));
            }
        }
    }
    Ok(Given { stack, objects, namespace, makes_namespace, carries: Vec::new() })
}

/// What was found; without an excerpt of a file that has Secrets.
fn said(checked: &Checked, args: &UpArgs) -> String {
    let Checked { source, findings, candidates, .. } = checked;
    if !source.text.lines().any(|line| line.trim_end() == "kind: Secret") {
        return findings::text(source, findings, *candidates, args.color.pen(&io::stderr()));
    }
    let line = |finding: &Finding| {
        let (line, column) = source.line_column(finding.at.start);
        let of = [finding.field.as_str(), finding.message.as_str()];
        let words = of.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(": ");
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        format!("{severity}: {}:{line}:{column}: {}\n", escaped(&source.name), escaped(&words))
    };
    findings.iter().map(line).collect()
}

/// A Secret with what is in its `stringData` under `data`.
fn as_data(mut object: Value) -> Value {
    let texts = object.as_object_mut().and_then(|object| object.remove("stringData"));
    if let Some(Value::Object(texts)) = texts {
        for (key, text) in texts {
            let bytes = text.as_str().unwrap_or_default().as_bytes().to_vec();
            object["data"][key] = json!(ByteString(bytes));
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_known_by_its_top_keys() {
        assert!(is_manifest("# mine\napiVersion: appstack.dev/v1alpha1\nkind: AppStack\n"));
        assert!(is_manifest("---\nkind: Secret\napiVersion: v1\n"));
        for compose in
            ["", "services:\n  web: {image: web}\n", "services:\n  kind: {image: a}\n  apiVersion: {image: b}\n"]
        {
            assert!(!is_manifest(compose), "{compose}");
        }
    }

    #[test]
    fn texts_of_a_secret_become_data() {
        let object = as_data(json!({"kind": "Secret", "data": {"a": "eA=="}, "stringData": {"b": "y"}}));
        assert_eq!(object, json!({"kind": "Secret", "data": {"a": "eA==", "b": "eQ=="}}));
    }
}
