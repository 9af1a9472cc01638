//! The API server of these tests: keeps what is applied, answers what it is told to, and writes everything down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::core::DeserializeGuard;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::watcher::Event;
use serde_json::{Map, Value, json};

use crate::api::PodSecurity;
use crate::child::{Child, Kind};
use crate::controller::lease::Leadership;
use crate::controller::publish::Publisher;
use crate::controller::queue::Outcome;
use crate::controller::reconcile::{Context, reconcile};
use crate::controller::run::Options;
use crate::controller::store::{StackKey, Store};
use crate::controller::writer::Writer;
use crate::ops::Ops;
use crate::render::Settings;
use crate::stack::ApplyAs;

/// Where the namespace is kept.
pub(super) const NAMESPACE: &str = "/api/v1/namespaces/n";

/// A request as it came in.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) verb: String,
    pub(super) path: String,
    pub(super) body: Value,
}

/// Answers out of turn: (verb and end of the path, how often, status code, message); 0 hangs.
pub(super) type Fault = (&'static str, usize, u16, &'static str);

#[derive(Default)]
pub(super) struct State {
    pub(super) objects: HashMap<String, Value>,
    pub(super) sent: Vec<Sent>,
    pub(super) faults: Vec<Fault>,
    version: u64,
}

pub(super) struct Fake {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) context: Context,
    key: StackKey,
}

impl Fake {
    pub(super) fn new(services: &Value) -> Self {
        Self::led_until(services, Some(Instant::now() + Duration::from_secs(3600)))
    }

    pub(super) fn led_until(services: &Value, until: Option<Instant>) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let answering = state.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let state = answering.clone();
            async move { Ok::<_, std::io::Error>(answer(&state, request).await) }
        });
        let context = context(Client::new(service, "n"), until);
        let fake = Fake { state, context, key: StackKey { namespace: "n".into(), name: "s".into() } };
        fake.write_stack(1, services);
        fake
    }

    /// The user writes the stack.
    pub(super) fn write_stack(&self, generation: i64, services: &Value) {
        self.write(generation, &json!({"services": services}));
    }

    pub(super) fn write(&self, generation: i64, spec: &Value) {
        self.write_as("uid-1", generation, spec);
    }

    /// The user deletes the stack.
    pub(super) fn delete_stack(&self) {
        let mut state = self.state.lock().unwrap();
        let mut stack = state.objects.remove("appstacks/s").unwrap();
        state.version += 1;
        stack["metadata"]["resourceVersion"] = json!(state.version.to_string());
        self.context.store.stack_event(Event::Delete(serde_json::from_value(stack).unwrap()));
    }

    /// The user deletes the stack, and a finalizer holds it.
    pub(super) fn begin_deletion(&self) {
        self.change_stack(|stack| stack["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z"));
    }

    /// Somebody changes the stack as a whole.
    pub(super) fn change_stack(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let version = state.version.to_string();
        let stack = state.objects.get_mut("appstacks/s").unwrap();
        change(stack);
        stack["metadata"]["resourceVersion"] = json!(version);
        let guard = serde_json::from_value(stack.clone()).unwrap();
        self.context.store.stack_event(Event::Apply(guard));
    }

    /// Who the stack is held by.
    pub(super) fn finalizers(&self) -> Value {
        self.state.lock().unwrap().objects["appstacks/s"]["metadata"]["finalizers"].clone()
    }

    /// An object is there, as its watch tells.
    pub(super) fn appears(&self, kind: Kind, object: &Value) {
        let mut object = object.clone();
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        state.objects.insert(format!("{}/{name}", kind.names().plural), object.clone());
        self.context.store.child_event(kind, Event::Apply(serde_json::from_value(object).unwrap()));
    }

    /// The watches tell of everything that the server has deleted.
    pub(super) fn tell_of_deletions(&self) {
        let mut state = self.state.lock().unwrap();
        let known = self.context.store.children(&self.key);
        for (id, child) in known.iter() {
            if !state.objects.contains_key(&format!("{}/{}", id.kind.names().plural, id.name)) {
                let mut gone = child.as_ref().clone();
                state.version += 1;
                gone.meta.resource_version = Some(state.version.to_string());
                self.context.store.child_event(id.kind, Event::Delete(gone));
            }
        }
    }

    /// Somebody takes the labels off an object: for a watch that goes by labels, it is gone.
    pub(super) fn loses_labels(&self, kind: Kind, name: &str) {
        let place = format!("{}/{name}", kind.names().plural);
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let version = json!(state.version.to_string());
        let object = state.objects.get_mut(&place).unwrap();
        object["metadata"]["resourceVersion"] = version;
        let seen = serde_json::from_value(object.clone()).unwrap();
        object["metadata"].as_object_mut().unwrap().remove("labels");
        self.context.store.child_event(kind, Event::Delete(seen));
    }

    /// An object goes for good.
    pub(super) fn goes(&self, place: &str) {
        self.state.lock().unwrap().objects.remove(place);
        self.tell_of_deletions();
    }

    pub(super) fn write_as(&self, uid: &str, generation: i64, spec: &Value) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let before = state.objects.get("appstacks/s").cloned().unwrap_or_default();
        let status = before.get("status").cloned().unwrap_or(json!({"observedGeneration": -1}));
        let mut stack = json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "spec": spec, "status": status,
            "metadata": {"name": "s", "namespace": "n", "uid": uid, "generation": generation, "resourceVersion": state.version.to_string()}});
        for key in ["finalizers", "deletionTimestamp"] {
            if let Some(kept) = before["metadata"].get(key) {
                stack["metadata"][key] = kept.clone();
            }
        }
        state.objects.insert("appstacks/s".into(), stack.clone());
        state.objects.insert(NAMESPACE.into(), json!({"metadata": {"name": "n"}}));
        let guard: DeserializeGuard<crate::api::AppStack> = serde_json::from_value(stack).unwrap();
        self.context.store.stack_event(Event::Apply(guard));
    }

    pub(super) fn fail(&self, faults: &[Fault]) {
        self.state.lock().unwrap().faults = faults.to_vec();
    }

    /// One pass; returns what was sent and how it ended. Events are apart: nothing waits for them.
    pub(super) async fn pass(&self) -> (Vec<Sent>, Outcome) {
        self.clear();
        let outcome = self.look().await;
        self.settled().await;
        (self.sent(), outcome)
    }

    pub(super) fn clear(&self) {
        self.state.lock().unwrap().sent.clear();
    }

    pub(super) fn sent(&self) -> Vec<Sent> {
        self.state.lock().unwrap().sent.iter().filter(|sent| !sent.path.starts_with("events")).cloned().collect()
    }

    /// One pass, whose status is still on its way.
    pub(super) async fn look(&self) -> Outcome {
        reconcile(&self.context, &self.key).await
    }

    pub(super) async fn settled(&self) {
        self.context.publisher.settled().await;
    }

    /// Reasons of the events that were told.
    pub(super) fn told(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let events = state.sent.iter().filter(|sent| sent.path.starts_with("events"));
        events.map(|sent| sent.body["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The cluster's controllers bring a Deployment up.
    pub(super) fn bring_up(&self, name: &str) {
        self.count(name, 1);
    }

    /// The cluster's controllers have brought a Deployment up, and count so many ready pods.
    pub(super) fn count(&self, name: &str, ready: i32) {
        self.says(
            name,
            &json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": ready, "availableReplicas": 1,
                "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]}),
        );
    }

    /// The cluster's controllers say this of a Deployment.
    pub(super) fn says(&self, name: &str, status: &Value) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let version = state.version.to_string();
        let object = state.objects.get_mut(&format!("deployments/{name}")).unwrap();
        object["metadata"]["resourceVersion"] = json!(version);
        object["status"] = status.clone();
        let child: Child = serde_json::from_value(object.clone()).unwrap();
        self.context.store.child_event(Kind::Deployment, Event::Apply(child));
    }

    pub(super) fn status(&self) -> Value {
        self.state.lock().unwrap().objects["appstacks/s"]["status"].clone()
    }

    pub(super) fn condition(&self, r#type: &str) -> Value {
        self.status()["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["type"] == r#type)
            .cloned()
            .unwrap_or_default()
    }
}

/// What passes and watches work with, by this client.
pub(super) fn context(client: Client, until: Option<Instant>) -> Context {
    let (store, writer) = (Arc::new(Store::default()), Writer::new(client.clone(), Leadership::for_test(until)));
    let recorder = Recorder::new(client, Reporter { controller: "appstack".into(), instance: None });
    Context {
        publisher: Publisher::new(store.clone(), writer.clone(), recorder),
        store,
        writer,
        options: Options {
            watch_namespace: None,
            selector: None,
            lease_namespace: "n".into(),
            identity: "test".into(),
            lease_term: Duration::from_secs(15),
            conflict_retry: Duration::from_secs(15),
            refusal_retry: Duration::from_secs(30),
            max_pod_security: PodSecurity::Baseline,
            apply_as: ApplyAs::Allowed,
            own_user: None,
            rendering: Settings::default(),
        },
        memories: Mutex::default(),
        ops: Ops::default(),
    }
}

/// `deployments/s-web`, `appstacks/s/status`
fn place(path: &str) -> String {
    path.split_once("/namespaces/n/").map_or(path, |(_, rest)| rest).to_owned()
}

async fn answer(state: &Mutex<State>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let (verb, path) = (parts.method.to_string(), place(parts.uri.path()));
    let (code, answer) = {
        let mut state = state.lock().unwrap();
        state.sent.push(Sent { verb: verb.clone(), path: path.clone(), body: body.clone() });
        let call = format!("{verb} {path}");
        let fault = state.faults.iter_mut().find(|(at, left, ..)| *left > 0 && call.contains(at)).map(
            |(_, left, code, message)| {
                *left -= 1;
                (*code, *message)
            },
        );
        match fault {
            Some((code, message)) => (code, refusal(code, message)),
            None => state.take(&verb, &path, body),
        }
    };
    if code == 0 {
        std::future::pending::<()>().await;
    }
    Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap()
}

fn refusal(code: u16, message: &str) -> Value {
    let reason = if code == 404 { "NotFound" } else { "x" };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code})
}

impl State {
    fn take(&mut self, verb: &str, path: &str, body: Value) -> (u16, Value) {
        match verb {
            "PATCH" if path.ends_with("/status") => {
                self.version += 1;
                let version = self.version.to_string();
                let Some(stack) = self.objects.get_mut("appstacks/s") else { return (404, refusal(404, "not found")) };
                if stack["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
                    return (409, refusal(409, "the object has been modified"));
                }
                stack["status"] = body["status"].clone();
                stack["metadata"]["resourceVersion"] = json!(version);
                (200, stack.clone())
            }
            "PATCH" if body.is_array() => self.patch(path, &body),
            "PATCH" => self.apply(path, body),
            "GET" => self.objects.get(path).map_or((404, refusal(404, "not found")), |object| (200, object.clone())),
            "DELETE" => {
                self.objects.remove(path);
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            _ => (201, body),
        }
    }

    /// A JSON patch: every test, then every change; an object that is on its way out goes with its last finalizer.
    fn patch(&mut self, path: &str, steps: &Value) -> (u16, Value) {
        let Some(mut object) = self.objects.get(path).cloned() else { return (404, refusal(404, "not found")) };
        for step in steps.as_array().unwrap() {
            let at = step["path"].as_str().unwrap();
            let (above, last) = at.rsplit_once('/').unwrap();
            match step["op"].as_str().unwrap() {
                "test" if object.pointer(at).unwrap_or(&Value::Null) == &step["value"] => {}
                "test" => return (422, refusal(422, "the server rejected our request due to an error in our request")),
                "add" if last == "-" => {
                    object.pointer_mut(above).unwrap().as_array_mut().unwrap().push(step["value"].clone());
                }
                "add" => object.pointer_mut(above).unwrap()[last] = step["value"].clone(),
                "remove" => {
                    object.pointer_mut(above).unwrap().as_array_mut().unwrap().remove(last.parse().unwrap());
                }
                other => panic!("{other}"),
            }
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let is_free = object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        if is_free && object["metadata"].get("deletionTimestamp").is_some() {
            self.objects.remove(path);
        } else {
            self.objects.insert(path.to_owned(), object.clone());
        }
        (200, object)
    }

    fn apply(&mut self, path: &str, mut object: Value) -> (u16, Value) {
        let live = self.objects.get(path);
        if live.is_some() && object["metadata"]["resourceVersion"] == "1" {
            return (409, refusal(409, "the object has been modified"));
        }
        if let Some(uid) = object["metadata"]["uid"].as_str()
            && live.is_none_or(|live| live["metadata"]["uid"] != uid)
        {
            return (409, refusal(409, "no existing object was found"));
        }
        let code = if live.is_some() { 200 } else { 201 };
        self.version += 1;
        let fields = fields(&object);
        let status = live.map_or(json!({}), |live| live["status"].clone());
        let meta = object["metadata"].as_object_mut().unwrap();
        meta.insert("resourceVersion".into(), json!(self.version.to_string()));
        meta.insert("generation".into(), json!(1));
        meta.entry("uid").or_insert(json!(format!("uid-of-{path}")));
        meta.insert("managedFields".into(), json!([{"manager": "appstack", "operation": "Apply", "fieldsV1": fields}]));
        object["status"] = status;
        self.objects.insert(path.to_owned(), object.clone());
        (code, object)
    }
}

/// `fieldsV1` of an applied object; every list counts as atomic.
fn fields(value: &Value) -> Value {
    let Value::Object(map) = value else { return json!({}) };
    let kept = map.iter().filter(|(key, _)| {
        !matches!(key.as_str(), "apiVersion" | "kind" | "resourceVersion" | "uid" | "name" | "namespace")
    });
    Value::Object(kept.map(|(key, value)| (format!("f:{key}"), fields(value))).collect::<Map<_, _>>())
}
