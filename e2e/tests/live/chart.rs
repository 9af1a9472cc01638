//! Charts on the real server: the operator's own, and one that has a stack in it.

use std::path::PathBuf;
use std::process::Output;
use std::time::Instant;

use e2e::cluster::{Cluster, root};
use e2e::helm::{built, chart, helm, template, values};
use e2e::{Kind, Live, eventually, json, live};
use kube::api::{Patch, PatchParams, ValidationDirective};
use serde_json::Value;

use crate::stacks::SOON;

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Everything that a value may bring in.
const ALL_ON: &str = "
replicaCount: 2
image: {pullPolicy: Always, digest: 'sha256:DIGEST'}
imagePullSecrets: [{name: regcred}]
leaderElection: {term: 30}
operator: {maxPodSecurity: Restricted, conflictRetry: 5s, refusalRetry: 1m, dns: {selector: {a: b}, ports: [53], cidrs: [10.0.0.10/32]}}
log: {format: text, level: debug}
extraEnv: [{name: A, value: b}]
extraVolumes: [{name: ca, emptyDir: {}}]
extraVolumeMounts: [{name: ca, mountPath: /ca, readOnly: true}]
serviceAccount: {annotations: {a: b}}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{operator: Exists}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {a: b}}}]
priorityClassName: system-cluster-critical
podAnnotations: {a: b}
podLabels: {a: b}
commonLabels: {c: d}
deploymentAnnotations: {a: b}
podDisruptionBudget: {maxUnavailable: 50%}
metrics: {service: {port: 9090, annotations: {a: b}, labels: {e: f}}}
networkPolicy: {metricsFrom: [{podSelector: {}}], apiServerPorts: [6443], extraEgress: [{ports: [{port: 3128}]}]}
";

/// Whether the server takes it. The account alone is made, or the pod of the chart's test were refused.
async fn is_taken(t: &Live, object: &Value) {
    let how = PatchParams {
        dry_run: object["kind"] != "ServiceAccount",
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("e2e-chart").force()
    };
    let api = crate::install::api(t, object);
    let answer = api.patch(json::name(object), &how, &Patch::Apply(object)).await;
    answer.unwrap_or_else(|e| panic!("{} {}: {e}", object["kind"], json::name(object)));
}

// "kubeconform-style schema check": no schema is stricter than the server's own under strict validation.
#[test]
fn every_object_of_the_chart_is_taken_by_the_server() {
    built(); // takes minutes, which are no test's time
    live("chart_objects", async |t| {
        let all_on = values("all-on", &ALL_ON.replace("DIGEST", &"a".repeat(64)));
        let all_on = all_on.to_str().expect("a path");
        let here = t.space.name.as_str();
        let watched = format!("watchNamespace={here}");
        let mut objects = 0;
        for more in [&[][..], &["--values", all_on], &["--set", &watched]] {
            for object in template(&chart(), &[&["--namespace", here], more].concat()).expect("objects") {
                is_taken(&t, &object).await;
                objects += 1;
            }
        }
        t.shows(format!("{objects} objects of the chart"));
    });
}

fn shop() -> PathBuf {
    root().join("e2e/tests/chart/shop")
}

/// What helm does with the chart of a stack.
fn with_shop(t: &Live, verb: &str, more: &[&str]) -> Output {
    let (chart, here) = (shop(), t.space.name.clone());
    let args = [&[verb, "shop", chart.to_str().expect("a path"), "--namespace", &here], more].concat();
    helm(Some(&Cluster::get().kubeconfig), &args)
}

fn image(stack: &Value) -> &str {
    json::text(stack, "/spec/services/db/image")
}

// "`helm install --wait` of a chart that contains an AppStack waits rightly"
#[test]
fn helm_waits_for_a_stack_until_it_is_ready_and_not_for_one_that_has_failed() {
    built();
    live("chart_wait", async |t| {
        let _operator = t.space.operator().start();
        let is_ready = async |tag: &str| {
            let stack = t.space.get(Kind::AppStack, "shop").await.expect("the stack");
            let newest =
                json::number(&stack, "/metadata/generation") == json::number(&stack, "/status/observedGeneration");
            assert!(newest && json::holds(&stack, "Ready"), "helm came back too early: {:#}", stack["status"]);
            assert!(image(&stack).ends_with(tag), "{}", stack["spec"]);
        };
        let wait = ["--wait", "--timeout", "3m"];
        let began = Instant::now();
        let installed = with_shop(&t, "install", &wait);
        assert!(installed.status.success(), "{}", said(&installed));
        is_ready(":1").await;
        let took = began.elapsed();
        let next = with_shop(&t, "upgrade", &[&wait[..], &["--set", "tag=2"]].concat());
        assert!(next.status.success(), "{}", said(&next));
        is_ready(":2").await;

        // One that fails ends the wait long before its time, with the stack's name; helm puts the last good one back if it is told to.
        let deadline = if Cluster::get().real { "25s" } else { "4s" }; // longer than pods take to start there
        let bad = |tag: u8| format!("tag={tag},mode=never-ready,deadline={deadline}");
        let began = Instant::now();
        let failed = with_shop(&t, "upgrade", &[&wait[..], &["--set", &bad(3)]].concat());
        let failing = began.elapsed();
        let words = said(&failed);
        assert!(!failed.status.success(), "{words}");
        assert!(words.contains("AppStack/") && words.contains("Failed"), "{words}");
        assert!(failing < SOON.min(std::time::Duration::from_secs(120)), "{failing:?}: {words}");
        let worse = bad(4);
        let again = [&wait[..], &["--rollback-on-failure", "--set", &worse]].concat();
        let rolled_back = with_shop(&t, "upgrade", &again);
        assert!(!rolled_back.status.success(), "{}", said(&rolled_back));
        eventually(SOON, "the last good release to be back", async || {
            let stack = t.space.get(Kind::AppStack, "shop").await.ok_or("no stack")?;
            if image(&stack) == "db:2" && json::holds(&stack, "Ready") { Ok(()) } else { Err(format!("{stack:#}")) }
        })
        .await;

        let gone =
            helm(Some(&Cluster::get().kubeconfig), &["uninstall", "shop", "--namespace", &t.space.name, "--wait"]);
        assert!(gone.status.success(), "{}", said(&gone));
        assert!(t.space.get(Kind::AppStack, "shop").await.is_none());
        t.shows(format!(
            "installed in {:.1} s, a failure is told after {:.1} s",
            took.as_secs_f64(),
            failing.as_secs_f64()
        ));
    });
}
