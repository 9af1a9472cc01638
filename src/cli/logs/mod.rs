//! `appstack logs`: what the services of a stack say, in the order in which they said it.

mod line;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::line::{Line, Style};
use self::source::{Begin, Source};
use super::findings::Colour;
use super::pods;
use super::run::duration;
use super::server::{Asked, Which, ask, is_refused};
use super::steering::{no_such_service, refuse};

/// How long a line is held back while others of the same moment may be on their way.
const TOGETHER: Duration = Duration::from_millis(150);

/// Show the logs of a stack's services, merged in the order of time
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    #[command(flatten)]
    which: Which,
    /// Of these services only
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Follow until interrupted, new pods too
    #[arg(long, short)]
    follow: bool,
    /// So many lines from the end of each container's log, or `all`
    #[arg(long, value_name = "LINES", default_value = "all", value_parser = tail)]
    tail: Tail,
    /// Not what is older: a duration (`5m`) or a time (`2026-01-02T15:04:05Z`)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// With the time of each line
    #[arg(long, short)]
    timestamps: bool,
    /// Without the name of service and pod
    #[arg(long)]
    no_prefix: bool,
    /// When to colour
    #[arg(long, value_enum, default_value_t)]
    color: Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tail(Option<i64>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Ago(Duration),
    At(Timestamp),
}

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail(None)),
        _ => text
            .parse()
            .ok()
            .filter(|lines| *lines >= 0)
            .map(|lines| Tail(Some(lines)))
            .ok_or("must be a number or all".into()),
    }
}

fn since(text: &str) -> Result<Since, String> {
    match (duration(text), text.parse::<Timestamp>()) {
        (Ok(ago), _) => Ok(Since::Ago(ago)),
        (_, Ok(at)) => Ok(Since::At(at)),
        _ => Err("must be a duration such as 5m, or a time such as 2026-01-02T15:04:05Z".into()),
    }
}

/// Exit codes: 0 shown, 1 no such stack or service, or no right to see it, 3 no cluster.
pub fn run(args: &LogsArgs) -> ExitCode {
    ask(&args.which, "read the logs of", async |asked| logs(args, asked).await)
}

async fn logs(args: &LogsArgs, asked: &Asked) -> kube::Result<ExitCode> {
    let Some(stack) = asked.stack().await? else { return Ok(ExitCode::from(1)) };
    let unknown = args.services.iter().filter(|name| !stack.spec.services.contains_key(*name));
    let unknown: Vec<String> = unknown.map(|name| no_such_service(&stack, name)).collect();
    if !unknown.is_empty() {
        refuse("no logs are shown", &unknown);
        return Ok(ExitCode::from(1));
    }
    let services: Vec<String> = stack.spec.services.keys().cloned().collect();
    let style = Style::new(&services, args.color.wanted(&io::stdout()), !args.no_prefix, args.timestamps);
    let begin = Begin { tail: args.tail.0, since: args.since.map(from) };
    let mut said = Said { style, broken: false };
    let pods = pods::list(asked).await?;
    let sources: Vec<Source> = pods.iter().filter(|pod| is_meant(args, pod)).flat_map(Source::of).collect();
    said.style.knows(&sources);
    let seen = merge(asked, &sources, begin, &mut said).await?;
    if args.follow && !said.broken {
        follow(args, asked, begin, seen, &mut said).await?;
    } else if sources.is_empty() {
        eprintln!("note: no pod of the stack has started yet; `appstack status {}` tells why", asked.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn from(since: Since) -> Timestamp {
    match since {
        Since::At(at) => at,
        Since::Ago(ago) => Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

fn is_meant(args: &LogsArgs, pod: &Pod) -> bool {
    let service = pods::service(pod);
    service.is_some() && (args.services.is_empty() || args.services.iter().any(|name| Some(name.as_str()) == service))
}

/// What goes to standard output. A reader that has had enough is no failure.
struct Said {
    style: Style,
    broken: bool,
}

impl Said {
    fn say(&mut self, line: &Line) {
        let text = self.style.show(line);
        let mut out = io::stdout().lock();
        self.broken |= out.write_all(&text).and_then(|()| out.flush()).is_err();
    }
}

/// Up to which line each container of a pod was shown.
type Shown = BTreeMap<(String, String), Timestamp>;

/// What there is of all sources, the oldest line first.
async fn merge(asked: &Asked, sources: &[Source], begin: Begin, said: &mut Said) -> kube::Result<Shown> {
    let mut shown = Shown::new();
    let mut open = Vec::new();
    for source in sources {
        if let Some(mut lines) = source.read(asked, begin, false).await?
            && let Some(head) = lines.next().await
        {
            open.push((head, lines));
        }
    }
    while let Some(at) = (0..open.len()).min_by_key(|at| open.get(*at).map(|(head, _)| head.at)) {
        let Some((head, lines)) = open.get_mut(at) else { break };
        said.say(head);
        if said.broken {
            break;
        }
        shown.insert(head.source.key(), head.at);
        match lines.next().await {
            Some(next) => *head = next,
            None => drop(open.swap_remove(at)),
        }
    }
    Ok(shown)
}

/// New lines as they come, of pods that come too; until interrupted.
async fn follow(args: &LogsArgs, asked: &Asked, begin: Begin, shown: Shown, said: &mut Said) -> kube::Result<()> {
    let config = watcher::Config::default().labels(&pods::of_stack(asked));
    let mut pods = watcher(pods::api(asked), config).default_backoff().boxed();
    let (sender, mut lines) = mpsc::channel::<Line>(1024);
    let mut followed = BTreeSet::new();
    let mut first = true;
    let mut waiting: Vec<Line> = Vec::new();
    let mut due: Option<Instant> = None;
    loop {
        let flush = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(line) = lines.recv() => {
                waiting.push(line);
                due.get_or_insert_with(|| Instant::now() + TOGETHER);
            }
            () = flush => {
                due = None;
                waiting.sort_by_key(|line| line.at);
                for line in waiting.drain(..) {
                    said.say(&line);
                }
                if said.broken {
                    return Ok(());
                }
            }
            event = pods.next() => match event {
                Some(Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod))) if is_meant(args, &pod) => {
                    let new: Vec<Source> = Source::of(&pod).into_iter().filter(|s| followed.insert(s.incarnation())).collect();
                    said.style.knows(&new);
                    for source in new {
                        let from = match shown.get(&source.key()) {
                            Some(last) => Begin { tail: None, since: Some(*last) },
                            // Of pods that come later, all; of those that were there and have said nothing, what was asked for.
                            None if first => begin,
                            None => Begin { tail: None, since: None },
                        };
                        let last = shown.get(&source.key()).copied();
                        tokio::spawn(source.follow(asked.clone(), from, last, sender.clone()));
                    }
                }
                Some(Ok(watcher::Event::InitDone)) => first = false,
                Some(Ok(_)) => {}
                Some(Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error))) if is_refused(&error) => {
                    return Err(error);
                }
                Some(Err(error)) => eprintln!("watch interrupted, and taken up again: {error}"),
                None => return Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_begins_at_a_number_of_lines_or_at_a_time() {
        assert_eq!((tail("all"), tail("0"), tail("10")), (Ok(Tail(None)), Ok(Tail(Some(0))), Ok(Tail(Some(10)))));
        assert!(tail("-1").is_err() && tail("many").is_err());
        assert_eq!(since("90s"), Ok(Since::Ago(Duration::from_secs(90))));
        assert_eq!(since("2026-01-02T15:04:05Z"), Ok(Since::At("2026-01-02T15:04:05Z".parse().unwrap())));
        assert!(since("yesterday").is_err());
    }
}
