//! What is watched, against a server that only lists.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::fake::context;
use crate::child::Kind;
use crate::controller::reconcile::Context;
use crate::controller::store::StackKey;
use crate::controller::watch::{self, Wake};

struct Watching {
    context: Arc<Context>,
    woken: mpsc::UnboundedReceiver<Wake>,
    /// Paths and queries.
    asked: Arc<Mutex<Vec<String>>>,
    _watches: JoinSet<()>,
}

/// Watches a server where nothing ever changes.
fn listing(list: impl Fn(&str) -> Result<Vec<Value>, u16> + Clone + Send + 'static) -> Watching {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noting = asked.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let uri = request.uri().to_string();
        noting.lock().unwrap().push(uri.clone());
        let list = list.clone();
        async move {
            if uri.contains("watch=true") {
                std::future::pending::<()>().await;
            }
            let (code, answer) = match list(&uri) {
                Ok(items) => (
                    200,
                    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": items}),
                ),
                Err(code) => (
                    code,
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": "x", "code": code}),
                ),
            };
            let body = Body::from(answer.to_string().into_bytes());
            Ok::<_, std::io::Error>(Response::builder().status(code).body(body).unwrap())
        }
    });
    let client = Client::new(service, "n");
    let mut context = context(client.clone(), Some(Instant::now() + Duration::from_secs(3600)));
    context.options.watch_namespace = Some("n".into());
    let context = Arc::new(context);
    let (wakes, woken) = mpsc::unbounded_channel();
    let watches = watch::start(&client, &context, &wakes);
    Watching { context, woken, asked, _watches: watches }
}

fn workload() -> Value {
    json!({"metadata": {"name": "s-db", "namespace": "n", "uid": "u", "resourceVersion": "5", "labels": {"appstack.dev/stack": "s"}}})
}

#[tokio::test(start_paused = true)]
async fn what_events_say_stands_with_the_child() {
    let event = json!({"metadata": {"name": "e", "namespace": "n", "resourceVersion": "6"}, "reason": "FailedCreate", "message": "over quota", "lastTimestamp": "2026-01-01T00:00:00Z",
        "involvedObject": {"kind": "StatefulSet", "namespace": "n", "name": "s-db", "uid": "u"}});
    let mut it = listing(move |uri| {
        Ok(match uri {
            _ if uri.contains("/deployments") => vec![workload()],
            _ if uri.contains("/events") && uri.contains("FailedCreate") => vec![event.clone()],
            _ => vec![],
        })
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let key = StackKey { namespace: "n".into(), name: "s".into() };
    let children = it.context.store.children(&key);
    let (id, child) = children.iter().next().unwrap();
    assert_eq!(id.kind, Kind::Deployment);
    assert_eq!(child.facts.reported, Some(("FailedCreate".into(), "over quota".into())));
    let mut wakes = 0;
    while it.woken.try_recv().is_ok_and(|(woken, _)| woken == key) {
        wakes += 1;
    }
    assert_eq!(wakes, 2, "by the child, and by the news of it");
    let asked = it.asked.lock().unwrap();
    let events: Vec<&String> = asked.iter().filter(|uri| uri.contains("/events") && !uri.contains("watch")).collect();
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(
        events.iter().all(|uri| uri.contains("/api/v1/namespaces/n/events") && uri.contains("fieldSelector=reason")),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_may_not_read_events_does_without() {
    let it = listing(|uri| if uri.contains("/events") { Err(403) } else { Ok(Vec::new()) });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(it.context.store.is_warm());
    tokio::time::sleep(Duration::from_secs(600)).await;
    let tries = it.asked.lock().unwrap().iter().filter(|uri| uri.contains("/events")).count();
    assert!((20..=50).contains(&tries), "asked now and then, in case it is allowed: {tries}");
}

/// An older version of the Gateway API, or an older ClusterRole: the definition is there, and the kind is not to be had.
#[tokio::test(start_paused = true)]
async fn a_kind_that_is_defined_and_not_served_holds_nobody_up_and_is_asked_for_ever_more_slowly() {
    for code in [403, 404] {
        let definition = json!({"metadata": {"name": "httproutes.gateway.networking.k8s.io", "resourceVersion": "3"}});
        let it = listing(move |uri| match uri {
            _ if uri.contains("/httproutes") => Err(code),
            _ if uri.contains("/customresourcedefinitions") => Ok(vec![definition.clone()]),
            _ => Ok(Vec::new()),
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(it.context.store.is_warm(), "{code}");
        assert_eq!(it.context.store.missing(), [Kind::HttpRoute].into());
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let asked = it.asked.lock().unwrap().iter().filter(|uri| uri.contains("/httproutes")).count();
        assert!((20..120).contains(&asked), "asked {asked} times in an hour, refused with {code}");
    }
}
