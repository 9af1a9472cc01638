//! What the API server told, in its own order: a record of every change of a namespace, taken by watches of our own.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::space::value;
use crate::{Kind, json};

/// One change, as it reached us.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The kind of the object.
    pub kind: Kind,
    /// The server's resourceVersion of this change. One etcd numbers all kinds, so these order the whole history.
    pub version: u64,
    /// When it reached us, on our own clock.
    pub at: Instant,
    /// Whether the object is gone with this change.
    pub deleted: bool,
    /// The object after the change.
    pub object: Arc<Value>,
}

#[derive(Default)]
struct Record {
    seen: Vec<Seen>,
    /// Why the record has a hole, if it has one.
    broken: Option<String>,
}

/// Watches a namespace until it is dropped.
pub struct Observer {
    record: Arc<Mutex<Record>>,
    watches: Vec<JoinHandle<()>>,
    client: Client,
    namespace: String,
}

impl Observer {
    /// Starts watching every kind of [`Kind::WATCHED`]. On return nothing that happens from now on is missed.
    pub async fn start(client: Client, namespace: &str) -> Observer {
        let record = Arc::new(Mutex::new(Record::default()));
        let mut watches = Vec::new();
        for kind in Kind::WATCHED {
            let list = kind.api(client.clone(), namespace).list(&ListParams::default()).await;
            let list = list.unwrap_or_else(|e| panic!("the observer cannot list {kind}: {e}"));
            for object in &list.items {
                push(&record, kind, value(object), false);
            }
            let from = list.metadata.resource_version.unwrap_or_default();
            watches.push(tokio::spawn(watch(kind, client.clone(), namespace.to_owned(), from, record.clone())));
        }
        Observer { record, watches, client, namespace: namespace.to_owned() }
    }

    /// Everything up to this moment, in the server's order.
    pub async fn history(&self) -> Vec<Seen> {
        self.catch_up().await;
        let record = self.record.lock().unwrap();
        assert!(record.broken.is_none(), "the observer lost its place, the record proves nothing: {:?}", record.broken);
        let mut seen = record.seen.clone();
        drop(record);
        seen.sort_by_key(|s| s.version);
        seen
    }

    /// Gives the versions of pods that have reached us since it was asked last.
    pub(crate) fn seen(&self) -> impl FnMut(&mut usize) -> Vec<Arc<Value>> + Send + use<> {
        let record = self.record.clone();
        move |at| {
            let record = record.lock().unwrap();
            let new = record.seen.iter().skip(*at).filter(|s| s.kind == Kind::Pod && !s.deleted);
            let new = new.map(|s| s.object.clone()).collect();
            *at = record.seen.len();
            new
        }
    }

    /// The changes seen so far that `pick` wants, in the server's order.
    pub async fn of(&self, kind: Kind, name: &str) -> Vec<Seen> {
        let mut all = self.history().await;
        all.retain(|s| s.kind == kind && json::name(&s.object) == name);
        all
    }

    /// Waits until every object that exists now has been seen in its present version.
    async fn catch_up(&self) {
        for kind in Kind::WATCHED {
            let api = kind.api(self.client.clone(), &self.namespace);
            let Ok(list) = api.list(&ListParams::default()).await else { continue }; // the laws are then judged on what is there
            let present: Vec<(String, u64)> =
                list.items.iter().map(value).map(|o| (json::name(&o).to_owned(), json::version(&o))).collect();
            let begin = Instant::now();
            while !present.iter().all(|(name, version)| self.has(kind, name, *version)) {
                assert!(begin.elapsed() < Duration::from_secs(5), "the observer's watch of {kind} is 5 s behind");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    fn has(&self, kind: Kind, name: &str, version: u64) -> bool {
        let record = self.record.lock().unwrap();
        record.seen.iter().rev().any(|s| s.kind == kind && s.version >= version && json::name(&s.object) == name)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        for watch in &self.watches {
            watch.abort();
        }
    }
}

fn push(record: &Mutex<Record>, kind: Kind, object: Value, deleted: bool) {
    let seen = Seen { kind, version: json::version(&object), at: Instant::now(), deleted, object: Arc::new(object) };
    record.lock().unwrap().seen.push(seen);
}

/// One watch, resumed from the last version seen whenever the server ends it. It never lists again: what a list leaves
/// out is history, and history is what we are here for.
async fn watch(kind: Kind, client: Client, namespace: String, mut from: String, record: Arc<Mutex<Record>>) {
    let api = kind.api(client, &namespace);
    let how = WatchParams { bookmarks: true, ..WatchParams::default() };
    loop {
        let Ok(stream) = api.watch(&how, &from).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let mut stream = stream.boxed();
        while let Ok(Some(event)) = stream.try_next().await {
            let (object, deleted) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
                WatchEvent::Deleted(object) => (object, true),
                WatchEvent::Bookmark(mark) => {
                    from = mark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(why) => {
                    record.lock().unwrap().broken = Some(format!("{kind}: {}", why.message));
                    return;
                }
            };
            from = object.metadata.resource_version.clone().unwrap_or(from);
            push(&record, kind, value(&object), deleted);
        }
    }
}
