//! The one thing that may write. It asks whether we still lead, puts a deadline on every call, and sorts what goes wrong.

use std::time::Duration;

use either::Either;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::account::{Accounts, Actor};
use super::error::Failure;
use super::lease::Leadership;
use super::store::Written;
use crate::api::{API_VERSION, AppStack, AppStackStatus};
use crate::child::{Child, ChildId, MANAGER};
use crate::stack::Stack;

/// Longest any call may take.
const CALL: Duration = Duration::from_secs(10);
/// Field manager of the status.
const STATUS_MANAGER: &str = "appstack-status";
/// Field manager of the count of a workload whose template is not at hand.
const REPLICAS_MANAGER: &str = "appstack-replicas";

/// Finalizer of a stack that goes in order.
pub(super) const TEARDOWN: &str = "appstack.dev/teardown";
/// Field manager of that finalizer.
const TEARDOWN_MANAGER: &str = "appstack-teardown";

/// Writes to the API server, as long as we lead.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    leadership: Leadership,
    accounts: Accounts,
    /// In whose name children are written; none: the operator's own.
    actor: Option<Actor>,
}

impl Writer {
    /// Writes with this client while that leadership lasts.
    pub fn new(client: Client, leadership: Leadership) -> Self {
        Writer { client, leadership, accounts: Accounts::default(), actor: None }
    }

    /// The same for one stack, whose children it writes and deletes in the name of the account that the stack names. What is read, the stack itself, its status
    /// and its finalizer stay the operator's.
    pub(super) fn acting_for(&self, stack: &Stack) -> Self {
        let actor = stack.apply_as.as_ref().map(|name| self.accounts.actor(&self.client, &stack.namespace, name));
        Writer { actor, ..self.clone() }
    }

    /// Server-side apply of a guarded body. `absent`: the guard wants that there is no such object.
    pub(super) async fn apply(
        &self,
        namespace: &str,
        id: &ChildId,
        body: &Value,
        absent: bool,
    ) -> Result<Child, Failure> {
        let params = PatchParams::apply(MANAGER).force();
        let api = self.children(namespace, id);
        self.act(absent, async { api.patch(&id.name, &params, &Patch::Apply(body)).await }).await
    }

    /// Sets only the count of pods.
    pub(super) async fn scale(&self, namespace: &str, id: &ChildId, count: i32) -> Result<(), Failure> {
        let body = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": id.name, "namespace": namespace}, "spec": {"replicas": count}});
        let params = PatchParams::apply(REPLICAS_MANAGER).force();
        let api = self.children(namespace, id);
        self.act(false, async { api.patch_scale(&id.name, &params, &Patch::Apply(&body)).await }).await.map(|_| ())
    }

    /// Deletes exactly this object, at exactly this version, with or without what it owns. True if it is gone already, false if it is on its way out.
    pub(super) async fn delete(
        &self,
        namespace: &str,
        id: &ChildId,
        child: &Child,
        orphan: bool,
    ) -> Result<bool, Failure> {
        let preconditions =
            Preconditions { uid: child.meta.uid.clone(), resource_version: child.meta.resource_version.clone() };
        let params = if orphan { DeleteParams::orphan() } else { DeleteParams::background() };
        let params = params.preconditions(preconditions);
        let api = self.children(namespace, id);
        match self.act(false, async { api.delete(&id.name, &params).await }).await {
            Ok(Either::Left(object)) => Ok(!object.is_going()),
            Ok(Either::Right(_)) | Err(Failure::Gone) => Ok(true),
            Err(other) => Err(other),
        }
    }

    /// One look at an object, whosever it is.
    pub(super) async fn look(&self, namespace: &str, id: &ChildId) -> Result<Option<Child>, Failure> {
        let api: Api<Child> = Api::namespaced_with(self.client.clone(), namespace, &id.kind);
        self.bounded(false, async { api.get_opt(&id.name).await }).await
    }

    /// One look at the whole of an object of ours.
    pub(super) async fn look_whole(&self, namespace: &str, id: &ChildId) -> Result<Option<Value>, Failure> {
        let names = id.kind.names();
        let resource = ApiResource {
            group: names.group.into(),
            version: names.version.into(),
            api_version: id.kind.api_version(),
            kind: names.kind.into(),
            plural: names.plural.into(),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let object = self.bounded(false, async { api.get_opt(&id.name).await }).await?;
        Ok(object.and_then(|object| serde_json::to_value(object).ok()))
    }

    /// Publishes the status of a stack as it was seen. The version is the guard: in a status, the server pays no heed to a uid.
    pub(super) async fn status(&self, seen: &Written, status: &AppStackStatus) -> Result<Written, Failure> {
        let (name, namespace) = (seen.name_any(), seen.namespace().unwrap_or_default());
        let meta = json!({"name": name, "namespace": namespace, "resourceVersion": seen.resource_version()});
        let body = json!({"apiVersion": API_VERSION, "kind": "AppStack", "metadata": meta, "status": status});
        let params = PatchParams::apply(STATUS_MANAGER).force();
        let api: Api<Written> = Api::namespaced(self.client.clone(), &namespace); // also of a stack that we cannot read
        self.bounded(false, async { api.patch_status(&name, &params, &Patch::Apply(&body)).await }).await
    }

    /// Puts our finalizer on a stack as it was seen, or takes it off, and touches nothing else of it. By its uid and its finalizers, not its version: that moves
    /// with every status of ours.
    pub(super) async fn hold(&self, seen: &Written, hold: bool) -> Result<Written, Failure> {
        let all = seen.finalizers();
        let at = all.iter().position(|name| name == TEARDOWN);
        let same = json!({"op": "test", "path": "/metadata/uid", "value": seen.uid()});
        let patch = match at {
            Some(at) if !hold => {
                let path = format!("/metadata/finalizers/{at}");
                json!([same, {"op": "test", "path": path, "value": TEARDOWN}, {"op": "remove", "path": path}])
            }
            // Where there is no list, it reads as null.
            _ if all.is_empty() => json!([same, {"op": "test", "path": "/metadata/finalizers", "value": null},
                {"op": "add", "path": "/metadata/finalizers", "value": [TEARDOWN]}]),
            _ => json!([same, {"op": "test", "path": "/metadata/finalizers", "value": all},
                {"op": "add", "path": "/metadata/finalizers/-", "value": TEARDOWN}]),
        };
        let patch = serde_json::from_value(patch).map_err(|error| Failure::Refused(error.to_string()))?;
        let params = PatchParams { field_manager: Some(TEARDOWN_MANAGER.into()), ..PatchParams::default() };
        let api: Api<Written> = Api::namespaced(self.client.clone(), &seen.namespace().unwrap_or_default());
        self.bounded(false, async { api.patch(&seen.name_any(), &params, &Patch::<()>::Json(patch)).await }).await
    }

    /// One look at whether the stack of this uid lives. Where it does not, its event is on the way.
    pub(super) async fn lives(&self, namespace: &str, name: &str, uid: &str) -> Result<(), Failure> {
        let api: Api<AppStack> = Api::namespaced(self.client.clone(), namespace);
        let live = self.bounded(false, async { api.get_metadata(name).await }).await?.metadata;
        let is_it = live.uid.as_deref() == Some(uid) && live.deletion_timestamp.is_none();
        if is_it { Ok(()) } else { Err(Failure::Stale) }
    }

    /// Whether a namespace is being deleted, with all that is in it. Who may not look is told no: then what is in it goes in its own order.
    pub(super) async fn is_namespace_going(&self, namespace: &str) -> bool {
        let api: Api<Namespace> = Api::all(self.client.clone());
        match self.bounded(false, async { api.get_metadata(namespace).await }).await {
            Ok(live) => live.metadata.deletion_timestamp.is_some(),
            Err(failure) => matches!(failure, Failure::Gone),
        }
    }

    /// To write them.
    pub(super) fn children(&self, namespace: &str, id: &ChildId) -> Api<Child> {
        let client = self.actor.as_ref().map_or(&self.client, |actor| &actor.client);
        Api::namespaced_with(client.clone(), namespace, &id.kind)
    }

    /// A write of a child.
    pub(super) async fn act<T>(&self, absent: bool, call: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        self.bounded(absent, call).await.map_err(|failure| match &self.actor {
            Some(actor) => actor.explained(failure),
            None => failure,
        })
    }

    pub(super) async fn bounded<T>(
        &self,
        absent: bool,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Failure> {
        let until = self.leadership.until().ok_or(Failure::Deposed)?;
        let deadline = Instant::from_std(until).min(Instant::now() + CALL);
        match timeout_at(deadline, call).await {
            Ok(answer) => answer.map_err(|error| Failure::of(&error, absent)),
            Err(_) => Err(Failure::Transient("the API server did not answer in time".into())),
        }
    }
}
