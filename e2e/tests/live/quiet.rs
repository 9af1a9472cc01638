//! Requests: one per child for a first rollout, none for a stack that is as it should be.

use std::time::Duration;

use e2e::proxy::Proxy;
use e2e::{Kind, eventually, json, live};
use serde_json::json;
use tokio::time::sleep;

use crate::stacks::{SOON, is_signal, one_of_each, operator_has_looked};

// "One request per child for a first rollout, at most n+2 for n children; one status write per visible change."
#[test]
fn a_first_rollout_costs_one_request_per_child() {
    live("quiet_first_rollout", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        let mark = audit.mark().await;
        t.space.apply_object(&one_of_each("first")).await;
        t.space.wait_ready("first", SOON).await;
        sleep(Duration::from_millis(500)).await; // whatever might follow

        let requests = audit.since(mark).await;
        let children = t.space.children("first").await.len();
        let writes = requests.child_writes().len();
        let (status, events) = (requests.writes_of("appstacks/status"), requests.writes_of("events"));
        println!("{children} children: {writes} writes of children, {status} of status, {events} events\n{requests}");
        assert!(children >= 11, "expected one of each kind, saw {children} children");
        assert!(
            writes <= children + 2,
            "expected at most {} writes for {children} children, saw\n{requests}",
            children + 2
        );
        let reads = requests.acts.iter().filter(|r| !r.is_write()).count();
        assert_eq!(reads, 0, "expected no single reads, saw\n{requests}");

        let history = t.observer.of(Kind::AppStack, "first").await;
        let mut visible: Vec<_> = history.iter().map(|s| s.object["status"].to_string()).collect();
        visible.dedup();
        assert!(status < visible.len(), "{status} status writes for {} visible changes\n{requests}", visible.len() - 1);
    });
}

// "Converged and reconciled again (a touch of the stack, an operator restart, a relist): 0 requests other than watches
// and the lease, counted from the API server's audit log by our user agent."
#[test]
fn a_converged_stack_costs_no_request() {
    live("quiet_converged", async |t| {
        let audit = t.audit();
        let proxy = Proxy::start("quiet_converged").await;
        let mut operator = t.space.operator().kubeconfig(&proxy.kubeconfig).start();
        t.space.apply_object(&one_of_each("still")).await;
        t.space.wait_ready("still", SOON).await;
        operator_has_looked(&t, "before").await;
        let since = async |mark| audit.since(mark).await.without(is_signal);

        let mark = audit.mark().await;
        t.space.touch("still", "once").await;
        operator_has_looked(&t, "touched").await;
        since(mark).await.assert_none("touched");

        let mark = audit.mark().await;
        operator.restart();
        operator_has_looked(&t, "restarted").await;
        let requests = since(mark).await;
        assert!(requests.watches > 0, "the restart was to be counted, but no watch was opened:\n{requests}");
        requests.assert_none("operator restarted");

        let mark = audit.mark().await;
        proxy.expire_watches();
        eventually(SOON, "every watch to be resumed", async || {
            if proxy.expired() >= 8 { Ok(()) } else { Err(format!("{} told that they have expired", proxy.expired())) }
        })
        .await;
        operator_has_looked(&t, "relisted").await;
        since(mark).await.assert_none("relisted");
    });
}

// The same for news about children that changes nothing of ours: an event is a reason to look, not to write.
#[test]
fn foreign_news_of_children_is_no_reason_to_write_them() {
    live("quiet_foreign_news", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        t.space.apply_object(&one_of_each("news")).await;
        t.space.wait_ready("news", SOON).await;
        operator_has_looked(&t, "before").await;
        let mark = audit.mark().await;
        for (kind, child) in t.space.children("news").await {
            let foreign = json!({"metadata": {"annotations": {"e2e/foreign": "x"}, "labels": {"e2e-foreign": "x"}}});
            t.space.edit(kind, json::name(&child), foreign).await;
        }
        operator_has_looked(&t, "after").await;
        let requests = audit.since(mark).await.without(is_signal);
        // The API server counts an annotation of a Deployment as a new generation, so for a moment its controller has not
        // seen the newest one; a status that says so is no mistake.
        println!("foreign annotations and labels on every child: {requests}");
        assert_eq!(requests.child_writes().len(), 0, "expected no write of a child, saw\n{requests}");
    });
}
