//! `appstack import --function`: the import as a function of kustomize. A ResourceList comes on standard input and goes to standard output,
//! with the stack among its items: https://github.com/kubernetes-sigs/kustomize/blob/master/cmd/config/docs/api-conventions/functions-spec.md

use std::io::Read as _;
use std::process::ExitCode;

use clap::{Args, Parser};
use serde_json::{Value, json};

use super::{ImportArgs, Imported};
use crate::cli::answer;
use crate::compose::Loaded;
use crate::compose::mapping::says::{Class, Finding};
use crate::compose::output;

/// How `import` is called.
#[derive(Args, Clone, Copy, Debug)]
pub struct Called {
    /// Read a ResourceList from standard input and print it with the stack, as a function of kustomize; its `spec.args` are the arguments
    #[arg(long, exclusive = true)]
    pub(super) function: bool,
}

/// What `spec.args` of the function's configuration may say: the words of `appstack import`.
#[derive(Debug, Parser)]
#[command(name = "spec.args", no_binary_name = true)]
struct Words {
    #[command(flatten)]
    import: ImportArgs,
}

/// Exit codes as of `import`; what is refused leaves standard output empty.
pub(super) fn run() -> ExitCode {
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text).map_err(|error| error.to_string());
    let asked = read.and_then(|_| list(&text)).and_then(|list| Ok((words(&list)?, list)));
    let (args, mut list) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("error: could not import as a function: {error}");
            return ExitCode::from(2);
        }
    };
    let pen = args.color.pen(&std::io::stderr());
    let imported = super::read(&args.project, Ok(String::new()), &args.choices.choices(), args.strict, pen);
    let Imported { loaded, mapped, mut document, failed } = match imported {
        Ok(imported) => imported,
        Err(code) => return code,
    };
    if failed {
        return ExitCode::from(1);
    }
    if let Some(namespace) = &args.namespace {
        document["metadata"]["namespace"] = json!(namespace);
    }
    put(&mut list, document);
    let mut results: Vec<Value> = mapped.findings.iter().filter_map(|finding| result(finding, &loaded)).collect();
    results.extend(mapped.secrets.iter().map(|secret| not_made(&secret.name)));
    list["results"] = json!(results);
    match serde_saphyr::to_string(&list) {
        Ok(text) => answer(&text),
        Err(error) => {
            eprintln!("error: the output is no YAML: {error}");
            ExitCode::from(3)
        }
    }
}

fn list(text: &str) -> Result<Value, String> {
    let list: Value = serde_saphyr::from_str(text).map_err(|error| format!("standard input is no YAML: {error}"))?;
    if list["kind"] == "ResourceList" {
        Ok(list)
    } else {
        Err("standard input is no ResourceList; kustomize gives one to a function, and without --function nothing is read from there".into())
    }
}

fn words(list: &Value) -> Result<ImportArgs, String> {
    let field = "functionConfig.spec.args";
    let none = Vec::new();
    let args = match &list["functionConfig"]["spec"]["args"] {
        Value::Null => &none,
        Value::Array(args) => args,
        _ => return Err(format!("{field} is a list of words, as of `appstack import`")),
    };
    let words: Option<Vec<&str>> = args.iter().map(Value::as_str).collect();
    let words = words.ok_or_else(|| format!("{field}: each word is a text, in quotes where it is a number"))?;
    let args = Words::try_parse_from(words).map_err(|error| format!("{field}: {}", error.render()))?.import;
    match () {
        () if args.called.function || args.out.is_some() || args.placeholders => {
            Err(format!("{field}: --function, --out and --placeholders have no place here"))
        }
        () if args.project.files().iter().any(|file| file == "-") => {
            Err(format!("{field}: standard input is the ResourceList, no Compose file"))
        }
        () => Ok(args),
    }
}

/// The stack takes the place of the one that an earlier run has made.
fn put(list: &mut Value, stack: Value) {
    let of = |object: &Value| ["/apiVersion", "/kind", "/metadata/name"].map(|at| object.pointer(at).cloned());
    let mut items = match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    items.retain(|item| of(item) != of(&stack));
    items.push(stack);
    list["items"] = Value::Array(items);
}

/// Values of Secrets are not in Git, and what is read here is.
fn not_made(secret: &str) -> Value {
    let message = format!(
        "the Secret {secret} is not made here: `appstack import --out` writes it, and something that keeps secrets brings it to the cluster"
    );
    json!({"severity": "warning", "message": message})
}

/// What a finding is as a result of a function; none where the stack says the same.
fn result(finding: &Finding, loaded: &Loaded) -> Option<Value> {
    let said = &finding.outcome;
    let severity = match said.class {
        Class::Mapped | Class::Resolved | Class::Nothing => return None,
        Class::Approximated => "info",
        Class::Ignored => "warning",
        Class::Refused => "error",
    };
    let place = output::report::at(finding, loaded);
    Some(json!({"severity": severity, "message": format!("{place}: {}: {}", said.code.0, said.message)}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(config: &str) -> Result<ImportArgs, String> {
        list(&format!("kind: ResourceList\nitems: []\nfunctionConfig: {config}\n")).and_then(|list| words(&list))
    }

    #[test]
    fn what_it_is_asked_for_are_the_words_of_import() {
        assert!(asked("{}").is_ok());
        let args = asked("{spec: {args: [-f, compose.yaml, --namespace, prod, --strict]}}").unwrap();
        assert_eq!((args.namespace.as_deref(), args.strict), (Some("prod"), true));
        for (config, said) in [
            ("{spec: {args: --strict}}", "a list of words"),
            ("{spec: {args: [--gpu, 1]}}", "in quotes"),
            ("{spec: {args: [--nope]}}", "--nope"),
            ("{spec: {args: [-f, '-']}}", "standard input is the ResourceList"),
            ("{spec: {args: [--out, x]}}", "have no place here"),
        ] {
            let error = asked(config).unwrap_err();
            assert!(error.contains(said), "{config}: {error}");
        }
        assert!(list("kind: List\nitems: []\n").unwrap_err().contains("no ResourceList"));
    }

    #[test]
    fn what_an_earlier_run_has_made_is_replaced_and_the_rest_stays() {
        let stack = |image: &str| json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"}, "spec": image});
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}});
        let mut list = json!({"kind": "ResourceList", "items": [stack("old"), other]});
        put(&mut list, stack("new"));
        assert_eq!(list["items"], json!([other, stack("new")]));
        let mut empty = json!({"kind": "ResourceList"});
        put(&mut empty, stack("new"));
        assert_eq!(empty["items"], json!([stack("new")]));
    }
}
