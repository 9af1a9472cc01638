//! Names, labels and owners of children.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta, OwnerReference,
};

use super::Part;
use crate::api::API_VERSION;
use crate::child::labels;
use crate::stack::Stack;

/// Metadata of a child that goes with its stack.
pub(super) fn owned(stack: &Stack, name: String, part: &Part) -> ObjectMeta {
    ObjectMeta {
        owner_references: Some(vec![OwnerReference {
            api_version: API_VERSION.into(),
            kind: "AppStack".into(),
            name: stack.name.clone(),
            uid: stack.uid.clone(),
            controller: Some(true),
            // Foreground deletion then waits for the children (T18).
            block_owner_deletion: Some(true),
        }]),
        ..kept(stack, name, part)
    }
}

/// Metadata of a child that outlives its stack.
pub(super) fn kept(stack: &Stack, name: String, part: &Part) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(stack.namespace.clone()),
        labels: Some(all(stack, part)),
        ..ObjectMeta::default()
    }
}

/// Our own labels of an object for this part: by these, and the stack's, it is known again.
pub(super) fn identity(stack: &Stack, part: &Part) -> BTreeMap<String, String> {
    let own = match part {
        Part::Stack => None,
        Part::Network(name) => Some((labels::NETWORK, name)),
        Part::Volume(name) => Some((labels::VOLUME, name)),
        Part::Config(name) => Some((labels::CONFIG, name)),
        Part::Alias(name) => Some((labels::ALIAS, name)),
        Part::Service(name) => Some((labels::SERVICE, name)),
    };
    let mut map = BTreeMap::from([(labels::STACK.to_owned(), stack.name.clone())]);
    map.extend(own.map(|(key, value)| (key.to_owned(), value.clone())));
    map
}

/// Ours and the recommended ones. The stack's own labels are not copied: other tools would take children for theirs.
pub(super) fn all(stack: &Stack, part: &Part) -> BTreeMap<String, String> {
    let mut map = identity(stack, part);
    map.insert("app.kubernetes.io/managed-by".into(), "appstack".into());
    map.insert("app.kubernetes.io/part-of".into(), stack.name.clone());
    if let Part::Service(service) = part {
        map.insert("app.kubernetes.io/name".into(), service.clone());
        map.insert("app.kubernetes.io/instance".into(), stack.name.clone());
    }
    map
}

/// Pods of the stack with these labels of ours. Every selector carries the stack.
pub(super) fn pods(stack: &Stack, present: &[String]) -> LabelSelector {
    let requirement =
        |key: &String| LabelSelectorRequirement { key: key.clone(), operator: "Exists".into(), values: None };
    LabelSelector {
        match_labels: Some(identity(stack, &Part::Stack)),
        match_expressions: super::filled(present.iter().map(requirement).collect()),
    }
}
