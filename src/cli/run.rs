//! `appstack run`: the operator.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::PostParams;
use kube::client::ClientBuilder;
use kube::config::{InferConfigError, KubeConfigOptions};
use kube::{Api, Client, Config};
use tracing_subscriber::EnvFilter;

use super::validate::level;
use crate::api::PodSecurity;
use crate::controller::{self, Options};
use crate::ops::requests::Counting;
use crate::ops::{Ops, server};
use crate::render::Settings;
use crate::stack::ApplyAs;

/// Namespace of the pod we run in, where there is one.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Run the operator (in a cluster, or with KUBECONFIG)
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Look after stacks of this namespace only [default: all namespaces]
    #[arg(long, value_name = "NAMESPACE", env = "WATCH_NAMESPACE")]
    watch_namespace: Option<String>,
    /// Look after stacks with these labels only, such as `shard=a` or `!shard`; another operator has to look after each of the others. It has a lease of its own
    #[arg(long, value_name = "LABELS", value_parser = selector)]
    selector: Option<String>,
    /// Namespace of the lease [default: the watched one, else the pod's own, else `default`]
    #[arg(long, value_name = "NAMESPACE")]
    lease_namespace: Option<String>,
    /// Who we are among replicas; one that starts again under its old name leads again at once [default: a name of this process]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// Seconds after which a lease that is not renewed is free
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(2..=600))]
    lease_term: u64,
    /// Where /healthz, /readyz and /metrics answer, such as 0.0.0.0:8080 [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The highest Pod Security level that a stack may ask for
    #[arg(long, value_name = "LEVEL", default_value = "Baseline", value_parser = level)]
    max_pod_security: PodSecurity,
    /// Whether stacks say in whose name they are written: `off`, the operator acts as itself; `allowed`, as the service account of `spec.applyAs` where a stack has one;
    /// `required`, stacks without one are refused
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t = WhetherAs::Off)]
    apply_as: WhetherAs,
    /// Time until a name that a foreign object holds is tried again
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration)]
    conflict_retry: Duration,
    /// Time until a write that the API server refused is tried again unchanged
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    refusal_retry: Duration,
    #[command(flatten)]
    dns: DnsArgs,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    /// Puts an annotation on every pod template: plays a new version of the operator in tests
    #[cfg(debug_assertions)]
    #[arg(long, hide = true, env = "APPSTACK_TEST_RENDER_SALT")]
    test_render_salt: Option<String>,
}

/// What of the cluster decides how a stack is rendered.
#[derive(Args, Clone, Debug)]
pub struct DnsArgs {
    /// Labels of the cluster's DNS pods in kube-system
    #[arg(id = "dns_selector", long = "dns-selector", value_name = "KEY=VALUE", value_delimiter = ',', default_value = "k8s-app=kube-dns", value_parser = label)]
    selector: Vec<(String, String)>,
    /// Ports of those pods
    #[arg(
        id = "dns_port",
        long = "dns-port",
        value_name = "PORT",
        value_delimiter = ',',
        default_value = "53,5353,8053"
    )]
    ports: Vec<u16>,
    /// Addresses of resolvers that are no pods
    #[arg(
        id = "dns_cidr",
        long = "dns-cidr",
        value_name = "CIDR",
        value_delimiter = ',',
        default_value = "169.254.20.10/32"
    )]
    cidrs: Vec<String>,
}

impl DnsArgs {
    pub(super) fn settings(&self) -> Settings {
        Settings {
            dns_selector: self.selector.clone(),
            dns_ports: self.ports.clone(),
            dns_cidrs: self.cidrs.clone(),
            ..Settings::default()
        }
    }
}

/// What becomes of `spec.applyAs`.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhetherAs {
    Off,
    Allowed,
    Required,
}

impl WhetherAs {
    pub(super) fn rule(self) -> ApplyAs {
        match self {
            WhetherAs::Off => ApplyAs::Off,
            WhetherAs::Allowed => ApplyAs::Allowed,
            WhetherAs::Required => ApplyAs::Required,
        }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(ValueEnum, Clone, Copy, Debug)]
enum LogFormat {
    Json,
    Text,
}

/// A duration of the command line, as in the API.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    crate::api::Duration(text.to_owned())
        .parse()
        .ok_or_else(|| "a duration such as 15s or 1m30s (units h, m, s, ms)".into())
}

/// What of a selector can be told without the API server, which reads it.
pub(super) fn selector(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_of_labels = |c: char| c.is_ascii_alphanumeric() || "-_./=!,() ".contains(c);
    if text.is_empty() || !text.chars().all(is_of_labels) {
        return Err("labels as kubectl takes them: shard=a, shard!=a, 'shard in (a, b)', !shard".into());
    }
    Ok(text.to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "a label such as k8s-app=kube-dns".into())
}

/// Runs the operator until SIGTERM or SIGINT (exit code 0), or until it must not write any more (3).
pub fn run(args: RunArgs) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube_runtime=error"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Text => logs.with_ansi(false).init(),
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "could not start the async runtime");
            return ExitCode::from(3);
        }
    };
    match runtime.block_on(serve(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the operator ends");
            ExitCode::from(3)
        }
    }
}

async fn serve(args: RunArgs) -> Result<(), String> {
    let nowhere = |error: Error| format!("could not find an API server: {error}; set KUBECONFIG, or run in a cluster");
    let mut config = config(None).await.map_err(nowhere)?;
    config.read_timeout = Some(controller::SILENCE);
    config.reset_reader_on_write = true; // or the time that a connection sat idle would count
    let ops = Ops::default();
    let client = ClientBuilder::try_from(config).map_err(|error| nowhere(error.into()))?;
    let client = client.with_layer(&Counting(ops.metrics.clone())).build();
    if let Some(address) = args.listen {
        let listener = server::bind(address).await?;
        tracing::info!(%address, "probes and metrics");
        tokio::spawn(server::serve(listener, ops.clone()));
    }
    let stop = stop_signal().map_err(|error| format!("could not listen for signals: {error}"))?;
    let own_user = if args.apply_as == WhetherAs::Off { None } else { Some(own_user(&client).await?) };
    controller::run(client, Options { own_user, ..options(args) }, ops, stop).await.map_err(|error| error.to_string())
}

/// Who we are to the API server. Everybody may ask that, unless somebody has taken the cluster's role `system:basic-user` away.
async fn own_user(client: &Client) -> Result<String, String> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let user = answer.map(|review| review.status.and_then(|status| status.user_info?.username));
    match user {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err("the API server does not say who this is, which --apply-as needs".into()),
        Err(error) => Err(format!("could not ask the API server who this is, which --apply-as needs: {error}")),
    }
}

/// A client of the cluster that KUBECONFIG, a pod's service account, or `context` names.
pub(super) async fn client(context: Option<String>) -> Result<Client, Error> {
    Ok(Client::try_from(config(context).await?)?)
}

async fn config(context: Option<String>) -> Result<Config, Error> {
    let mut config = match context {
        Some(context) => {
            Config::from_kubeconfig(&KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() })
                .await?
        }
        None => Config::infer().await.map_err(Box::<InferConfigError>::from)?,
    };
    // Retries are ours: a stack that fails must not hold a worker for minutes, unseen.
    config.default_retry = false;
    let agent = concat!("appstack/", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    Ok(config)
}

fn options(args: RunArgs) -> Options {
    let own = || std::fs::read_to_string(OWN_NAMESPACE).ok().map(|name| name.trim().to_owned());
    let lease_namespace =
        args.lease_namespace.or_else(|| args.watch_namespace.clone()).or_else(own).unwrap_or_else(|| "default".into());
    let host = || {
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map_or_else(|_| "appstack".into(), |name| name.trim().to_owned())
    };
    Options {
        watch_namespace: args.watch_namespace,
        selector: args.selector,
        lease_namespace,
        identity: args.identity.unwrap_or_else(|| format!("{}-{}", host(), std::process::id())),
        lease_term: Duration::from_secs(args.lease_term),
        conflict_retry: args.conflict_retry,
        refusal_retry: args.refusal_retry,
        max_pod_security: args.max_pod_security,
        apply_as: args.apply_as.rule(),
        own_user: None,
        rendering: Settings {
            #[cfg(debug_assertions)]
            test_salt: args.test_render_salt,
            ..args.dns.settings()
        },
    }
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    })
}
