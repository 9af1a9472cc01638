//! Routes: HTTPRoutes under a Gateway, Ingresses of a class, and what is said when one is not taken.

use std::time::Duration;

use e2e::gateway_api::say;
use e2e::{Kind, eventually, json, live};
use serde_json::{Value, json};

use crate::stacks::{SOON, is_signal, operator_has_looked};

fn shop(routes: &Value) -> Value {
    json!({
        "apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"},
        "spec": {
            "gateway": {"name": "public", "namespace": "gateways"},
            "services": {
                "api": {"image": "api:1", "ports": {"http": {"port": 8000}, "admin": {"port": 9000}}, "routes": routes},
                "web": {"image": "web:1", "dependsOn": {"api": {}}},
            },
        },
    })
}

// "conflict and not-accepted conditions surfaced on the service": by the controller's own words, and they heal.
#[test]
fn what_a_gateway_says_of_a_route_is_said_of_the_service() {
    live("routes_gateway", async |t| {
        let audit = t.audit();
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop(&json!({"v1": {"host": "shop.example.com", "path": "/api", "port": "http"}}))).await;
        t.space.wait_ready("shop", SOON).await;
        let api = |status: &Value| status["services"]["api"].clone();
        let status = api(&t.space.status("shop").await);
        assert_eq!(status["reason"], "RouteNotTakenUp", "{status:#}");
        assert_eq!(status["address"], "shop.example.com/api");

        let (client, space) = (&t.space.client, &t.space.name);
        let why = "no listener of 'public' takes shop.example.com";
        say(client, space, "shop-api-v1", ("Accepted", false), "NoMatchingListenerHostname", why).await;
        eventually(Duration::from_secs(5), "the refusal to be said", async || {
            let status = api(&t.space.status("shop").await);
            let said = status["state"] == "Degraded"
                && status["reason"] == "RouteNoMatchingListenerHostname"
                && json::text(&status, "/message").contains(why);
            if said { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;
        let stack = t.space.status("shop").await;
        assert!(json::text(&stack, "/conditions/0/message").contains(why), "{stack:#}");
        assert_eq!(stack["services"]["web"]["state"], "Ready", "who depends on it goes on");

        say(client, space, "shop-api-v1", ("ResolvedRefs", false), "BackendNotFound", "no Service 'api'").await;
        eventually(Duration::from_secs(5), "the next one to be said", async || {
            let status = api(&t.space.status("shop").await);
            if status["reason"] == "RouteBackendNotFound" { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;
        say(client, space, "shop-api-v1", ("Accepted", true), "Accepted", "").await;
        eventually(Duration::from_secs(5), "it to heal", async || {
            let status = api(&t.space.status("shop").await);
            if status["state"] == "Ready" && status["reason"].is_null() { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;

        operator_has_looked(&t, "rested").await;
        let mark = audit.mark().await;
        t.space.touch("shop", "again").await;
        operator_has_looked(&t, "again").await;
        audit.since(mark).await.without(is_signal).assert_none("routes that are as they should be");
    });
}

// Two stacks, one Gateway, the same host and path: the Gateway would give the younger one nothing, and say nothing.
#[test]
fn the_younger_of_two_stacks_with_one_route_is_warned() {
    live("routes_shadowed", async |t| {
        let _operator = t.space.operator().start();
        let route = json!({"v1": {"host": "shop.example.com", "path": "/api", "port": "http"}});
        t.space.apply_object(&shop(&route)).await;
        t.space.wait_ready("shop", SOON).await;
        tokio::time::sleep(Duration::from_secs(2)).await; // by whole seconds, the older one wins
        let mut other = shop(&route);
        other["metadata"]["name"] = json!("another");
        other["spec"]["services"] = json!({"api2": other["spec"]["services"]["api"]});
        t.space.apply_object(&other).await;
        t.space.wait_ready("another", SOON).await;
        let of = async |stack: &str, service: &str| t.space.status(stack).await["services"][service].clone();
        eventually(SOON, "the younger one to be warned", async || {
            let status = of("another", "api2").await;
            let message = json::text(&status, "/message");
            let is_named = message.contains("stack 'shop'") && message.contains("shop.example.com /api");
            if status["reason"] == "RouteShadowed" && is_named { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;
        assert_eq!(of("another", "api2").await["state"], "Ready");
        assert_ne!(of("shop", "api").await["reason"], "RouteShadowed", "the older one gets the requests");
        eventually(SOON, "an event", async || {
            let events = t.space.events().await;
            if events.contains("RouteShadowed") { Ok(()) } else { Err(events) }
        })
        .await;

        t.space.patch("shop", json!({"spec": {"services": {"api": {"routes": null}}}})).await;
        eventually(SOON, "it to heal when the other one is gone", async || {
            let status = of("another", "api2").await;
            if status["reason"] == "RouteShadowed" { Err(format!("{status:#}")) } else { Ok(()) }
        })
        .await;
    });
}

// A route that is edited, moved to another parent and dropped: objects follow, the policy opens the routed port and no other.
#[test]
fn routes_follow_the_spec_and_open_the_routed_port_only() {
    live("routes_edited", async |t| {
        let _operator = t.space.operator().start();
        let opened = async || {
            let policy = t.space.get(Kind::NetworkPolicy, "shop-pub-api").await?;
            let ports = policy["spec"]["ingress"][0]["ports"].as_array()?.clone();
            Some(ports.iter().map(|p| json::text(p, "/port").to_owned()).collect::<Vec<_>>())
        };
        t.space.apply_object(&shop(&json!({"v1": {"path": "/api", "port": "http"}}))).await;
        t.space.wait_ready("shop", SOON).await;
        let route = t.space.get(Kind::HttpRoute, "shop-api-v1").await.expect("the HTTPRoute");
        assert_eq!(route["spec"]["parentRefs"][0]["namespace"], "gateways");
        assert_eq!(opened().await, Some(vec!["http".to_owned()]));

        t.space
            .apply_object(&shop(&json!({"v1": {"path": "/api", "port": "admin", "ingressClassName": "nginx"}})))
            .await;
        eventually(SOON, "the route to be an Ingress", async || {
            let (route, ingress) =
                (t.space.get(Kind::HttpRoute, "shop-api-v1").await, t.space.get(Kind::Ingress, "shop-api-v1").await);
            let ports = opened().await;
            if route.is_none() && ingress.is_some() && ports == Some(vec!["admin".to_owned()]) {
                Ok(())
            } else {
                Err(format!("{ports:?} {ingress:#?}"))
            }
        })
        .await;
        let mut without = shop(&Value::Null);
        without["spec"]["services"]["api"].as_object_mut().unwrap().remove("routes");
        t.space.apply_object(&without).await;
        eventually(SOON, "the route to be gone, and its port shut", async || {
            let there = t.space.get(Kind::Ingress, "shop-api-v1").await.is_some() || opened().await.is_some();
            if there { Err("still there".into()) } else { Ok(()) }
        })
        .await;
        t.space.wait_ready("shop", SOON).await;
        assert_eq!(t.space.list(Kind::Pod).await.len(), 2, "routes replace no pod");
    });
}
