//! `appstack port-forward`: a port of this machine that answers as one of a service does.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use futures::future::try_join_all;
use kube::ResourceExt;
use tokio::net::{TcpListener, TcpStream};

use super::pods;
use super::server::{Asked, Which, ask};
use super::steering::{no_such_service, refuse};
use crate::api::{AppStack, PodSecurity};
use crate::stack::check;

/// Forward ports of this machine to a pod of a service; each connection goes to a pod that is ready then
#[derive(Args, Clone, Debug)]
pub struct PortForwardArgs {
    #[command(flatten)]
    which: Which,
    /// The service, and a port of it by name or number [default: all that it declares, under their own numbers]
    #[arg(value_name = "SERVICE[:PORT]")]
    service: String,
    /// `LOCAL:REMOTE`, `:REMOTE` for any free local port, or, after SERVICE:PORT, just `LOCAL`; several may be given
    #[arg(value_name = "LOCAL:REMOTE")]
    ports: Vec<String>,
    /// Address of this machine to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    address: IpAddr,
}

/// Runs until interrupted. Exit codes: 1 no such service or port, 2 wrong usage, 3 no cluster, or the local port is taken.
pub fn run(args: &PortForwardArgs) -> ExitCode {
    ask(&args.which, "forward ports to", async |asked| forward(args, asked).await)
}

/// A pair of ports, and what the remote one is called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    local: u16,
    remote: u16,
    name: String,
}

async fn forward(args: &PortForwardArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    let service = args.service.split(':').next().unwrap_or_default();
    if !stack.spec.services.contains_key(service) {
        refuse("nothing is forwarded", &[no_such_service(&stack, service)]);
        return Ok(ExitCode::from(1));
    }
    let pairs = match pairs(&declared(&stack, service), &args.service, &args.ports) {
        Ok(pairs) => pairs,
        Err(why) => {
            refuse("nothing is forwarded", &[why]);
            return Ok(ExitCode::from(1));
        }
    };
    // Whoever listens before a pod can answer would only pass on its trouble.
    if let Err(why) = pods::pick(asked, service).await? {
        refuse("nothing is forwarded", &[why]);
        return Ok(ExitCode::from(1));
    }
    let mut listeners = Vec::new();
    for pair in pairs {
        let wanted = SocketAddr::new(args.address, pair.local);
        match TcpListener::bind(wanted).await.and_then(|listener| Ok((listener.local_addr()?, listener))) {
            Ok((address, listener)) => {
                println!("Forwarding from {address} -> {service}:{}", pair.name);
                listeners.push((listener, pair));
            }
            Err(error) => {
                eprintln!("error: cannot listen on {wanted}: {error}");
                return Ok(ExitCode::from(3));
            }
        }
    }
    let to = Arc::new((asked.clone(), service.to_owned()));
    try_join_all(listeners.into_iter().map(|(listener, pair)| serve(listener, pair, to.clone()))).await?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(listener: TcpListener, pair: Pair, to: Arc<(Asked, String)>) -> kube::Result<()> {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                let (to, pair) = (to.clone(), pair.clone());
                tokio::spawn(async move {
                    if let Err(why) = carry(connection, &pair, &to.0, &to.1).await {
                        eprintln!("error: {}:{}: {why}", to.1, pair.name);
                    }
                });
            }
            Err(error) => {
                eprintln!("error: cannot take a connection: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection, to a pod that is ready now: after a rollout, the next one goes to a new pod.
async fn carry(mut connection: TcpStream, pair: &Pair, asked: &Asked, service: &str) -> Result<(), String> {
    let pod = pods::pick(asked, service).await.map_err(|error| error.to_string())??;
    let name = pod.name_any();
    let mut forwarder =
        pods::api(asked).portforward(&name, &[pair.remote]).await.map_err(|error| format!("pod {name}: {error}"))?;
    let refused = forwarder.take_error(pair.remote);
    let Some(mut remote) = forwarder.take_stream(pair.remote) else { return Err(format!("pod {name}: no stream")) };
    let refused = async {
        match refused {
            Some(refused) => refused.await,
            None => None,
        }
    };
    tokio::pin!(refused);
    let copied = tokio::io::copy_bidirectional(&mut connection, &mut remote);
    tokio::select! {
        // Either side has hung up: that is how connections end.
        _ = copied => Ok(()),
        Some(why) = &mut refused => Err(format!("pod {name}: {}", super::look::one_line(&why))),
    }
}

/// The ports that a service declares, by name.
fn declared(stack: &AppStack, service: &str) -> BTreeMap<String, u16> {
    let model = check(stack, PodSecurity::Privileged).ok();
    let found = model.as_ref().and_then(|model| model.services.get(service));
    let ports = found.iter().flat_map(|service| &service.ports);
    ports.filter_map(|port| Some((port.name.clone(), u16::try_from(port.number).ok()?))).collect()
}

/// What is forwarded, from what was asked for.
fn pairs(declared: &BTreeMap<String, u16>, target: &str, asked: &[String]) -> Result<Vec<Pair>, String> {
    let all = || declared.iter().map(|(name, number)| format!("{name} ({number})")).collect::<Vec<_>>().join(", ");
    let number = |text: &str| text.parse::<u16>().ok();
    let find = |port: &str| match (declared.get(port), number(port)) {
        (Some(known), _) => Ok(*known),
        (None, Some(number)) if number > 0 => Ok(number),
        _ if declared.is_empty() => Err(format!("'{port}' is no port; the service declares none: say its number")),
        _ => Err(format!("there is no port '{port}'; there are: {}", all())),
    };
    let local = |text: &str| match text {
        "" => Ok(0),
        text => number(text).ok_or_else(|| format!("'{text}' is no port number of this machine")),
    };
    let pair = |local: u16, name: &str| Ok::<_, String>(Pair { local, remote: find(name)?, name: name.to_owned() });
    let of_target = target.split_once(':').map(|(_, port)| port);
    match (of_target, asked) {
        (Some(port), []) => Ok(vec![pair(find(port)?, port)?]),
        (Some(port), [only]) if !only.contains(':') => Ok(vec![pair(local(only)?, port)?]),
        (Some(_), _) => Err("a port is named twice: say SERVICE:PORT LOCAL, or SERVICE LOCAL:REMOTE".into()),
        (None, []) if declared.is_empty() => Err("the service declares no ports; say LOCAL:REMOTE".into()),
        (None, []) => declared.iter().map(|(name, number)| pair(*number, name)).collect(),
        (None, asked) => asked
            .iter()
            .map(|text| match text.split_once(':') {
                Some((here, there)) => pair(local(here)?, there),
                None => pair(find(text)?, text),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_asked_for_by_name_by_number_or_not_at_all() {
        let declared = BTreeMap::from([("http".to_owned(), 8000), ("metrics".to_owned(), 9090)]);
        let of = |target: &str, asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|text| (*text).to_owned()).collect();
            let found = pairs(&declared, target, &asked)?;
            Ok::<_, String>(found.iter().map(|p| (p.local, p.remote)).collect::<Vec<_>>())
        };
        assert_eq!(of("web", &[]), Ok(vec![(8000, 8000), (9090, 9090)]));
        assert_eq!(of("web:http", &[]), Ok(vec![(8000, 8000)]));
        assert_eq!(of("web:http", &["80"]), Ok(vec![(80, 8000)]));
        assert_eq!(of("web", &["80:http", ":metrics"]), Ok(vec![(80, 8000), (0, 9090)]));
        assert_eq!(of("web", &["8080:5000"]), Ok(vec![(8080, 5000)]), "one that it does not declare");
        assert_eq!(of("web", &["metrics"]), Ok(vec![(9090, 9090)]));
        for (target, asked, says) in [
            ("web:htp", &[][..], "there is no port 'htp'; there are: http (8000), metrics (9090)"),
            ("web:http", &["80:81"], "a port is named twice"),
            ("web", &["x:http"], "'x' is no port number of this machine"),
            ("web", &["80:70000"], "there is no port '70000'"),
        ] {
            let why = of(target, asked).unwrap_err();
            assert!(why.starts_with(says), "{why}");
        }
        assert!(pairs(&BTreeMap::new(), "web", &[]).unwrap_err().contains("declares no ports"));
    }
}
