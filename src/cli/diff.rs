//! `appstack diff`: what the operator would change, as the API server sees it.

use std::io::stdout;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use kube::ResourceExt;
use serde_json::Value;

use super::answer;
use super::findings::Colour;
use super::run::DnsArgs;
use super::server::{Asked, Place, Which, ask, words};
use super::validate::{level, load_stack};
use crate::api::{AppStack, PodSecurity};
use crate::controller::preview::{Change, Preview, preview};
use crate::stack::check;

/// Show what the operator would change in the cluster, by server-side dry runs of what it would send; changes nothing
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// An AppStack as YAML (`-` reads standard input), compared with what is there of the stack of that name; or the name of a stack
    #[arg(value_name = "FILE|NAME")]
    of: String,
    #[command(flatten)]
    place: Place,
    /// The highest Pod Security level that the operator grants
    #[arg(long, value_name = "LEVEL", default_value = "Baseline", value_parser = level)]
    max_pod_security: PodSecurity,
    #[command(flatten)]
    dns: DnsArgs,
    /// When to colour
    #[arg(long, value_enum, default_value_t)]
    color: Colour,
}

/// There is no answer: a stack that cannot be run, or none.
const NO_ANSWER: u8 = 2;
/// The cluster gives none.
const NO_CLUSTER: u8 = 3;

/// Exit codes, as those of `kubectl diff`: 0 nothing would change, 1 something would, 2 no such stack, or one that cannot be run, 3 the API server
/// cannot be asked, or refuses.
pub fn run(args: &DiffArgs) -> ExitCode {
    let file = file(&args.of);
    let written = match file.as_ref().map(|file| load_stack(file, args.max_pod_security)).transpose() {
        Ok(written) => written,
        Err(not_loaded) => {
            not_loaded.report();
            return ExitCode::from(NO_ANSWER);
        }
    };
    let mut place = args.place.clone();
    if let Some(named) = written.as_ref().and_then(|written| written.metadata.namespace.clone()) {
        match &place.namespace {
            Some(asked) if *asked != named => {
                eprintln!("error: {} is for namespace '{named}', and -n says '{asked}'", args.of);
                return ExitCode::from(NO_ANSWER);
            }
            _ => place.namespace = Some(named),
        }
    }
    let name = written.as_ref().map_or_else(|| args.of.clone(), ResourceExt::name_any);
    ask(&Which { name, place }, "compare", async |asked| {
        Ok(diff(args, asked, written.clone()).await.unwrap_or_else(|error| {
            let why = words(&error, &asked.namespace);
            eprintln!("error: could not compare stack '{}' in namespace '{}': {why}", asked.name, asked.namespace);
            ExitCode::from(NO_CLUSTER)
        }))
    })
}

/// The file that is meant, if it is one: what is there, or looks like a path.
fn file(of: &str) -> Option<PathBuf> {
    let path = Path::new(of);
    let looks = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"));
    (of == "-" || of.contains('/') || looks || path.is_file()).then(|| path.to_owned())
}

async fn diff(args: &DiffArgs, asked: &Asked, written: Option<AppStack>) -> kube::Result<ExitCode> {
    let live = asked.api.get_opt(&asked.name).await?;
    let Some(stack) = meant(written, live) else {
        eprintln!("error: no AppStack '{}' in namespace '{}'; -n names another", asked.name, asked.namespace);
        return Ok(ExitCode::from(NO_ANSWER));
    };
    if stack.metadata.deletion_timestamp.is_some() {
        eprintln!("error: stack '{}' is being deleted; `appstack wait {0} --for deleted`", asked.name);
        return Ok(ExitCode::from(NO_ANSWER));
    }
    let mut stack = stack;
    stack.metadata.namespace = Some(asked.namespace.clone());
    let model = match check(&stack, args.max_pod_security) {
        Ok(model) => model,
        Err(problems) => {
            eprintln!("error: the operator changes nothing of a stack that cannot be run as it is written");
            problems.all.iter().for_each(|problem| eprintln!("  {problem}"));
            return Ok(ExitCode::from(NO_ANSWER));
        }
    };
    let preview = preview(&asked.client, &stack, &model, &args.dns.settings()).await?;
    for (id, why) in &preview.refused {
        eprintln!("error: {id}: {why}");
    }
    let text = text(&preview.changes, args.color.wanted(&stdout()));
    let said = answer(&text);
    if !preview.changes.is_empty() {
        eprintln!("{}", summary(&preview));
        if stack.spec.suspend == Some(true) {
            eprintln!("note: spec.suspend: nothing of this happens before `appstack resume {}`", asked.name);
        }
    }
    Ok(match (preview.refused.is_empty(), preview.changes.is_empty()) {
        (false, _) => ExitCode::from(NO_CLUSTER),
        (true, true) => said,
        (true, false) => ExitCode::from(1),
    })
}

/// The stack as it would be: what is written in place of what is there. Requests to the operator, which are annotations, stay.
fn meant(written: Option<AppStack>, live: Option<AppStack>) -> Option<AppStack> {
    let (Some(mut written), Some(live)) = (written.clone(), live.clone()) else { return written.or(live) };
    let own = written.metadata.annotations.take().unwrap_or_default();
    written.metadata = live.metadata;
    written.metadata.annotations.get_or_insert_default().extend(own);
    written.status = live.status;
    Some(written)
}

/// Unified diffs, one per object, each under a line that says what becomes of it.
fn text(changes: &[Change], coloured: bool) -> String {
    let paint = |line: &str, code: &str| {
        if coloured { format!("\x1b[{code}m{line}\x1b[0m\n") } else { format!("{line}\n") }
    };
    let mut text = String::new();
    for change in changes {
        let later = change.later.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        text.push_str(&paint(&format!("diff {} {}{later}", verb(change), path(change)), "1"));
        let [before, after] = [&change.live, &change.then].map(|object| object.as_ref().map_or_else(String::new, yaml));
        let name =
            |side: &str, there: bool| if there { format!("{side}/{}", path(change)) } else { "/dev/null".into() };
        let diff = similar::TextDiff::from_lines(&before, &after);
        let names = [name("cluster", change.live.is_some()), name("stack", change.then.is_some())];
        let unified = diff.unified_diff().header(&names[0], &names[1]).to_string();
        for line in unified.lines() {
            let code = match line.as_bytes().first() {
                Some(b'+') => "32",
                Some(b'-') => "31",
                Some(b'@') => "36",
                _ => "",
            };
            text.push_str(&if code.is_empty() { format!("{line}\n") } else { paint(line, code) });
        }
    }
    text
}

fn verb(change: &Change) -> &'static str {
    match (&change.live, &change.then) {
        (None, _) => "create",
        (_, None) => "delete",
        _ => "change",
    }
}

fn path(change: &Change) -> String {
    format!("{}/{}", change.id.kind, change.id.name)
}

fn yaml(object: &Value) -> String {
    serde_saphyr::to_string(object).unwrap_or_else(|_| format!("{object:#}"))
}

fn summary(preview: &Preview) -> String {
    let count = |wanted: &str| preview.changes.iter().filter(|change| verb(change) == wanted).count();
    let later = preview.changes.iter().filter(|change| change.later.is_some()).count();
    let words = ["create", "change", "delete"].map(|verb| format!("{} to {verb}", count(verb)));
    let held = if later > 0 { format!("; {later} of them not at once, see the reasons given") } else { String::new() };
    format!("{}{held}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::child::{ChildId, Kind};

    fn change(live: Option<Value>, then: Option<Value>, later: Option<&str>) -> Change {
        let id = ChildId { kind: Kind::Deployment, name: "shop-web".into() };
        Change { id, live, then, later: later.map(str::to_owned) }
    }

    #[test]
    fn a_path_is_a_file_and_a_word_is_a_name() {
        for of in ["-", "shop.yaml", "./shop", "/dev/stdin", "SHOP.YML", "Cargo.toml"] {
            assert!(file(of).is_some(), "{of}");
        }
        for of in ["shop", "shop.eu", "yaml"] {
            assert_eq!(file(of), None, "{of}");
        }
    }

    #[test]
    fn every_object_has_a_unified_diff_under_a_line_that_says_what_becomes_of_it() {
        let object = |image: &str| Some(json!({"kind": "Deployment", "spec": {"image": image}}));
        let changes = [
            change(None, object("web:1"), None),
            change(object("web:1"), object("web:2"), Some("held, waits for db (Healthy): 0/1")),
            change(object("web:1"), None, None),
        ];
        let expected = "\
diff create Deployment/shop-web
--- /dev/null
+++ stack/Deployment/shop-web
@@ -0,0 +1,3 @@
+kind: Deployment
+spec:
+  image: web:1
diff change Deployment/shop-web (held, waits for db (Healthy): 0/1)
--- cluster/Deployment/shop-web
+++ stack/Deployment/shop-web
@@ -1,3 +1,3 @@
 kind: Deployment
 spec:
-  image: web:1
+  image: web:2
diff delete Deployment/shop-web
--- cluster/Deployment/shop-web
+++ /dev/null
@@ -1,3 +0,0 @@
-kind: Deployment
-spec:
-  image: web:1
";
        assert_eq!(text(&changes, false), expected);
        assert!(text(&changes, true).contains("\x1b[32m+  image: web:2\x1b[0m\n"));
        let said = summary(&Preview { changes: changes.to_vec(), refused: Vec::new() });
        assert_eq!(said, "1 to create, 1 to change, 1 to delete; 1 of them not at once, see the reasons given");
    }

    #[test]
    fn a_file_stands_in_for_the_stack_that_is_there_and_its_requests_stay() {
        let stack = |image: &str, metadata: Value| {
            let spec = json!({"services": {"web": {"image": image}}});
            let object =
                json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": metadata, "spec": spec});
            serde_json::from_value::<AppStack>(object).unwrap()
        };
        let written = stack("web:2", json!({"name": "shop", "annotations": {"mine": "new"}}));
        let live =
            stack("web:1", json!({"name": "shop", "uid": "u", "annotations": {"mine": "old", "appstack.dev/x": "1"}}));
        let meant = meant(Some(written.clone()), Some(live)).unwrap();
        assert_eq!((meant.metadata.uid.as_deref(), &*meant.spec.services["web"].image), (Some("u"), "web:2"));
        assert_eq!((&*meant.annotations()["mine"], &*meant.annotations()["appstack.dev/x"]), ("new", "1"));
        assert_eq!(super::meant(Some(written), None).unwrap().metadata.uid, None);
        assert!(super::meant(None, None).is_none());
    }
}
