//! Stacks that are kept in Git: nothing differs once they are applied, and nothing below them is taken for Git's.

use std::collections::BTreeMap;

use e2e::samples::{ALL, Sample, run as program, stack_of};
use e2e::{Kind, Live, argo, cluster, eventually, json, live};
use kube::api::{DeleteParams, Patch, PatchParams, ValidationDirective};
use serde_json::{Value, json};

use crate::commands::run;
use crate::stacks::{SOON, one_of_each, operator_has_looked, service, stack, wait_state};

/// Who brings a stack from Git to the cluster, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tool {
    /// Argo CD as it comes: `kubectl apply`, with what was applied in an annotation.
    Argo,
    /// Argo CD with `ServerSideApply=true`.
    ArgoServerSide,
    Flux,
}

const TOOLS: [Tool; 3] = [Tool::Argo, Tool::ArgoServerSide, Tool::Flux];

impl Tool {
    fn manager(self) -> &'static str {
        if self == Tool::Flux { "kustomize-controller" } else { "argocd-controller" }
    }

    /// What it writes on all that is its own, in each of its ways to know it again.
    fn marked(self, stack: &Value) -> Value {
        let mut marked = stack.clone();
        let (annotations, labels) = if self == Tool::Flux {
            let prefix = "kustomize.toolkit.fluxcd.io";
            (json!({}), json!({format!("{prefix}/name"): "shops", format!("{prefix}/namespace"): "flux-system"}))
        } else {
            let tracked = format!("shops:appstack.dev/AppStack:prod/{}", json::name(stack));
            (json!({"argocd.argoproj.io/tracking-id": tracked}), json!({"app.kubernetes.io/instance": "shops"}))
        };
        marked["metadata"] = argo::patched(&marked["metadata"], &json!({"annotations": annotations, "labels": labels}));
        marked
    }

    async fn apply(self, t: &Live, stack: &Value) {
        if self != Tool::Argo {
            self.apply_server_side(t, stack, false).await;
            return;
        }
        kubectl(t, &["apply", "--field-manager", self.manager(), "-f", "-"], &self.marked(stack).to_string());
    }

    async fn apply_server_side(self, t: &Live, stack: &Value, dry_run: bool) -> Value {
        let how = PatchParams {
            dry_run,
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::apply(self.manager()).force()
        };
        let answer =
            t.space.api(Kind::AppStack).patch(json::name(stack), &how, &Patch::Apply(self.marked(stack))).await;
        serde_json::to_value(answer.unwrap_or_else(|e| panic!("{self:?}: {}: {e}", json::name(stack)))).unwrap()
    }

    /// What this tool would change, by each of Argo CD's ways to compare; null is nothing at all.
    async fn differences(self, t: &Live, stack: &Value) -> Value {
        let live = t.space.get(Kind::AppStack, json::name(stack)).await.expect("the stack");
        let predicted = self.apply_server_side(t, stack, true).await;
        let said = argo::differences(&self.marked(stack), &live, &predicted);
        if said["serverSide"].is_null() && self != Tool::Argo {
            assert_eq!(without_times(predicted), without_times(live), "{self:?}: nothing else differs either");
        }
        let [server_side, legacy] = ["serverSide", "legacy"].map(|way| without_generation(said[way].clone()));
        assert_eq!(server_side, legacy, "{self:?}");
        server_side
    }
}

fn kubectl(t: &Live, args: &[&str], input: &str) {
    let ours = cluster::root().join("target/cluster/bin/kubectl");
    let kubectl = if ours.exists() { ours } else { "kubectl".into() };
    let kubeconfig = cluster::Cluster::get().kubeconfig.to_str().expect("a path");
    let at = ["--kubeconfig", kubeconfig, "--namespace", &t.space.name];
    let said = program(&kubectl, &[&at, args].concat(), input.as_bytes());
    assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
}

/// A dry run that changes a spec counts it.
fn without_generation(mut patch: Value) -> Value {
    if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generation");
        if metadata.is_empty() {
            patch.as_object_mut().expect("a patch").remove("metadata");
        }
    }
    patch
}

/// Who owns which fields is a part of it; since when, and so the order of the owners, is not.
fn without_times(mut object: Value) -> Value {
    if let Some(owners) = object["metadata"]["managedFields"].as_array_mut() {
        for owner in owners.iter_mut() {
            owner.as_object_mut().expect("an owner").remove("time");
            // The server writes it where nothing is left in it, and not always.
            if let Some(fields) = owner["fieldsV1"]["f:metadata"].as_object_mut()
                && fields.get("f:annotations").is_some_and(|none| *none == json!({}))
            {
                fields.remove("f:annotations");
            }
        }
        owners.sort_by_key(Value::to_string);
    }
    object
}

// "no diff noise after sync": whatever a stack may say, the server keeps it as it was written.
#[test]
fn no_sample_differs_once_it_is_applied() {
    argo::built(); // takes minutes, which are no test's time
    live("gitops_samples", async |t| {
        let mut stacks = vec![one_of_each("each")];
        let hello = Sample { stack: "hello", variant: None, path: "hello.yaml", profiles: None, is_imported: false };
        stacks.extend(ALL.into_iter().chain([hello]).map(|sample| stack_of(&mut sample.documents()).clone()));
        let count = stacks.len();
        for stack in stacks {
            for tool in TOOLS {
                tool.apply(&t, &stack).await;
                let found = tool.differences(&t, &stack).await;
                assert!(found.is_null(), "{tool:?}: {}: {found:#}", json::name(&stack));
                t.space.api(Kind::AppStack).delete(json::name(&stack), &DeleteParams::default()).await.expect("gone");
            }
        }
        t.shows(format!("{count} stacks by {} tools, no difference", TOOLS.len()));
    });
}

// "server-side diff is empty on a converged stack"
#[test]
fn a_converged_stack_has_no_difference_and_what_it_is_made_of_is_not_gits() {
    argo::built(); // takes minutes, which are no test's time
    for (test, tool) in ["gitops_argo", "gitops_server_side", "gitops_flux"].into_iter().zip(TOOLS) {
        live(test, async |t| {
            let _operator = t.space.operator().start();
            let stack = one_of_each("all");
            tool.apply(&t, &stack).await;
            t.space.wait_ready("all", SOON).await;
            operator_has_looked(&t, "all").await;
            let found = tool.differences(&t, &stack).await;
            assert!(found.is_null(), "{tool:?}: {found:#}");
            let count = assert_not_gits(&t, "all").await;
            assert!(count > 12, "{tool:?}: the stack is made of {count} objects");
        });
    }
}

/// No child has a mark by which a tool would take it for one of the objects that it keeps, and may prune. In its count of what is its own, Argo CD leaves out what has an owner.
async fn assert_not_gits(t: &Live, stack: &str) -> usize {
    let mut all = t.space.children(stack).await;
    let pods = t.space.list(Kind::Pod).await;
    all.extend(
        pods.into_iter().filter(|pod| json::label(pod, "appstack.dev/stack") == stack).map(|pod| (Kind::Pod, pod)),
    );
    for (kind, child) in &all {
        let what = format!("{kind} {}", json::name(child));
        for of in ["/metadata/labels", "/metadata/annotations", "/spec/template/metadata/labels"] {
            for (key, value) in json::entries(child, of) {
                let is_mark = key.starts_with("argocd.argoproj.io/") || key.contains(".fluxcd.io/");
                assert!(!is_mark && value != "shops", "{what} has {key}: {value}");
                assert_ne!(key, "kubectl.kubernetes.io/last-applied-configuration", "{what}");
            }
        }
        let is_owned = json::items(child, "/metadata/ownerReferences").any(|owner| owner["controller"] == true);
        let instance = json::label(child, "app.kubernetes.io/instance");
        assert!(
            is_owned || (*kind == Kind::PersistentVolumeClaim && instance.is_empty()),
            "{what} is nobody's: {instance}"
        );
    }
    all.len()
}

fn shop(log: &str) -> Value {
    let mut web = service("web:1", 50, &["db"]);
    web["replicas"] = json!(1);
    let mut log = service(log, 50, &[]);
    log["update"] = json!({"history": 2});
    let once = json!({"image": "job:1", "mode": "Job", "env": {"SIM_RUN_FOR": "100ms"}});
    let off = json!({"image": "off:1", "profiles": ["debug"]});
    stack("shop", &json!({"db": service("db:1", 50, &[]), "web": web, "log": log, "once": once, "off": off}))
}

/// The second version of the shop is up, and the first is kept.
async fn open_shop(t: &Live, tool: Tool) -> Value {
    for image in ["log:1", "log:2"] {
        tool.apply(t, &shop(image)).await;
        t.space.wait_ready("shop", SOON).await;
    }
    eventually(SOON, "both revisions to be kept", async || {
        let said = run(t, &["history", "shop", "log"]).await;
        if said.out.contains("log:1") { Ok(()) } else { Err(said.out) }
    })
    .await;
    shop("log:2")
}

async fn succeeds(t: &Live, args: &[&str]) {
    let said = run(t, args).await;
    assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
}

// "No write to the user's spec, no diff noise after sync": what people ask of a stack beside Git stays, unless Git says otherwise.
#[test]
fn what_commands_change_differs_only_where_git_says_something_else() {
    argo::built(); // takes minutes, which are no test's time
    for (test, tool) in [("gitops_commands_argo", Tool::Argo), ("gitops_commands_flux", Tool::Flux)] {
        live(test, async |t| {
            let _operator = t.space.operator().start();
            let git = open_shop(&t, tool).await;
            for (args, expected) in [
                (&["restart", "shop"][..], Value::Null),
                (&["rollback", "shop", "log"], Value::Null),
                (&["scale", "shop", "db=2"], Value::Null),
                (&["scale", "shop", "web=3"], json!({"spec": {"services": {"web": {"replicas": 1}}}})),
                (&["suspend", "shop"], json!({"spec": {"services": {"web": {"replicas": 1}}}})),
            ] {
                succeeds(&t, args).await;
                operator_has_looked(&t, &args.join("-").replace('=', "-")).await;
                assert_eq!(tool.differences(&t, &git).await, expected, "{tool:?} after {args:?}");
            }
            tool.apply(&t, &git).await; // the next sync
            assert_eq!(tool.differences(&t, &git).await, Value::Null, "{tool:?}");
            let live = t.space.get(Kind::AppStack, "shop").await.expect("the stack");
            let services = &live["spec"]["services"];
            assert_eq!((&services["db"]["replicas"], &services["web"]["replicas"]), (&json!(2), &json!(1)));
            assert_eq!(live["spec"]["suspend"], true);
            let asked = ["appstack.dev/restart.db", "appstack.dev/restart.web", "appstack.dev/rollback.log"];
            assert!(asked.iter().all(|key| !live["metadata"]["annotations"][key].is_null()), "{}", live["metadata"]);
            let mut says_so = git.clone();
            says_so["spec"]["suspend"] = json!(false);
            assert_eq!(tool.differences(&t, &says_so).await, json!({"spec": {"suspend": false}}), "{tool:?}");
        });
    }
}

/// The stamps of restarts on a stack, by service.
fn stamps(stack: &Value) -> BTreeMap<String, String> {
    let all = json::entries(stack, "/metadata/annotations");
    let all = all.filter_map(|(key, at)| Some((key.strip_prefix("appstack.dev/restart.")?, at.as_str()?)));
    all.map(|(service, at)| (service.to_owned(), at.to_owned())).collect()
}

// Argo CD's buttons do what `appstack restart`, `suspend` and `resume` do: the same fields, and the operator hears them.
#[test]
fn actions_of_argo_do_what_the_commands_do() {
    argo::built(); // takes minutes, which are no test's time
    live("gitops_actions", async |t| {
        let own = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": {"url": "kept"}});
        t.space.apply_object(&own).await;
        let file = argo::settings_file();
        kubectl(&t, &["patch", "configmap", "argocd-cm", "--patch-file", file.to_str().expect("a path")], "");
        let settings = t.space.get(Kind::ConfigMap, "argocd-cm").await.expect("it")["data"].clone();
        assert_eq!((settings.as_object().map(serde_json::Map::len), &settings["url"]), (Some(3), &json!("kept")));

        let _operator = t.space.operator().start();
        open_shop(&t, Tool::ArgoServerSide).await;
        succeeds(&t, &["rollback", "shop", "log"]).await;
        wait_state(&t, "shop", "log", "RolledBack").await;
        let live = async || t.space.get(Kind::AppStack, "shop").await.expect("the stack");

        let first = restarted(&t, "").await;
        succeeds(&t, &["restart", "shop"]).await;
        let second = restarted(&t, &first).await;
        let by_command = live().await;
        let stamped: Vec<String> = stamps(&by_command).into_keys().collect();
        assert_eq!(stamped, ["db", "web"], "no Job, nothing that is off, nothing that was rolled back by hand");
        let patch = argo::act(&by_command, "restart");
        assert_eq!(stamps(&patch).into_keys().collect::<Vec<_>>(), stamped, "{patch:#}");
        t.space.patch("shop", patch).await;
        restarted(&t, &second).await;

        for (action, suspended) in [("suspend", true), ("resume", false)] {
            let (before, patch) = (live().await, argo::act(&live().await, action));
            succeeds(&t, &[action, "shop"]).await;
            let by_command = live().await["spec"].clone();
            assert_eq!(argo::patched(&before["spec"], &patch["spec"]), by_command, "{action}: {patch}");
            eventually(SOON, action, async || {
                let health = argo::health([&live().await]).remove(0);
                let offered = argo::actions(&live().await);
                let is =
                    health["status"] == "Suspended" && offered["resume"] && !offered["suspend"] && !offered["restart"];
                if is == suspended { Ok(()) } else { Err(format!("{health} {offered:?}")) }
            })
            .await;
        }
    });
}

/// The revision that web is made from, once it is another one than this.
async fn restarted(t: &Live, before: &str) -> String {
    eventually(SOON, "web to restart", async || {
        let web = t.space.get(Kind::Deployment, "shop-web").await.unwrap_or_default();
        let now = json::text(&web, "/metadata/annotations/appstack.dev~1revision").to_owned();
        if now.is_empty() || now == before { Err(now) } else { Ok(now) }
    })
    .await
}
