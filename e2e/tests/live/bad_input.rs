//! Bad input against the real server: the corpus of `tests/bad_input`, which `appstack validate` is tested with too.
//!
//! A file is a stack with a header: `# row:` of the list of bad input, `# verdict:` who refuses it, `# field:` and
//! `# says:` what the message must name. A folder is an edit, from `old.yaml` to `new.yaml`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::cluster::Cluster;
use e2e::{Kind, Live, eventually, json, live};
use kube::Api;
use kube::api::{
    ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams, TypeMeta, ValidationDirective,
};
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
    /// What the status says of its service where its children are refused, though the stack itself is accepted.
    then: String,
    /// The Pod Security level that the operator is to grant, where it is not the usual one.
    grants: String,
}

impl Case {
    /// The first of its documents.
    fn stack(&self) -> Value {
        e2e::space::documents(&self.text).remove(0)
    }
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
        then: header("then"),
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

// "Nothing dangerous applied", nor anything that cannot be: what is accepted is rendered into objects that the server takes.
#[test]
fn what_is_accepted_becomes_objects_that_the_server_takes() {
    live("bad_input_children", async |t| {
        let how = PatchParams {
            dry_run: true,
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::apply("e2e")
        };
        let (mut stacks, mut objects) = (0, 0);
        let mut wrong = Vec::new();
        for case in corpus().into_iter().filter(|c| c.verdict == "accepted" && c.then.is_empty()) {
            if case.text.lines().any(|line| line.starts_with("---")) {
                continue;
            }
            stacks += 1;
            for object in rendered(&t, &case) {
                objects += 1;
                let types: TypeMeta = serde_json::from_value(object.clone()).unwrap();
                let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).unwrap());
                let api: Api<DynamicObject> = Api::namespaced_with(t.space.client.clone(), &t.space.name, &resource);
                if let Err(e) = api.patch(json::name(&object), &how, &Patch::Apply(&object)).await {
                    wrong.push(format!("{}: {} {}: {e}", case.name, types.kind, json::name(&object)));
                }
            }
        }
        println!("{objects} objects of {stacks} stacks are taken");
        assert!(wrong.is_empty(), "{} objects are refused:\n{}", wrong.len(), wrong.join("\n"));
    });
}

/// What `appstack render` prints for a case.
fn rendered(t: &Live, case: &Case) -> Vec<Value> {
    let file = e2e::cluster::root().join("target/e2e").join(&t.space.test).join("stack.yaml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, &case.text).unwrap();
    let mut command = Command::new(e2e::cluster::appstack());
    command.args(["render", "--max-pod-security", "Privileged", "--namespace", &t.space.name]).arg(&file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
    e2e::space::documents(&String::from_utf8(output.stdout).unwrap())
}

// B72: "`Refused` on that service with the server's text, no hot retry, other services go on".
#[test]
fn what_only_the_server_of_the_children_refuses_is_said_of_the_service() {
    live("bad_input_refused", async |t| {
        let _operator = t.space.operator().start();
        let cases: Vec<Case> = corpus().into_iter().filter(|c| !c.then.is_empty()).collect();
        assert!(!cases.is_empty());
        for case in cases {
            t.space.apply(&case.text).await;
            let web = eventually(SOON, &format!("{} to be told of", case.name), async || {
                let status = t.space.status("shop").await;
                let web = status["services"]["web"].clone();
                let others = json::entries(&status, "/services").filter(|(name, _)| *name != "web");
                let go_on = others.map(|(_, service)| service["state"] == "Ready").reduce(|a, b| a && b);
                if web["state"] == "Failed" && go_on == Some(true) { Ok(web) } else { Err(status.to_string()) }
            })
            .await;
            assert_eq!(web["reason"], "Refused", "{}: {web}", case.name);
            assert!(json::text(&web, "/message").contains(&case.then), "{}: {web}", case.name);
            let audit = t.audit();
            let mark = audit.mark().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            let retries = audit.since(mark).await.child_writes().len();
            assert!(retries <= 3, "{}: tried {retries} times in 3 s", case.name);

            t.space
                .apply_object(&stack("shop", &json!({"web": {"image": "web:good"}, "api": {"image": "api:1"}})))
                .await;
            t.space.wait_ready("shop", SOON).await;
            t.space.delete(Kind::AppStack, "shop").await;
        }
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
        let bad: Vec<Case> =
            corpus().into_iter().filter(|c| c.verdict == "refused-by-operator" && c.grants.is_empty()).collect();
        for case in &bad {
            t.space.apply_object(&case.stack()).await;
            stalled(&t, case).await;
            assert_eq!(versions(&t, "shop").await, [""; 0], "{}: nothing may be created", case.name);
            // On real nodes that they heal is seen below, in one stack: a pod for each would take half an hour.
            if !Cluster::get().real {
                t.space.apply_object(&good).await;
                t.space.wait_ready("shop", SOON).await;
                heals_where_it_runs(&t, case, &good).await;
            }
            t.space.delete(Kind::AppStack, "shop").await;
            eventually(SOON, "the stack's children to be gone", async || {
                let left = versions(&t, "shop").await;
                let stack = t.space.get(Kind::AppStack, "shop").await;
                if left.is_empty() && stack.is_none() { Ok(()) } else { Err(left.join(" ")) }
            })
            .await;
        }
        if Cluster::get().real {
            t.space.apply_object(&good).await;
            t.space.wait_ready("shop", SOON).await;
            for case in &bad {
                heals_where_it_runs(&t, case, &good).await;
            }
        }
        assert_eq!(versions(&t, "other").await, others, "another stack is untouched");
    });
}

/// The good spec runs; the bad one changes nothing of that, and going back heals.
async fn heals_where_it_runs(t: &Live, case: &Case, good: &Value) {
    let before = versions(t, "shop").await;
    t.space.apply_object(&case.stack()).await;
    stalled(t, case).await;
    assert_eq!(versions(t, "shop").await, before, "{}: what runs stays as it is", case.name);
    t.space.apply_object(good).await;
    t.space.wait_ready("shop", SOON).await;
    let status = t.space.get(Kind::AppStack, "shop").await.unwrap();
    assert!(!json::holds(&status, "Stalled"), "{}: still stalled: {}", case.name, status["status"]);
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
