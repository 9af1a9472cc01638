//! `appstack events`: what happened to a stack, its children and their pods, in one story.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use clap::Args;
use futures::StreamExt;
use k8s_openapi::api::core::v1;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use super::answer;
use super::family;
use super::look::{Look, age, columns, one_line};
use super::server::{Asked, Output, Which, ask, is_refused};
use crate::api::ServiceState;

/// Show what happened to a stack, its objects and their pods, the youngest last
#[derive(Args, Clone, Debug)]
pub struct EventsArgs {
    #[command(flatten)]
    which: Which,
    /// Follow until interrupted
    #[arg(long, short)]
    watch: bool,
    /// How it is shown; json is a line per event
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Exit codes: 0 shown, 1 no such stack and nothing known of it, or no right to see it, 3 no cluster.
pub fn run(args: &EventsArgs) -> ExitCode {
    ask(&args.which, "read the events of", async |asked| events(args, asked).await)
}

async fn events(args: &EventsArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let api: Api<v1::Event> = Api::namespaced(asked.client.clone(), &asked.namespace);
    let mut stream = watcher(api, watcher::Config::default()).default_backoff().boxed();
    let mut family = Family::of(asked).await?;
    let (mut listed, mut known) = (Vec::new(), BTreeMap::new());
    while let Some(event) = stream.next().await {
        match event {
            Ok(watcher::Event::InitApply(event)) => listed.extend(family.is_about(&event).then(|| Told::of(&event))),
            Ok(watcher::Event::InitDone) => {
                let told = merged(std::mem::take(&mut listed));
                if told.is_empty() && !args.watch && family.is_empty() && asked.stack().await?.is_none() {
                    return Ok(ExitCode::from(1));
                }
                let news: Vec<Told> = told.into_iter().filter(|told| is_news(&mut known, told)).collect();
                let text = shown(args, &news);
                if answer(&text) != ExitCode::SUCCESS || !args.watch {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Ok(watcher::Event::Apply(event)) => {
                if family.may_have_grown(&event) {
                    family.look_again(asked).await?;
                }
                let told = Told::of(&event);
                if family.is_about(&event)
                    && is_news(&mut known, &told)
                    && answer(&shown(args, &[told])) != ExitCode::SUCCESS
                {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Ok(watcher::Event::Init | watcher::Event::Delete(_)) => {}
            Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error))
                if is_refused(&error) =>
            {
                return Err(error);
            }
            Err(error) => eprintln!("watch interrupted, and taken up again: {error}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether it was not said yet that this happened so often.
fn is_news(known: &mut BTreeMap<(String, String, String), (Timestamp, i32)>, told: &Told) -> bool {
    let now = (told.at, told.count);
    known.insert(told.key(), now) != Some(now)
}

fn shown(args: &EventsArgs, told: &[Told]) -> String {
    let look = Look::of_stdout();
    match (args.output, args.watch) {
        (Output::Json, _) => told.iter().map(|told| format!("{}\n", told.json())).collect(),
        (Output::Table, false) => table(told, look, Timestamp::now()),
        (Output::Table, true) => told.iter().map(|told| told.line(look)).collect(),
    }
}

/// What belongs to a stack: by uid while it is there; what is gone, by its name.
#[derive(Debug, Default)]
struct Family {
    stack: String,
    uids: BTreeSet<String>,
    workloads: Vec<(String, String)>,
    /// Seen not to belong to it.
    strangers: BTreeSet<String>,
}

impl Family {
    async fn of(asked: &Asked) -> kube::Result<Self> {
        let mut family = Family { stack: asked.name.clone(), ..Family::default() };
        for (kind, object) in family::metadata(asked).await? {
            let metadata = object.metadata;
            family.uids.extend(metadata.uid);
            if matches!(kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "Job") {
                family.workloads.extend(metadata.name.map(|name| (kind, name)));
            }
        }
        Ok(family)
    }

    /// Whether what an event is about was not there yet at the last look.
    fn may_have_grown(&mut self, event: &v1::Event) -> bool {
        let uid = event.involved_object.uid.clone().unwrap_or_default();
        !self.is_about(event) && self.strangers.insert(uid)
    }

    async fn look_again(&mut self, asked: &Asked) -> kube::Result<()> {
        let strangers = std::mem::take(&mut self.strangers);
        *self = Family { strangers, ..Family::of(asked).await? };
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.uids.is_empty()
    }

    fn is_about(&self, event: &v1::Event) -> bool {
        let about = &event.involved_object;
        let (kind, name) = (about.kind.as_deref().unwrap_or_default(), about.name.as_deref().unwrap_or_default());
        about.uid.as_ref().is_some_and(|uid| self.uids.contains(uid))
            || (kind == "AppStack" && name == self.stack)
            || self.workloads.iter().any(|(of, workload)| is_made_by(kind, name, of, workload))
    }
}

/// Whether this is how a controller names what it makes for a workload.
fn is_made_by(kind: &str, name: &str, of: &str, workload: &str) -> bool {
    let Some(rest) = name.strip_prefix(workload).and_then(|rest| rest.strip_prefix('-')) else { return false };
    // Without vowels and look-alikes: no word of a longer name is among them.
    let made_up = |part: &str, long: std::ops::RangeInclusive<usize>| {
        long.contains(&part.len()) && part.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c))
    };
    let parts: Vec<&str> = rest.split('-').collect();
    match (of, kind, parts.as_slice()) {
        ("Deployment", "ReplicaSet", [hash]) => made_up(hash, 6..=10),
        ("Deployment", "Pod", [hash, own]) => made_up(hash, 6..=10) && made_up(own, 5..=5),
        ("DaemonSet" | "Job", "Pod", [own]) => made_up(own, 5..=5),
        ("StatefulSet", "Pod", [number]) => !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()),
        _ => false,
    }
}

/// One thing that happened, however often.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    /// The last time.
    at: Timestamp,
    warning: bool,
    reason: String,
    /// `Pod/shop-web-0`
    object: String,
    message: String,
    count: i32,
    /// The server's, which tells the order within a second: most events say no more than that.
    version: u64,
}

impl Told {
    fn of(event: &v1::Event) -> Self {
        let about = &event.involved_object;
        let series = event.series.as_ref();
        let micro = series.and_then(|s| s.last_observed_time.as_ref()).map(|t| t.0);
        let at = micro
            .or_else(|| event.last_timestamp.as_ref().map(|t| t.0))
            .or_else(|| event.event_time.as_ref().map(|t| t.0))
            .or_else(|| event.metadata.creation_timestamp.as_ref().map(|t| t.0));
        Told {
            at: at.unwrap_or_default(),
            warning: event.type_.as_deref() == Some("Warning"),
            reason: event.reason.clone().unwrap_or_default(),
            object: format!("{}/{}", about.kind.as_deref().unwrap_or("?"), about.name.as_deref().unwrap_or("?")),
            message: one_line(event.message.as_deref().unwrap_or_default()),
            count: series.and_then(|s| s.count).or(event.count).unwrap_or(1).max(1),
            version: event.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0),
        }
    }

    fn key(&self) -> (String, String, String) {
        (self.object.clone(), self.reason.clone(), self.message.clone())
    }

    fn kind(&self) -> &'static str {
        if self.warning { "Warning" } else { "Normal" }
    }

    /// Red and nothing else: what is normal needs no colour.
    fn paint(&self, line: &str, look: Look) -> String {
        if self.warning { look.paint(line, self.kind(), ServiceState::Failed) } else { line.to_owned() }
    }

    fn line(&self, look: Look) -> String {
        let again = if self.count > 1 { format!(" (x{})", self.count) } else { String::new() };
        let time = self.at.strftime("%H:%M:%S");
        let line =
            format!("{time}   {:7}   {:20}   {}: {}{again}", self.kind(), self.reason, self.object, self.message);
        format!("{}\n", self.paint(&look.cut(&line), look))
    }

    fn json(&self) -> serde_json::Value {
        json!({"time": self.at.to_string(), "type": self.kind(), "reason": self.reason, "object": self.object, "message": self.message, "count": self.count})
    }
}

/// Each thing once, by the last time that it happened.
fn merged(all: Vec<Told>) -> Vec<Told> {
    let mut once: BTreeMap<(String, String, String), Told> = BTreeMap::new();
    for told in all {
        match once.get_mut(&told.key()) {
            Some(before) => {
                before.count = before.count.saturating_add(told.count);
                before.at = before.at.max(told.at);
                before.version = before.version.max(told.version);
            }
            None => drop(once.insert(told.key(), told)),
        }
    }
    let mut once: Vec<Told> = once.into_values().collect();
    once.sort_by_key(|told| (told.at.as_second(), told.version));
    once
}

fn table(told: &[Told], look: Look, now: Timestamp) -> String {
    let mut rows = vec![["LAST", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(str::to_owned).to_vec()];
    rows.extend(told.iter().map(|told| {
        let again = if told.count > 1 { format!(" (x{})", told.count) } else { String::new() };
        let last = format!("{}{again}", age(told.at, now));
        vec![last, told.kind().to_owned(), told.reason.clone(), told.object.clone(), told.message.clone()]
    }));
    let lines = columns(&rows);
    let painted = lines.iter().enumerate().map(|(at, line)| {
        let line = look.cut(line);
        let painted = at.checked_sub(1).and_then(|at| told.get(at)).map(|told| told.paint(&line, look));
        format!("{}\n", painted.unwrap_or(line))
    });
    painted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, name: &str, second: &str, rest: &serde_json::Value) -> v1::Event {
        let mut event = json!({
            "metadata": {"name": "e", "creationTimestamp": "2026-01-01T00:00:00Z"}, "involvedObject": {"kind": kind, "name": name, "uid": format!("uid-of-{name}")},
            "reason": "Failed", "type": "Warning", "message": "no\nsuch image", "lastTimestamp": format!("2026-01-01T00:00:{second}Z")});
        event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn one_story_is_told_once_and_in_the_order_of_time() {
        let scheduled = json!({"reason": "Scheduled", "type": "Normal", "message": "to node-1", "lastTimestamp": null, "eventTime": "2026-01-01T00:00:20.9Z", "metadata": {"resourceVersion": "3"}});
        let normal = json!({"reason": "RolloutStarted", "type": "Normal", "message": "db: rolling out db:1", "lastTimestamp": null, "eventTime": "2026-01-01T00:00:01.5Z"});
        let series =
            json!({"series": {"count": 4, "lastObservedTime": "2026-01-01T00:00:40.0Z"}, "message": "crashed"});
        let all = [
            event("Pod", "shop-db-1", "20", &json!({"metadata": {"resourceVersion": "4"}})),
            event("Pod", "shop-db-1", "20", &scheduled),
            event("Pod", "shop-db-0", "20", &json!({"count": 3})),
            event("Pod", "shop-db-0", "30", &json!({})),
            event("AppStack", "shop", "00", &normal),
            event("Pod", "shop-db-0", "05", &series),
        ];
        let told = merged(all.iter().map(Told::of).collect());
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let expected = "\
LAST       TYPE      REASON           OBJECT          MESSAGE
59s        Normal    RolloutStarted   AppStack/shop   db: rolling out db:1
40s        Normal    Scheduled        Pod/shop-db-1   to node-1
40s        Warning   Failed           Pod/shop-db-1   no such image
30s (x4)   Warning   Failed           Pod/shop-db-0   no such image
20s (x4)   Warning   Failed           Pod/shop-db-0   crashed
";
        assert_eq!(table(&told, Look::default(), now), expected);
        let coloured = table(&told, Look { columns: Some(30), colour: true }, now);
        assert!(coloured.contains("30s (x4)   \x1b[31mWarning\x1b[0m   Failed  \u{2026}\n"), "{coloured}");
        assert_eq!(
            told[3].line(Look::default()),
            "00:00:30   Warning   Failed                 Pod/shop-db-0: no such image (x4)\n"
        );
        let mut known = BTreeMap::new();
        assert!(is_news(&mut known, &told[0]) && !is_news(&mut known, &told[0]) && is_news(&mut known, &told[1]));
    }

    #[test]
    fn what_is_gone_is_known_by_its_name_and_strangers_are_not() {
        let workloads = [
            ("Deployment", "shop-web"),
            ("StatefulSet", "shop-db"),
            ("Job", "shop-seed-1a2b"),
            ("DaemonSet", "shop-agent"),
        ];
        let mut family = Family {
            stack: "shop".into(),
            strangers: BTreeSet::new(),
            uids: ["uid-of-claim".to_owned()].into(),
            workloads: workloads.map(|(kind, name)| (kind.to_owned(), name.to_owned())).to_vec(),
        };
        for (kind, name, ours) in [
            ("AppStack", "shop", true),
            ("AppStack", "shop-web", false),
            ("PersistentVolumeClaim", "claim", true),
            ("PersistentVolumeClaim", "other", false),
            ("ReplicaSet", "shop-web-7d9f5b8c6d", true),
            ("Pod", "shop-web-7d9f5b8c6d-x2xkq", true),
            ("Pod", "shop-web-agent-x2xkq", false),
            ("Pod", "shop-db-0", true),
            ("Pod", "shop-db-x", false),
            ("Pod", "shop-seed-1a2b-zzzzz", true),
            ("Pod", "shop-agent-bcdfg", true),
            ("Deployment", "shop-web-7d9f5b8c6d", false),
            ("Pod", "shopping-web-7d9f5b8c6d-x2xkq", false),
        ] {
            assert_eq!(family.is_about(&event(kind, name, "00", &json!({}))), ours, "{kind} {name}");
        }
        let other = event("Pod", "other", "00", &json!({}));
        assert!(family.may_have_grown(&other) && !family.may_have_grown(&other), "a stranger is looked up once");
    }
}
