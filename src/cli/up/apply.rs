//! What goes to the API server: all of it tried out first, so that a refusal finds nothing done.

use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource as Resource, Status};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::cli::server::{is_refused, words};

/// Who writes it, to the API server.
pub(super) const MANAGER: &str = "appstack-up";
/// Label of Secrets and ConfigMaps that `up` made, by name of the stack: what it may take away again.
pub(super) const MADE_FOR: &str = "appstack.dev/up";

/// How managers of our own begin: what a person asked of a command holds until the files are applied again.
const OURS: &str = "appstack-";

/// An object on its way.
pub(super) struct Item {
    pub(super) kind: String,
    pub(super) name: String,
    api: Api<DynamicObject>,
    value: Value,
    /// As it was.
    pub(super) live: Option<DynamicObject>,
    force: bool,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Did {
    Created,
    Changed,
    Nothing,
}

impl Did {
    pub(super) fn word(self) -> &'static str {
        match self {
            Did::Created => "created",
            Did::Changed => "changed",
            Did::Nothing => "unchanged",
        }
    }
}

/// How the API server calls a kind of these files.
pub(super) fn resource(kind: &str) -> Resource {
    let of = |group: &str, version: &str, plural: &str| ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    match kind {
        "Secret" => of("", "v1", "secrets"),
        "ConfigMap" => of("", "v1", "configmaps"),
        _ => of("appstack.dev", "v1alpha1", "appstacks"),
    }
}

impl Item {
    /// Looks at what is there of it. One that `up` makes for a stack is marked, unless somebody else made it.
    pub(super) async fn of(
        client: &Client,
        namespace: &str,
        mut value: Value,
        stack: Option<&str>,
    ) -> kube::Result<Item> {
        let text = |field: &str| value.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        let api = Api::namespaced_with(client.clone(), namespace, &resource(&kind));
        let live = api.get_opt(&name).await?;
        let is_ours = |live: &DynamicObject| live.labels().get(MADE_FOR).map(String::as_str) == stack;
        if let Some(stack) = stack
            && live.as_ref().is_none_or(is_ours)
        {
            value["metadata"]["labels"][MADE_FOR] = json!(stack);
        }
        value["metadata"]["namespace"] = json!(namespace);
        Ok(Item { kind, name, api, value, live, force: false })
    }

    /// What it is called, to people.
    pub(super) fn words(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Has the server check it. What stands against it, a line each; a note where the files win over an earlier command of ours.
    pub(super) async fn try_out(
        &mut self,
        namespace: &str,
        force: bool,
    ) -> kube::Result<Result<Vec<String>, Vec<String>>> {
        self.force = force;
        if !force && let Some(keys) = self.theirs() {
            return Ok(Err(vec![format!("{}: somebody else has set {keys}, to something else", self.words())]));
        }
        match self.send(true).await {
            Ok(_) => Ok(Ok(Vec::new())),
            Err(kube::Error::Api(status)) if !conflicts(&status).is_empty() => {
                let conflicts = conflicts(&status);
                if conflicts.iter().all(|(manager, _)| manager.starts_with(OURS)) {
                    self.force = true;
                    let note = |(manager, field): &(String, String)| {
                        let command = manager.strip_prefix(OURS).unwrap_or_default();
                        format!(
                            "{}: {field} is as the files say again, and no more as `appstack {command}` left it",
                            self.words()
                        )
                    };
                    return self.send(true).await.map(|_| Ok(conflicts.iter().map(note).collect()));
                }
                let line = |(manager, field): &(String, String)| {
                    format!("{}: {manager} has set {field}, to something else", self.words())
                };
                Ok(Err(conflicts.iter().map(line).collect()))
            }
            Err(error) if is_refused(&error) => {
                Ok(Err(vec![format!("{}: {}", self.words(), words(&error, namespace))]))
            }
            Err(error) => Err(error),
        }
    }

    /// Keys of a Secret or ConfigMap that we never wrote, with something else behind them. Of what was written as `stringData` the server knows no owner,
    /// so it would see no conflict.
    fn theirs(&self) -> Option<String> {
        let live = self.live.as_ref().filter(|_| self.kind != "AppStack")?;
        if live.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some(MANAGER)) {
            return None;
        }
        let (there, ours) = (&live.data["data"], self.value["data"].as_object()?);
        let other = ours.iter().filter(|(key, value)| there.get(key.as_str()).is_some_and(|there| there != *value));
        let keys: Vec<String> = other.map(|(key, _)| format!("data.{key}")).collect();
        (!keys.is_empty()).then(|| keys.join(", "))
    }

    /// Applies it; what it is now.
    pub(super) async fn apply(&self) -> kube::Result<(Did, DynamicObject)> {
        let now = self.send(false).await?;
        Ok((self.did(&now), now))
    }

    /// What would become of it, as the server says.
    pub(super) async fn would(&self) -> kube::Result<Did> {
        let then = self.send(true).await?;
        Ok(self.did(&then))
    }

    async fn send(&self, is_dry: bool) -> kube::Result<DynamicObject> {
        let params = PatchParams { dry_run: is_dry, force: self.force, ..PatchParams::apply(MANAGER) };
        self.api.patch(&self.name, &params, &Patch::Apply(&self.value)).await
    }

    fn did(&self, now: &DynamicObject) -> Did {
        match &self.live {
            None => Did::Created,
            Some(live) if content(live) == content(now) => Did::Nothing,
            Some(_) => Did::Changed,
        }
    }

    /// Whether what is in a Secret or ConfigMap that was there is not what was in it.
    pub(super) fn has_other_data(&self, now: &DynamicObject) -> bool {
        let data = |object: &DynamicObject| [object.data["data"].clone(), object.data["binaryData"].clone()];
        self.live.as_ref().is_some_and(|live| data(live) != data(now))
    }
}

/// An object without what every write moves.
fn content(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.retain(|key, _| matches!(key.as_str(), "labels" | "annotations"));
    }
    value
}

/// Who has set what to something else, by a refusal for that reason.
fn conflicts(status: &Status) -> Vec<(String, String)> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let conflicts = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    // `conflict with "kubectl" using v1`
    conflicts
        .map(|cause| {
            let manager = cause.message.split('"').nth(1).unwrap_or("somebody");
            (manager.to_owned(), cause.field.trim_start_matches('.').to_owned())
        })
        .collect()
}

/// Secrets and ConfigMaps that `up` made for this stack and that are not in the files any more. Kinds that the caller may not list have none.
pub(super) async fn orphans(client: &Client, namespace: &str, stack: &str, kept: &[Item]) -> Vec<Orphan> {
    let mut found = marked(client, namespace, stack).await;
    found.retain(|orphan| !kept.iter().any(|item| item.kind == orphan.kind && item.name == orphan.name));
    found
}

/// All that `up` made for this stack beside it, as far as the caller may see it.
pub(super) async fn marked(client: &Client, namespace: &str, stack: &str) -> Vec<Orphan> {
    let ours = ListParams::default().labels(&format!("{MADE_FOR}={stack}"));
    let mut found = Vec::new();
    for kind in ["Secret", "ConfigMap"] {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource(kind));
        let list = api.list_metadata(&ours).await.map(|list| list.items).unwrap_or_default();
        found.extend(list.iter().map(|object| Orphan { kind, name: object.name_any(), api: api.clone() }));
    }
    found
}

/// What nobody needs any more.
pub(super) struct Orphan {
    kind: &'static str,
    name: String,
    api: Api<DynamicObject>,
}

impl Orphan {
    pub(super) fn words(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    pub(super) async fn delete(&self) -> kube::Result<()> {
        match self.api.delete(&self.name, &kube::api::DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_write_moves_is_no_change() {
        let object = |version: &str, generation: i64, image: &str| -> DynamicObject {
            serde_json::from_value(json!({"apiVersion": "v1", "kind": "X",
                "metadata": {"name": "a", "resourceVersion": version, "generation": generation, "managedFields": []},
                "spec": {"image": image}, "status": {"at": version}}))
            .unwrap()
        };
        assert_eq!(content(&object("1", 1, "a")), content(&object("2", 2, "a")));
        assert_ne!(content(&object("1", 1, "a")), content(&object("1", 1, "b")));
    }

    #[test]
    fn what_somebody_else_wrote_as_texts_is_theirs_until_we_have_written_it() {
        let config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:1"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async { Client::try_from(config).unwrap() });
        let item = |manager: &str, live: Value| Item {
            kind: "Secret".into(),
            name: "shop".into(),
            api: Api::namespaced_with(client.clone(), "n", &resource("Secret")),
            value: json!({"data": {"a": "eA==", "b": "eA=="}}),
            live: serde_json::from_value(json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": "shop", "managedFields": [{"manager": manager}]}, "data": live}))
            .unwrap(),
            force: false,
        };
        assert_eq!(item("kubectl", json!({"a": "eQ==", "b": "eA==", "c": "eg=="})).theirs().as_deref(), Some("data.a"));
        assert_eq!(item("kubectl", json!({"a": "eA==", "c": "eg=="})).theirs(), None);
        assert_eq!(item(MANAGER, json!({"a": "eQ=="})).theirs(), None);
    }

    #[test]
    fn a_conflict_names_who_and_what() {
        let status: Status = serde_json::from_value(json!({"status": "Failure", "code": 409, "reason": "Conflict",
            "message": "Apply failed with 1 conflict", "details": {"causes": [
                {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl\" using v1", "field": ".data.password"},
                {"reason": "Other", "message": "no", "field": ".x"}]}}))
        .unwrap();
        assert_eq!(conflicts(&status), [("kubectl".to_owned(), "data.password".to_owned())]);
        assert!(conflicts(&Status::default()).is_empty());
    }
}
