//! What commands that ask the API server share: where a stack is looked for, and what is said when the answer is no.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use futures::StreamExt;
use futures::stream::BoxStream;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};

use super::run::client;
use crate::api::AppStack;

/// Which stack of which cluster.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// Name of the stack
    pub(super) name: String,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Which namespace of which cluster.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The namespace [default: that of the kubeconfig's context]
    #[arg(long, short, value_name = "NAMESPACE")]
    pub(super) namespace: Option<String>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// For whom an answer is written.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// People.
    #[default]
    Table,
    /// Programs.
    Json,
}

/// A stack as a command asks for it.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) client: Client,
    pub(super) api: Api<AppStack>,
}

/// Finds the cluster and asks it. Exit code 3 where there is none; where the server refuses, 1 and its own words.
pub(super) fn ask(
    which: &Which,
    doing: &'static str,
    question: impl AsyncFnOnce(&Asked) -> kube::Result<ExitCode>,
) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Runtime::new() else {
        eprintln!("error: could not start the async runtime");
        return ExitCode::from(3);
    };
    let code = runtime.block_on(async {
        let (client, namespace) = match connect(&which.place).await {
            Ok(found) => found,
            Err(code) => return code,
        };
        let api = Api::namespaced(client.clone(), &namespace);
        let asked = Asked { name: which.name.clone(), namespace, client, api };
        question(&asked).await.unwrap_or_else(|error| {
            let (code, why) = refusal(&error, &asked.namespace);
            eprintln!("error: could not {doing} stack '{}' in namespace '{}': {why}", asked.name, asked.namespace);
            ExitCode::from(code)
        })
    });
    // A thread that reads or writes a file, or a pipe that nobody takes from, does not hold up who has interrupted.
    runtime.shutdown_background();
    code
}

/// A client, and the namespace that is meant. Where there is no cluster, says so and returns exit code 3.
pub(super) async fn connect(place: &Place) -> Result<(Client, String), ExitCode> {
    match client(place.context.clone()).await {
        Ok(client) => {
            let namespace = place.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
            Ok((client, namespace))
        }
        Err(error) => {
            eprintln!("error: could not find an API server: {error}; set KUBECONFIG or --context");
            Err(ExitCode::from(3))
        }
    }
}

impl Asked {
    /// The stack as it is and as it becomes; none while there is none. Ends when the server says no.
    pub(super) fn follow(&self) -> BoxStream<'static, kube::Result<Option<AppStack>>> {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let mut listed = None;
        watcher(self.api.clone(), config)
            .default_backoff()
            .filter_map(move |event| {
                let news = match event {
                    Ok(watcher::Event::Init) => {
                        listed = None;
                        None
                    }
                    Ok(watcher::Event::InitApply(stack)) => {
                        listed = Some(stack);
                        None
                    }
                    Ok(watcher::Event::InitDone) => Some(Ok(listed.take())),
                    Ok(watcher::Event::Apply(stack)) => Some(Ok(Some(stack))),
                    Ok(watcher::Event::Delete(_)) => Some(Ok(None)),
                    Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error))
                        if is_refused(&error) =>
                    {
                        Some(Err(error))
                    }
                    Err(error) => {
                        eprintln!("watch interrupted, and taken up again: {error}");
                        None
                    }
                };
                std::future::ready(news)
            })
            .boxed()
    }

    /// The stack; where there is none, says so.
    pub(super) async fn stack(&self) -> kube::Result<Option<AppStack>> {
        let stack = self.api.get_opt(&self.name).await?;
        if stack.is_none() {
            eprintln!("error: no AppStack '{}' in namespace '{}'; -n names another", self.name, self.namespace);
        }
        Ok(stack)
    }
}

/// Whether the server has understood, and says no: asking again changes nothing.
pub(super) fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 409 | 422))
}

/// What went wrong, in the server's words, and what to do.
pub(super) fn words(error: &kube::Error, namespace: &str) -> String {
    refusal(error, namespace).1
}

/// Exit code, and why: the server's words without the rest of its answer, and what to do.
fn refusal(error: &kube::Error, namespace: &str) -> (u8, String) {
    let kube::Error::Api(status) = error else { return (3, error.to_string()) };
    let said = status.message.as_str();
    let why = match status.code {
        401 => "the API server does not know you; log in again, or choose another --context".to_owned(),
        403 => format!("{said}; `kubectl auth can-i --list -n {namespace}` tells what you may do there"),
        404 => format!("{said}; is the CustomResourceDefinition installed, and the stack still there?"),
        409 => "it was changed at the same moment; nothing was done, try again".to_owned(),
        400 | 422 => format!("the API server does not take it: {said}"),
        code => format!("the API server answers {code}: {said}"),
    };
    (if is_refused(error) { 1 } else { 3 }, why)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_refusal_is_one_line_of_the_servers_own_words_and_exit_code_1() {
        let words = "appstacks.appstack.dev \"shop\" is forbidden: User \"jo\" cannot get resource";
        let answer = |code| {
            let status = Status { code, message: words.into(), reason: "Some".into(), ..Status::default() };
            refusal(&kube::Error::Api(Box::new(status)), "team")
        };
        for (code, exit, says) in [
            (403, 1, format!("{words}; `kubectl auth can-i --list -n team` tells what you may do there")),
            (422, 1, format!("the API server does not take it: {words}")),
            (409, 1, "it was changed at the same moment; nothing was done, try again".into()),
            (401, 3, "the API server does not know you; log in again, or choose another --context".into()),
            (503, 3, format!("the API server answers 503: {words}")),
        ] {
            assert_eq!(answer(code), (exit, says));
        }
    }
}
