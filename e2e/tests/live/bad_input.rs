//! Bad input against the real server: the corpus of `tests/bad_input`, which `appstack validate` is tested with too.
//!
//! A file is a stack with a header: `# row:` of the list of bad input, `# verdict:` who refuses it, `# field:` and
//! `# says:` what the message must name. A folder is an edit, from `old.yaml` to `new.yaml`.

use std::path::{Path, PathBuf};

use e2e::{Kind, Live, eventually, json, live};
use kube::api::PostParams;
use kube::core::Request;
use serde_json::{Value, json};

use crate::stacks::{SOON, operator_has_looked, stack};

struct Case {
    name: String,
    text: String,
    /// What the stack was before, where the case is an edit.
    old: Option<String>,
    verdict: String,
    field: String,
    says: String,
    /// The Pod Security level that the operator is to grant, where it is not the usual one.
    grants: String,
}

fn corpus() -> Vec<Case> {
    let folder = e2e::cluster::root().join("tests/bad_input");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Case {
    let load = |path: PathBuf| std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (text, old) = if path.is_dir() {
        (load(path.join("new.yaml")), Some(load(path.join("old.yaml"))))
    } else {
        (load(path.to_owned()), None)
    };
    let header = |key: &str| {
        text.lines().find_map(|l| l.strip_prefix(&format!("# {key}:"))).map(|v| v.trim().to_owned()).unwrap_or_default()
    };
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    Case {
        name,
        verdict: header("verdict"),
        field: header("field"),
        says: header("says"),
        grants: header("grants"),
        old,
        text,
    }
}

// "The rows of the fields above ... each as a test against the real API server ...: same verdict ..., message names field
// and allowed values."
#[test]
fn the_server_gives_the_verdict_that_validate_gives() {
    live("bad_input_server", async |t| {
        let mut wrong = Vec::new();
        let (mut refused, mut accepted) = (0, 0);
        for case in corpus() {
            if case.text.lines().any(|line| line.starts_with("---")) {
                continue; // clients send one document after the other
            }
            let expected = match case.verdict.as_str() {
                "refused-by-server" => false,
                "accepted" | "refused-by-operator" => true,
                "refused-by-validate" => continue, // what clients make of it, before the server sees it
                other => panic!("{}: the verdict '{other}' is not known", case.name),
            };
            let answer = match &case.old {
                None => dry_create(&t, &case.text).await,
                Some(old) => edit(&t, old, &case.text).await,
            };
            match (expected, answer) {
                (true, Ok(())) => accepted += 1,
                (false, Err(message)) if names(&message, &case) => refused += 1,
                (false, Err(message)) => {
                    wrong.push(format!("{}: names neither {} nor '{}': {message}", case.name, case.field, case.says));
                }
                (true, Err(message)) => wrong.push(format!("{}: expected to be accepted: {message}", case.name)),
                (false, Ok(())) => wrong.push(format!("{}: expected to be refused", case.name)),
            }
        }
        println!("{refused} refused and {accepted} accepted as expected");
        assert!(wrong.is_empty(), "{} verdicts of the server are not as expected:\n{}", wrong.len(), wrong.join("\n"));
        assert!(refused > 0 && accepted > 0, "the corpus is empty");
    });
}

// "... other stacks untouched, going back to a good spec heals."
#[test]
fn what_the_operator_refuses_stalls_alone_and_heals() {
    live("bad_input_operator", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&stack("other", &json!({"other": {"image": "other:1"}}))).await;
        t.space.wait_ready("other", SOON).await;
        operator_has_looked(&t, "before").await;
        let others = versions(&t, "other").await;
        let good = stack("shop", &json!({"web": {"image": "web:good"}}));
        for case in corpus().into_iter().filter(|c| c.verdict == "refused-by-operator" && c.grants.is_empty()) {
            let bad = e2e::space::documents(&case.text).remove(0);
            t.space.apply_object(&bad).await;
            stalled(&t, &case).await;
            assert_eq!(versions(&t, "shop").await, [""; 0], "{}: nothing may be created", case.name);

            t.space.apply_object(&good).await;
            t.space.wait_ready("shop", SOON).await;
            let before = versions(&t, "shop").await;
            t.space.apply_object(&bad).await;
            stalled(&t, &case).await;
            assert_eq!(versions(&t, "shop").await, before, "{}: what runs stays as it is", case.name);
            t.space.apply_object(&good).await;
            t.space.wait_ready("shop", SOON).await;
            let status = t.space.get(Kind::AppStack, "shop").await.unwrap();
            assert!(!json::holds(&status, "Stalled"), "{}: still stalled: {}", case.name, status["status"]);

            t.space.delete(Kind::AppStack, "shop").await;
            eventually(SOON, "the stack's children to be gone", async || {
                let left = versions(&t, "shop").await;
                if left.is_empty() { Ok(()) } else { Err(left.join(" ")) }
            })
            .await;
        }
        assert_eq!(versions(&t, "other").await, others, "another stack is untouched");
    });
}

async fn stalled(t: &Live, case: &Case) {
    let condition = eventually(SOON, &format!("{} to be told of", case.name), async || {
        let live = t.space.get(Kind::AppStack, "shop").await.ok_or("no stack")?;
        let newest = json::number(&live, "/metadata/generation") == json::number(&live, "/status/observedGeneration");
        let stalled = json::condition(&live, "Stalled").filter(|c| c["status"] == "True" && newest).cloned();
        stalled.ok_or_else(|| live["status"].to_string())
    })
    .await;
    let message = json::text(&condition, "/message");
    assert!(message.contains(&case.says), "{}: expected '{}' in the message, saw '{message}'", case.name, case.says);
    assert!(message.contains(&case.field), "{}: expected '{}' in the message, saw '{message}'", case.name, case.field);
}

/// Name, uid and version of every child.
async fn versions(t: &Live, stack: &str) -> Vec<String> {
    let children = t.space.children(stack).await;
    let version =
        |kind: Kind, c: &Value| format!("{kind}/{} {} {}", json::name(c), c["metadata"]["uid"], json::version(c));
    children.iter().map(|(kind, child)| version(*kind, child)).collect()
}

/// As `kubectl create --dry-run=server --validate=strict`; the text goes as it is, so that its nulls and doubles do too.
async fn dry_create(t: &Live, yaml: &str) -> Result<(), String> {
    let how = PostParams { dry_run: true, field_manager: Some("e2e".into()) };
    let path = format!("/apis/appstack.dev/v1alpha1/namespaces/{}/appstacks", t.space.name);
    let mut request = Request::new(path).create(&how, yaml.as_bytes().to_vec()).unwrap();
    *request.uri_mut() = format!("{}&fieldValidation=Strict", request.uri()).parse().unwrap();
    request.headers_mut().insert("content-type", "application/yaml".parse().unwrap());
    match t.space.client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(e) => panic!("dry-run create: {e}\n{yaml}"),
    }
}

async fn edit(t: &Live, old: &str, new: &str) -> Result<(), String> {
    let (old, new) = (e2e::space::documents(old).remove(0), e2e::space::documents(new).remove(0));
    t.space.apply_object(&old).await;
    let answer = t.space.try_apply(&new).await.map(drop);
    t.space.delete(Kind::AppStack, json::name(&old)).await;
    answer
}

/// Whether the message names what it is about: it says what validation says, or names the field of the schema. Rules over
/// references stand on `spec.services` and cannot name the entry (`appstack validate` and the status do).
fn names(message: &str, case: &Case) -> bool {
    let mut outside_brackets = case.field.clone();
    while let (Some(open), Some(close)) = (outside_brackets.find('['), outside_brackets.find(']')) {
        outside_brackets.replace_range(open..=close, "");
    }
    let field = match outside_brackets.rsplit('.').next().unwrap_or_default() {
        "apiVersion" => "version",
        field => field,
    };
    message.contains(&case.says) || message.contains(field)
}
