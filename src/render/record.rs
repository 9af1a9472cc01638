//! What a service's pods are made from, kept for the time when a later definition fails.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Part, metadata};
use crate::child::{Kind, labels};
use crate::stack::{Service, Stack, names};

/// `<stack>-<service>-<hash8>`: the template of a workload, for a service that is to go back to it. Its content never changes. It does not carry the labels that
/// select the workload's pods, or the workload's own controller would adopt it (T21).
pub(super) fn record(stack: &Stack, service: &Service, kind: Kind, workload: &Value) -> Option<Value> {
    if service.update.history == 0 {
        return None;
    }
    let mut meta =
        metadata::owned(stack, names::joined(&[&stack.name, &service.name, &service.revision]), &Part::Stack);
    meta.labels.get_or_insert_default().insert(labels::HISTORY_OF.into(), service.name.clone());
    meta.annotations = Some(BTreeMap::from([
        (labels::REVISION.to_owned(), service.revision.clone()),
        (labels::DEFINITION.to_owned(), service.definition.clone()),
        (labels::WORKLOAD.to_owned(), kind.to_string()),
    ]));
    Some(json!({"metadata": meta, "data": {"template": workload["spec"]["template"]}, "revision": 1}))
}
