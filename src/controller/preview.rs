//! What the operator would do to the children of a stack: the same rendering, plan and bodies, under the same field manager, sent as dry runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::future::try_join_all;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use super::apply::{body, keep_count, keep_notes, restored};
use super::error::without_dump;
use super::reconcile::ungated;
use crate::api::AppStack;
use crate::child::{Child, ChildId, Kind, MANAGER, labels};
use crate::render::{Settings, Wanted, render};
use crate::rollout::{Body, Guard, Seen, Write, doomed, later, plan};
use crate::stack::Stack;
use crate::stack::neighbours::{Neighbour, Neighbours, awaited};

/// Dry runs under way at once.
const WINDOW: usize = 8;

/// A child that would not stay as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which.
    pub id: ChildId,
    /// As it is; none if there is none.
    pub live: Option<Value>,
    /// As the API server says that it would be, or, of a child that is made, as it is sent; none of one that goes.
    pub then: Option<Value>,
    /// Why not now.
    pub later: Option<String>,
}

/// What would come of a stack.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// In the order in which the operator writes, then what it deletes.
    pub changes: Vec<Change>,
    /// What cannot be written, and why.
    pub refused: Vec<(ChildId, String)>,
}

/// What is to be done to a child.
enum Deed<'a> {
    Write(&'a Write),
    Later(Guard, String),
    Delete(Option<String>),
}

/// The children that the operator would change, were `written` what the stack says: what can be written now, what waits, what goes. Writes nothing; asks for
/// the rights that the writes would need. Fails where the API server cannot be asked, or refuses to list what there is.
pub async fn preview(client: &Client, written: &AppStack, stack: &Stack, settings: &Settings) -> kube::Result<Preview> {
    let looking = Looking { client, namespace: &stack.namespace, stack };
    let wanted = render(stack, settings);
    let (children, missing) = looking.children().await?;
    let unready = awaited(&stack.depends_on, &looking.neighbours().await?);
    let seen = Seen {
        children: &children,
        refused: &BTreeMap::new(),
        settled: &BTreeMap::new(),
        missing: &missing,
        unready: &unready,
        ungated: &ungated(written),
        now: Timestamp::now(),
    };
    let plan = plan(stack, &wanted, &seen);
    let mut deeds: Vec<(ChildId, Deed<'_>)> =
        plan.writes.iter().map(|write| (write.id.clone(), Deed::Write(write))).collect();
    deeds.extend(later(stack, &wanted, &seen, &plan).into_iter().map(|l| (l.id, Deed::Later(l.guard, l.why))));
    deeds.sort_by(|(a, _), (b, _)| a.cmp(b));
    // A kind may need another object of the same name gone first: that is one change of one object.
    let is_written = |id: &ChildId| deeds.iter().any(|(written, _)| written == id);
    let mut deletes: Vec<(ChildId, Deed<'_>)> = plan
        .deletes
        .iter()
        .filter(|delete| !is_written(&delete.id))
        .map(|d| (d.id.clone(), Deed::Delete(None)))
        .collect();
    let waits = || Some("once the services that are held or rolling are at rest".to_owned());
    deletes.extend(doomed(stack, &wanted, &seen, &plan).into_iter().map(|id| (id, Deed::Delete(waits()))));
    deeds.extend(deletes);

    let mut preview = Preview::default();
    preview.refused.extend(plan.refusals.iter().map(|(id, refusal)| (id.clone(), refusal.message.clone())));
    let calls = deeds.into_iter().map(|(id, deed)| {
        let (wanted, looking) = (wanted.get(&id), &looking);
        async move { (looking.look(&id, wanted, deed).await, id) }
    });
    let mut answers = futures::stream::iter(calls).buffered(WINDOW);
    while let Some((answer, id)) = answers.next().await {
        match answer {
            Ok(change) => preview.changes.extend(change.filter(|change| change.live != change.then)),
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 404 | 409 | 413 | 422 | 500) => {
                preview.refused.push((id, without_dump(&status.message)));
            }
            Err(other) => return Err(other),
        }
    }
    Ok(preview)
}

struct Looking<'a> {
    client: &'a Client,
    namespace: &'a str,
    stack: &'a Stack,
}

type Seeing = (BTreeMap<ChildId, Arc<Child>>, BTreeSet<Kind>);

impl Looking<'_> {
    /// What carries the label of the stack, and the kinds that this cluster does not know.
    async fn children(&self) -> kube::Result<Seeing> {
        let params = ListParams::default().labels(&format!("{}={}", labels::STACK, self.stack.name));
        let lists = try_join_all(Kind::ALL.iter().map(async |kind| {
            let api: Api<Child> = Api::namespaced_with(self.client.clone(), self.namespace, kind);
            match api.list(&params).await {
                Ok(list) => Ok((*kind, Some(list.items))),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok((*kind, None)),
                Err(error) => Err(error),
            }
        }));
        let mut seeing = Seeing::default();
        for (kind, list) in lists.await? {
            if list.is_none() {
                seeing.1.insert(kind);
            }
            let named =
                |child: Child| (ChildId { kind, name: child.meta.name.clone().unwrap_or_default() }, Arc::new(child));
            seeing.0.extend(list.into_iter().flatten().map(named));
        }
        Ok(seeing)
    }

    /// The stacks that this one may wait for.
    async fn neighbours(&self) -> kube::Result<Neighbours> {
        if self.stack.depends_on.is_empty() {
            return Ok(Neighbours::default());
        }
        let api: Api<AppStack> = Api::namespaced(self.client.clone(), self.namespace);
        let stacks = api.list(&ListParams::default()).await?.items;
        Ok(stacks.iter().map(|stack| (stack.name_any(), Neighbour::of(stack))).collect())
    }

    /// What a deed would come to; none if to nothing.
    async fn look(&self, id: &ChildId, wanted: Option<&Wanted>, deed: Deed<'_>) -> kube::Result<Option<Change>> {
        let live = self.whole(id).await?;
        let change = |live, then, later| Ok(Some(Change { id: id.clone(), live, then, later }));
        let (write, later) = match (deed, wanted) {
            (Deed::Delete(later), _) => return if live.is_some() { change(live, None, later) } else { Ok(None) },
            (Deed::Write(write), Some(_)) => (write.clone(), None),
            (Deed::Write(Write { body: Body::Grow { size, .. }, .. }), None) => {
                let grown = live.clone().map(|mut claim| {
                    claim["spec"]["resources"]["requests"]["storage"] = json!(size);
                    claim
                });
                return change(live, grown, None);
            }
            (Deed::Later(guard, why), Some(_)) => {
                let body = Body::Object { guard, replicas: None, keep: None, good: None, filled: None };
                (Write { id: id.clone(), body, after: Vec::new(), instead_of: None }, Some(why))
            }
            _ => return Ok(None),
        };
        let Some(wanted) = wanted else { return Ok(None) };
        let body = match &write.body {
            Body::Scale { count } => {
                let scaled = live.clone().map(|mut workload| {
                    workload["spec"]["replicas"] = json!(count);
                    workload
                });
                return change(live, scaled, later);
            }
            Body::Grow { .. } => return Ok(None),
            Body::Object { guard, replicas, keep, good, filled } => {
                let notes = [keep.as_deref(), good.as_deref(), filled.as_deref()];
                body(wanted, id, &by_uid(guard), *replicas, notes)
            }
            Body::Restore { guard, replicas, keep, from, good, failed } => {
                let Some(record) = self.whole(from).await? else { return Ok(None) };
                let body = body(wanted, id, &by_uid(guard), *replicas, [keep.as_deref(), Some(good), None]);
                restored(body, &record, good, failed.as_ref())
            }
        };
        // It is made anew: until the old one is gone, the server cannot be asked.
        if write.instead_of.is_some() {
            let note = "made anew, since it cannot be changed into this".to_owned();
            return change(live, Some(as_sent(body)), Some(note));
        }
        self.try_out(id, wanted, live, body, later).await
    }

    async fn try_out(
        &self,
        id: &ChildId,
        wanted: &Wanted,
        live: Option<Value>,
        mut body: Value,
        later: Option<String>,
    ) -> kube::Result<Option<Change>> {
        // One that no watch of ours shows: somebody took its labels away. The operator takes back what is of this stack, and leaves the rest alone.
        if body["metadata"]["uid"].is_null()
            && let Some(there) = live.as_ref().and_then(|live| serde_json::from_value::<Child>(live.clone()).ok())
            && !there.is_going()
            && there.is_of(&self.stack.name, &self.stack.uid, &wanted.labels().collect::<Vec<_>>())
        {
            if let Some(meta) = body["metadata"].as_object_mut() {
                meta.remove("resourceVersion");
                meta.insert("uid".into(), json!(there.meta.uid));
            }
            keep_notes(&mut body, &there);
            if id.kind.starts_pods() {
                keep_count(&mut body, &there);
            }
        }
        let params = PatchParams::apply(MANAGER).force().dry_run();
        if self.stack.uid.is_empty()
            && let Some(meta) = body["metadata"].as_object_mut()
        {
            meta.remove("ownerReferences"); // the stack is not there yet, and the server wants a uid
        }
        let is_new = body["metadata"]["uid"].is_null();
        let answer = self.api(id.kind).patch(&id.name, &params, &Patch::Apply(&body)).await?;
        let then = if is_new { as_sent(body) } else { whole(answer) };
        Ok(Some(Change { id: id.clone(), live, then: Some(then), later }))
    }

    async fn whole(&self, id: &ChildId) -> kube::Result<Option<Value>> {
        Ok(self.api(id.kind).get_opt(&id.name).await?.map(whole))
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        let names = kind.names();
        let gvk = GroupVersionKind::gvk(names.group, names.version, names.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, names.plural);
        Api::namespaced_with(self.client.clone(), self.namespace, &resource)
    }
}

/// A dry run changes nothing that may have moved meanwhile: that it is this object is guard enough.
fn by_uid(guard: &Guard) -> Guard {
    match guard {
        Guard::Version(uid, _) => Guard::Uid(uid.clone()),
        other => other.clone(),
    }
}

fn whole(object: DynamicObject) -> Value {
    let mut object = serde_json::to_value(object).unwrap_or_default();
    strip(&mut object, &["managedFields", "resourceVersion", "generation"]);
    if let Some(all) = object.as_object_mut() {
        all.remove("status");
    }
    object
}

/// Of a child that is made, numbers and addresses that the server chooses by chance would say nothing.
fn as_sent(mut body: Value) -> Value {
    strip(&mut body, &["resourceVersion", "uid"]);
    body
}

fn strip(object: &mut Value, fields: &[&str]) {
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.retain(|field, _| !fields.contains(&field.as_str()));
        if let Some(notes) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            notes.remove(labels::SENT); // of what is sent, and says nothing that is not there
        }
    }
}
