//! What belongs to a stack, as the API server has it.

use futures::future::try_join_all;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, PartialObjectMeta};
use kube::core::GroupVersionKind;

use super::server::{Asked, is_refused};
use crate::child::{Kind, labels};

/// The objects of these kinds that carry the label of the stack. A kind that the cluster does not know, or that the caller may not see, is left out; the
/// latter with a word on standard error.
pub(super) async fn objects(asked: &Asked, kinds: &[Kind]) -> kube::Result<Vec<(Kind, DynamicObject)>> {
    let params = params(asked);
    let lists = kinds.iter().map(async |kind| {
        let found = seen(asked, *kind, api(asked, &resource(*kind)).list(&params).await)?;
        Ok::<_, kube::Error>(found.into_iter().flat_map(|list| list.items).map(|object| (*kind, object)).collect())
    });
    Ok(try_join_all(lists).await?.into_iter().flat_map(|list: Vec<_>| list).collect())
}

/// Kind and metadata of everything that carries the label of the stack, ReplicaSets included.
pub(super) async fn metadata(asked: &Asked) -> kube::Result<Vec<(String, PartialObjectMeta<DynamicObject>)>> {
    let replica_sets =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("apps", "v1", "ReplicaSet"), "replicasets");
    let resources = Kind::ALL.iter().map(|kind| resource(*kind)).chain([replica_sets]);
    let params = params(asked);
    let lists = resources.map(async |resource| {
        let found = seen(asked, &resource.kind, api(asked, &resource).list_metadata(&params).await)?;
        let named = |object| (resource.kind.clone(), object);
        Ok::<_, kube::Error>(found.into_iter().flat_map(|list| list.items).map(named).collect())
    });
    Ok(try_join_all(lists).await?.into_iter().flat_map(|list: Vec<_>| list).collect())
}

fn params(asked: &Asked) -> ListParams {
    ListParams::default().labels(&format!("{}={}", labels::STACK, asked.name))
}

fn resource(kind: Kind) -> ApiResource {
    let names = kind.names();
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(names.group, names.version, names.kind), names.plural)
}

fn api(asked: &Asked, resource: &ApiResource) -> Api<DynamicObject> {
    Api::namespaced_with(asked.client.clone(), &asked.namespace, resource)
}

fn seen<T>(asked: &Asked, kind: impl std::fmt::Display, answer: kube::Result<T>) -> kube::Result<Option<T>> {
    match answer {
        Ok(list) => Ok(Some(list)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) if is_refused(&error) => {
            eprintln!("note: without {kind}s: {}", super::server::words(&error, &asked.namespace));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
