//! The alert rules and the dashboard that are shipped: they read what the operator tells, and each alert fires when it should and only then.

use std::collections::{BTreeMap, BTreeSet};

use e2e::cluster::root;
use e2e::helm::{chart, template};
use e2e::prom::{Parsed, alerts, ask, shipped};
use e2e::{json, prom};
use serde::Deserialize;
use serde_json::{Value, json};

/// What Prometheus adds to every series.
const OF_TARGETS: [&str; 3] = ["namespace", "job", "instance"];
/// Metrics that are on no panel.
const NOT_SHOWN: [&str; 0] = [];

/// What the operator tells at most, by metric: the labels of each series. A test of the operator keeps the list, a live one holds a running operator against it.
fn told() -> BTreeMap<String, Vec<BTreeMap<String, String>>> {
    let list = std::fs::read_to_string(root().join("src/ops/series.txt")).unwrap();
    let mut metrics: BTreeMap<String, Vec<BTreeMap<String, String>>> = BTreeMap::new();
    for line in list.lines() {
        let (name, labels) = line.split_once('{').unwrap_or((line, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
        let labels = labels.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()));
        metrics.entry(name.to_owned()).or_default().push(labels.collect());
    }
    assert!(metrics.len() > 20, "{metrics:?}");
    metrics
}

/// A histogram is one, whatever it tells.
fn family(metric: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end)).unwrap_or(metric)
}

/// What is wrong with an expression, by what the operator tells.
fn faults(expression: &Parsed, told: &BTreeMap<String, Vec<BTreeMap<String, String>>>) -> Vec<String> {
    let mut faults: Vec<String> = Some(&expression.problem).filter(|p| !p.is_empty()).into_iter().cloned().collect();
    let mut labels: BTreeSet<&str> = OF_TARGETS.into();
    for selector in &expression.selectors {
        let Some(series) = told.get(&selector.metric) else {
            faults.push(format!("no metric {}", selector.metric));
            continue;
        };
        labels.extend(series.iter().flat_map(BTreeMap::keys).map(String::as_str));
        for (label, how, value) in &selector.matchers {
            if OF_TARGETS.contains(&label.as_str()) {
                continue;
            }
            for value in value.split('|') {
                if !series.iter().any(|one| one.get(label).is_some_and(|is| is == value)) {
                    faults.push(format!("{} has no {label}{how}\"{value}\"", selector.metric));
                }
            }
        }
    }
    let unknown = expression.labels.iter().filter(|label| !labels.contains(label.as_str()));
    faults.extend(unknown.map(|label| format!("no label {label} to group by")));
    faults
}

fn dashboard() -> Value {
    serde_json::from_str(&shipped("dashboard.json")).unwrap()
}

/// Expression and legend of all that the dashboard asks, without its variables.
fn asked(dashboard: &Value) -> Vec<(String, String)> {
    let targets = json::items(dashboard, "/panels").flat_map(|panel| json::items(panel, "/targets"));
    let plain = |text: &str| text.replace("$__rate_interval", "5m").replace("$job", ".*");
    targets.map(|t| (plain(json::text(t, "/expr")), json::text(t, "/legendFormat").to_owned())).collect()
}

// "a Grafana dashboard and alert rules, all tested"
#[test]
fn alerts_and_dashboard_ask_for_what_the_operator_tells() {
    let (told, dashboard) = (told(), dashboard());
    let of_dashboard = asked(&dashboard);
    let of_alerts = alerts().into_iter().map(|alert| json::text(&alert, "/expr").to_owned());
    let expressions: Vec<String> =
        of_dashboard.iter().map(|(expression, _)| expression.clone()).chain(of_alerts).collect();
    let answer = ask(30, &[], &expressions);
    assert_eq!(answer.problems, Vec::<String>::new());
    assert_eq!(answer.expressions.len(), expressions.len());
    let mut shown = BTreeSet::new();
    for (n, (text, parsed)) in expressions.iter().zip(&answer.expressions).enumerate() {
        assert_eq!(faults(parsed, &told), Vec::<String>::new(), "{text}");
        let Some((_, legend)) = of_dashboard.get(n) else { continue };
        shown.extend(parsed.selectors.iter().map(|selector| family(&selector.metric)));
        for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            let kept = parsed.labels.is_empty() && OF_TARGETS.contains(&label);
            assert!(
                kept || parsed.labels.iter().any(|l| l == label),
                "the legend '{legend}' of {text} is without {label}"
            );
        }
    }
    let all: BTreeSet<&str> = told.keys().map(|metric| family(metric)).collect();
    let absent: Vec<&&str> = all.iter().filter(|f| !shown.contains(*f) && !NOT_SHOWN.contains(*f)).collect();
    assert!(absent.is_empty(), "neither on the dashboard nor in NOT_SHOWN: {absent:?}");
    let superfluous: Vec<&&str> = NOT_SHOWN.iter().filter(|f| shown.contains(*f) || !all.contains(*f)).collect();
    assert!(superfluous.is_empty(), "NOT_SHOWN: {superfluous:?}");
}

#[test]
fn an_expression_about_what_nobody_tells_is_found() {
    let wrong = [
        ("appstack_leaders", "no metric appstack_leaders"),
        ("appstack_reconciles_total{outcome=\"panic\"}", "has no outcome=\"panic\""),
        ("appstack_api_requests_total{result=~\"failed|throttle\"}", "has no result=~\"throttle\""),
        ("sum by (stack) (appstack_leader)", "no label stack"),
        ("sum by (job (appstack_leader)", "parse error"),
    ];
    let texts: Vec<String> = wrong.iter().map(|(text, _)| (*text).to_owned()).collect();
    let answer = ask(30, &[], &texts);
    for ((text, expected), parsed) in wrong.iter().zip(&answer.expressions) {
        let faults = faults(parsed, &told());
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{text}: {faults:?}");
    }
}

#[test]
fn the_dashboard_is_laid_out_and_explains_its_panels() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in json::items(&dashboard, "/panels") {
        let title = json::text(panel, "/title");
        assert!(!title.is_empty() && !json::text(panel, "/description").is_empty(), "{panel}");
        assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()), "{title}");
        for one in json::items(panel, "/targets").chain([panel]) {
            assert_eq!(one["datasource"]["uid"], "${datasource}", "{title}");
        }
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| json::number(panel, &format!("/gridPos/{key}")));
        assert!(w > 0 && h > 0 && x >= 0 && x + w <= 24, "{title}");
        for at in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(at), "{title} covers another panel at {at:?}");
        }
    }
    let ids: BTreeSet<String> = json::items(&dashboard, "/panels").map(|panel| panel["id"].to_string()).collect();
    assert_eq!(ids.len(), json::items(&dashboard, "/panels").count(), "an id for each");
}

#[test]
fn each_alert_says_what_it_means_and_has_its_row_in_the_docs() {
    let docs = std::fs::read_to_string(root().join("docs/operating.md")).unwrap();
    let alerts = alerts();
    for alert in &alerts {
        let name = json::text(alert, "/alert");
        for text in ["summary", "description"] {
            assert!(!json::text(alert, &format!("/annotations/{text}")).is_empty(), "{name}: {text}");
        }
        assert!(["critical", "warning"].contains(&json::text(alert, "/labels/severity")), "{name}");
        let anchor = name.to_lowercase();
        let link = format!("https://github.com/appstack-dev/appstack/blob/main/docs/operating.md#{anchor}");
        assert_eq!(alert["annotations"]["runbook_url"], *link, "{name}");
        let row = format!("\n| <a id=\"{anchor}\"></a>`{name}` |");
        assert_eq!(docs.matches(&row).count(), 1, "{name}: docs/operating.md has its row, {row:?}");
    }
    assert_eq!(docs.matches("\n| <a id=\"appstack").count(), alerts.len(), "rows of alerts that are none");
}

/// A line of `alerts.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    alert: String,
    series: BTreeMap<String, String>,
    until: i64,
    /// Its summary, where it is to fire.
    says: Option<String>,
    /// Why it is not to.
    silent: Option<String>,
}

#[test]
fn each_alert_fires_when_it_should_and_only_then() {
    let table = std::fs::read_to_string(root().join("e2e/tests/chart/alerts.yaml")).unwrap();
    let cases: Vec<Case> = serde_saphyr::from_str(table.split_once('\n').unwrap().1).unwrap();
    let questions: Vec<Value> = cases
        .iter()
        .map(|case| json!({"alert": case.alert, "series": case.series, "until": case.until * 60}))
        .collect();
    let answer = ask(30, &questions, &[]);
    assert_eq!(answer.problems, Vec::<String>::new());
    for (case, judged) in cases.iter().zip(&answer.cases) {
        let said: Vec<&str> = judged.firing.iter().map(|alert| alert.annotations["summary"].as_str()).collect();
        let expected: Vec<&str> = case.says.iter().map(String::as_str).collect();
        assert!(case.says.is_some() != case.silent.is_some(), "{}: says or silent", case.alert);
        assert_eq!(said, expected, "{} on {:#?}: {:?}", case.alert, case.series, case.silent);
        for text in judged.firing.iter().flat_map(|alert| alert.annotations.values()) {
            assert!(!text.contains("<no value>") && !text.contains("{{"), "{}: {text}", case.alert);
        }
    }
    for alert in alerts() {
        let of_it = || cases.iter().filter(|case| alert["alert"] == *case.alert);
        assert!(of_it().any(|case| case.says.is_some()), "{} is never seen to fire", alert["alert"]);
        assert!(of_it().any(|case| case.silent.is_some()), "{} is never seen to be silent", alert["alert"]);
    }
}

#[test]
fn the_chart_has_them_as_they_are_shipped() {
    let on = ["--set", "metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true"];
    let objects = template(&chart(), &on).unwrap();
    let one = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap();
    let rule: Value = serde_saphyr::from_str(&prom::shipped("alerts.yaml")).unwrap();
    assert_eq!(one("PrometheusRule")["spec"], rule["spec"]);
    assert_eq!(one("ConfigMap")["data"]["appstack-operator.json"], *prom::shipped("dashboard.json"));
}

/// The schema at the end of a path; none where there is no such field. Of arrays and maps, that of what they hold.
fn field<'a>(schema: &'a Value, path: &Value) -> Option<&'a Value> {
    let mut at = schema;
    for step in path.as_array().into_iter().flatten().filter_map(Value::as_str) {
        at = at["properties"].get(step)?;
    }
    Some([&at["items"], &at["additionalProperties"]].into_iter().find(|inner| inner.is_object()).unwrap_or(at))
}

#[test]
fn kube_state_metrics_is_told_of_fields_that_there_are() {
    let definition = std::fs::read_to_string(root().join("crds/appstack.yaml")).unwrap();
    let definition: Value = serde_saphyr::from_str(&definition).unwrap();
    let mut schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone();
    for of_all in ["name", "namespace", "generation", "deletionTimestamp"] {
        schema["properties"]["metadata"]["properties"][of_all] = json!({});
    }
    let config: Value = serde_saphyr::from_str(&shipped("kube-state-metrics.yaml")).unwrap();
    let resource = &config["spec"]["resources"][0];
    assert_eq!(resource["groupVersionKind"]["group"], definition["spec"]["group"]);
    assert_eq!(resource["groupVersionKind"]["version"], definition["spec"]["versions"][0]["name"]);
    assert_eq!(resource["groupVersionKind"]["kind"], definition["spec"]["names"]["kind"]);
    for (label, path) in json::entries(resource, "/labelsFromPath") {
        assert!(field(&schema, path).is_some(), "{label}: {path}");
    }
    let mut paths = 0;
    for metric in json::items(resource, "/metrics") {
        let name = json::text(metric, "/name");
        let kind = json::text(metric, "/each/type");
        let how = &metric["each"][kind[..1].to_lowercase() + &kind[1..]];
        let base = field(&schema, &how["path"]).unwrap_or_else(|| panic!("{name}: {}", how["path"]));
        let inner = json::entries(how, "/labelsFromPath").map(|(_, path)| path).chain(how.get("valueFrom"));
        for path in inner {
            paths += 1;
            let found = field(base, path).unwrap_or_else(|| panic!("{name}: {path} under {}", how["path"]));
            let known: Vec<&Value> = json::items(found, "/enum").collect();
            let list: Vec<&Value> = json::items(how, "/list").collect();
            assert!(known.is_empty() || list.is_empty() || known == list, "{name}: {known:?}");
        }
    }
    assert!(paths >= 5, "{paths}"); // under what they are about
    assert!(field(&schema, &json!(["status", "nothing"])).is_none());
}
