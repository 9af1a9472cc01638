//! `appstack ps`: the pods of a stack, a line each.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::answer;
use super::look::{Look, age, columns};
use super::pods;
use super::server::{Asked, Which, ask};
use super::steering::{no_such_service, refuse};
use super::tree::leaf::Leaf;
use crate::api::{ServiceState, ServiceStatus};
use crate::child::Kind;

/// List the pods of a stack: what runs, since when, and what ails it
#[derive(Args, Clone, Debug)]
pub struct PsArgs {
    #[command(flatten)]
    which: Which,
    /// Of these services only
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Also pods that have ended
    #[arg(long, short)]
    all: bool,
    /// How it is shown; `name` is a pod's name a line
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Output {
    #[default]
    Table,
    Json,
    Name,
}

/// Exit codes: 0 shown, 1 no such stack or service, or no right to see it, 3 no cluster.
pub fn run(args: &PsArgs) -> ExitCode {
    ask(&args.which, "list the pods of", async |asked| ps(args, asked).await)
}

async fn ps(args: &PsArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let mut pods = pods::list(asked).await?;
    let named =
        |pod: &Pod| args.services.is_empty() || args.services.iter().any(|s| Some(s.as_str()) == pods::service(pod));
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    let unknown = args.services.iter().filter(|name| !stack.spec.services.contains_key(*name));
    let unknown: Vec<String> = unknown.map(|name| no_such_service(&stack, name)).collect();
    if !unknown.is_empty() {
        refuse("nothing is listed", &unknown);
        return Ok(ExitCode::from(1));
    }
    pods.retain(|pod| named(pod) && (args.all || !has_ended(pod)));
    let services = stack.status.map(|status| status.services).unwrap_or_default();
    let rows: Vec<Row> =
        pods.iter().filter_map(|pod| Row::of(pod, services.get(pods::service(pod)?), Timestamp::now())).collect();
    Ok(answer(&match args.output {
        Output::Table => table(&rows, Look::of_stdout(), Timestamp::now()),
        Output::Json => format!("{:#}\n", Value::Array(rows.iter().map(Row::json).collect())),
        Output::Name => rows.iter().map(|row| format!("{}\n", row.name)).collect(),
    }))
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    name: String,
    service: String,
    image: String,
    created: Option<Timestamp>,
    state: ServiceState,
    status: String,
    ports: Vec<String>,
    node: String,
}

impl Row {
    fn of(pod: &Pod, service: Option<&ServiceStatus>, now: Timestamp) -> Option<Row> {
        let leaf = Leaf::of(Kind::Pod, serde_json::to_value(pod).ok()?)?;
        // Of an earlier revision: not the one that the status is about.
        let revision = service.and_then(|service| service.revision.clone()).unwrap_or_default();
        let (state, status) = leaf.said(&revision, &ServiceStatus::default(), now);
        let own = pods::container(pod);
        let spec = pod.spec.as_ref();
        let container = spec.and_then(|spec| spec.containers.iter().find(|container| container.name == own))?;
        let port = |port: &k8s_openapi::api::core::v1::ContainerPort| {
            let protocol = port.protocol.as_deref().unwrap_or("TCP").to_lowercase();
            format!("{}/{protocol}", port.container_port)
        };
        Some(Row {
            name: pod.name_any(),
            service: pods::service(pod)?.to_owned(),
            image: container.image.clone().unwrap_or_default(),
            created: pod.creation_timestamp().map(|time| time.0),
            state,
            status,
            ports: container.ports.iter().flatten().map(port).collect(),
            node: spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        })
    }

    fn json(&self) -> Value {
        json!({"name": self.name, "service": self.service, "image": self.image, "created": self.created.map(|t| t.to_string()),
            "state": self.state.as_str(), "status": self.status, "ports": self.ports, "node": self.node})
    }
}

fn table(rows: &[Row], look: Look, now: Timestamp) -> String {
    let head = ["NAME", "SERVICE", "IMAGE", "CREATED", "PORTS", "NODE", "STATUS"].map(str::to_owned).to_vec();
    let cells = rows.iter().map(|row| {
        let created = row.created.map_or_else(String::new, |at| age(at, now));
        let [name, service, image, ports] =
            [row.name.clone(), row.service.clone(), row.image.clone(), row.ports.join(", ")];
        vec![name, service, image, created, ports, row.node.clone(), row.status.clone()]
    });
    let lines = columns(&std::iter::once(head).chain(cells).collect::<Vec<_>>());
    let states = std::iter::once(None).chain(rows.iter().map(Some));
    let line = |(line, row): (&String, Option<&Row>)| match row {
        Some(row) => format!("{}\n", look.paint(&look.cut(line), first(&row.status), row.state)),
        None => format!("{}\n", look.cut(line)),
    };
    lines.iter().zip(states).map(line).collect()
}

/// The words before the details.
fn first(status: &str) -> &str {
    status.split([',', ':']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_a_line_and_its_trouble_comes_last() {
        let now: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap();
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        let stuck = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
        let [good, bad] = [
            pods::tests::pod("shop-web-a", "2026-01-01T00:00:00Z", true, &running),
            pods::tests::pod("shop-web-b", "2026-01-01T00:04:00Z", false, &stuck),
        ];
        let rows: Vec<Row> = [good, bad].iter().filter_map(|pod| Row::of(pod, None, now)).collect();
        let expected = "\
NAME         SERVICE   IMAGE   CREATED   PORTS      NODE   STATUS
shop-web-a   web       web:1   5m        8000/tcp          ready, 5m
shop-web-b   web       web:1   60s       8000/tcp          ImagePullBackOff: no such image, 60s
";
        assert_eq!(table(&rows, Look::default(), now), expected);
        let said = rows[1].json();
        assert_eq!((&said["state"], &said["ports"]), (&json!("Failed"), &json!(["8000/tcp"])));
    }
}
