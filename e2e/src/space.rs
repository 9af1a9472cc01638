//! A namespace of its own for each test, and what tests do in it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, ValidationDirective,
};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::operator::Setup;
use crate::{Kind, json, steered};

/// Who the tests are in `managedFields`; the observer does not hold this manager's writes against the operator.
pub const HAND: &str = "e2e-hand";

/// A namespace.
#[derive(Clone)]
pub struct Space {
    /// Name of the namespace.
    pub name: String,
    /// Name of the test.
    pub test: String,
    /// An administrator's client.
    pub client: Client,
}

impl Space {
    pub(crate) async fn open(test: &str) -> Space {
        let client = Cluster::get().client(test).await;
        let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &core("Namespace"));
        let name = format!("e2e-{}", test.replace('_', "-"));
        let is_steered = steered::are_pods_steered();
        let made: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Namespace",
            // The server completes the name, so a namespace that is still going does not matter.
            "metadata": {"generateName": format!("{name}-"), "labels": {
                "appstack.dev/e2e": test, steered::LABEL: is_steered.to_string(),
            }},
        }))
        .unwrap();
        let made = namespaces.create(&PostParams::default(), &made).await.expect("a namespace");
        let space = Space { name: made.metadata.name.unwrap(), test: test.to_owned(), client };
        // Pods are refused before it is there, and the ReplicaSet controller then backs off, which would distort every time.
        let accounts: Api<DynamicObject> =
            Api::namespaced_with(space.client.clone(), &space.name, &core("ServiceAccount"));
        eventually(Duration::from_secs(20), "the namespace's default service account", async || {
            accounts.get("default").await.map(drop).map_err(|e| e.to_string())
        })
        .await;
        if is_steered {
            steered::steer(&space).await;
        }
        space
    }

    pub(crate) async fn remove(&self) {
        let namespaces: Api<DynamicObject> = Api::all_with(self.client.clone(), &core("Namespace"));
        let _ = namespaces.delete(&self.name, &DeleteParams::default()).await; // a leftover harms nobody
    }

    /// An operator for this namespace, to be started.
    pub fn operator(&self) -> Setup {
        Setup::new(self)
    }

    /// The objects of a kind.
    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        kind.api(self.client.clone(), &self.name)
    }

    /// Applies every document of a YAML text server-side, under strict validation, as a user would.
    pub async fn apply(&self, yaml: &str) {
        for document in documents(yaml) {
            self.apply_object(&document).await;
        }
    }

    /// Applies one object server-side, under strict validation.
    pub async fn apply_object(&self, object: &Value) -> Value {
        self.try_apply(object).await.unwrap_or_else(|e| panic!("applying {}: {e}\n{object:#}", json::name(object)))
    }

    /// Applies one object server-side, under strict validation; what the server says if it refuses.
    pub async fn try_apply(&self, object: &Value) -> Result<Value, String> {
        let api = self.api_of(object);
        let how =
            PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(HAND).force() };
        match api.patch(json::name(object), &how, &Patch::Apply(object)).await {
            Ok(live) => Ok(value(&live)),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(e) => panic!("applying {}: {e}", json::name(object)),
        }
    }

    /// Creates one object, with the fields that are not known refused.
    pub async fn create(&self, object: &Value) -> Value {
        let object: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
        let how = PostParams { field_manager: Some(HAND.to_owned()), ..PostParams::default() };
        let api = self.api_of(&value(&object));
        value(&api.create(&how, &object).await.unwrap_or_else(|e| panic!("creating {object:?}: {e}")))
    }

    /// Changes a stack by a JSON merge patch.
    pub async fn patch(&self, stack: &str, patch: Value) -> Value {
        self.edit(Kind::AppStack, stack, patch).await
    }

    /// Changes any object by a JSON merge patch, as `kubectl edit` would.
    pub async fn edit(&self, kind: Kind, name: &str, patch: Value) -> Value {
        let how = PatchParams { field_manager: Some(HAND.to_owned()), ..PatchParams::default() };
        let answer = self.api(kind).patch(name, &how, &Patch::Merge(&patch)).await;
        value(&answer.unwrap_or_else(|e| panic!("patching {kind} {name} with {patch}: {e}")))
    }

    /// A change that changes nothing the operator cares for, so that it has to look again.
    pub async fn touch(&self, stack: &str, mark: &str) {
        self.patch(stack, json!({"metadata": {"annotations": {"e2e/touched": mark}}})).await;
    }

    /// Deletes an object and returns when the server has accepted it.
    pub async fn delete(&self, kind: Kind, name: &str) {
        let how = DeleteParams::background();
        self.api(kind).delete(name, &how).await.unwrap_or_else(|e| panic!("deleting {kind} {name}: {e}"));
    }

    /// An object as it is now.
    pub async fn get(&self, kind: Kind, name: &str) -> Option<Value> {
        let found = self.api(kind).get_opt(name).await;
        found.unwrap_or_else(|e| panic!("reading {kind} {name}: {e}")).as_ref().map(value)
    }

    /// All objects of a kind.
    pub async fn list(&self, kind: Kind) -> Vec<Value> {
        let list = self.api(kind).list(&ListParams::default()).await.unwrap_or_else(|e| panic!("listing {kind}: {e}"));
        list.items.iter().map(value).collect()
    }

    /// Everything a stack is made of: the objects that carry its label, by kind and name.
    pub async fn children(&self, stack: &str) -> Vec<(Kind, Value)> {
        let mut found = Vec::new();
        for kind in Kind::CHILDREN {
            let all = self.list(kind).await;
            found.extend(all.into_iter().filter(|o| json::label(o, "appstack.dev/stack") == stack).map(|o| (kind, o)));
        }
        found
    }

    /// The stack's status.
    pub async fn status(&self, stack: &str) -> Value {
        self.get(Kind::AppStack, stack).await.map_or(Value::Null, |s| s["status"].clone())
    }

    /// Returns when the stack is Ready at its newest generation.
    pub async fn wait_ready(&self, stack: &str, timeout: Duration) {
        eventually(timeout, &format!("stack {stack} to be Ready"), async || {
            let live = self.get(Kind::AppStack, stack).await.ok_or("there is no such stack")?;
            let newest =
                json::number(&live, "/metadata/generation") == json::number(&live, "/status/observedGeneration");
            if newest && json::holds(&live, "Ready") { Ok(()) } else { Err(format!("{:#}", live["status"])) }
        })
        .await;
    }

    /// The namespace's events, oldest first, one per line.
    pub async fn events(&self) -> String {
        let mut events = self.list(Kind::Event).await;
        events.sort_by_key(json::version);
        events.iter().fold(String::new(), |mut text, e| {
            let about = (json::text(e, "/involvedObject/kind"), json::text(e, "/involvedObject/name"));
            let _ = writeln!(
                text,
                "  {}/{}: {}: {}",
                about.0,
                about.1,
                json::text(e, "/reason"),
                json::text(e, "/message")
            );
            text
        })
    }

    fn api_of(&self, object: &Value) -> Api<DynamicObject> {
        let (group, version) = json::text(object, "/apiVersion").rsplit_once('/').unwrap_or(("", "v1"));
        let kind = GroupVersionKind::gvk(group, version, json::text(object, "/kind"));
        Api::namespaced_with(self.client.clone(), &self.name, &ApiResource::from_gvk(&kind))
    }
}

/// Asks every 50 ms until the answer is `Ok`, and returns it; when the time is up, fails with what was last seen.
pub async fn eventually<T>(timeout: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begin = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if begin.elapsed() > timeout => panic!("waited {timeout:?} for {what}; last seen: {seen}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The documents of a YAML text.
pub fn documents(yaml: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap_or_else(|e| panic!("not YAML: {e}\n{yaml}"));
    all.into_iter().filter(|document| !document.is_null()).collect()
}

pub(crate) fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object is JSON")
}

fn core(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind))
}
