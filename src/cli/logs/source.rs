//! The log of one container.

use std::sync::Arc;
use std::time::Duration;

use futures::io::{AsyncBufRead, AsyncBufReadExt};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::LogParams;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::line::{Line, parse};
use crate::cli::pods;
use crate::cli::server::Asked;

/// A container that has said something, or may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) uid: String,
    pub(super) pod: String,
    pub(super) service: String,
    pub(super) suffix: String,
    pub(super) container: String,
    /// Whether it is the service's own, and not one beside it or before it.
    pub(super) own: bool,
    pub(super) restarts: i32,
}

/// Where a log is begun.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Begin {
    pub(super) tail: Option<i64>,
    pub(super) since: Option<Timestamp>,
}

impl Source {
    /// The containers of a pod that have started, init containers first.
    pub(super) fn of(pod: &Pod) -> Vec<Source> {
        let started = |status: &&k8s_openapi::api::core::v1::ContainerStatus| {
            status.restart_count > 0
                || status.state.as_ref().is_some_and(|s| s.running.is_some() || s.terminated.is_some())
        };
        let own = pods::container(pod);
        let source = |status: &k8s_openapi::api::core::v1::ContainerStatus| Source {
            uid: pod.uid().unwrap_or_default(),
            pod: pod.name_any(),
            service: pods::service(pod).unwrap_or_default().to_owned(),
            suffix: pods::suffix(pod),
            container: status.name.clone(),
            own: status.name == own,
            restarts: status.restart_count,
        };
        pods::statuses(pod).filter(started).map(source).collect()
    }

    /// Which container, however often it was started.
    pub(super) fn key(&self) -> (String, String) {
        (self.uid.clone(), self.container.clone())
    }

    /// Which container, started so often.
    pub(super) fn incarnation(&self) -> (String, String, i32) {
        (self.uid.clone(), self.container.clone(), self.restarts)
    }

    /// How it is named in front of its lines.
    pub(super) fn label(&self) -> String {
        let name = format!("{}/{}", self.service, self.suffix);
        if self.own { name } else { format!("{name}[{}]", self.container) }
    }

    /// Its lines; none where there is no log (yet, or any more).
    pub(super) async fn read(
        &self,
        asked: &Asked,
        begin: Begin,
        follow: bool,
    ) -> kube::Result<Option<BoxStream<'static, Line>>> {
        match pods::api(asked).log_stream(&self.pod, &self.params(begin, follow)).await {
            Ok(log) => Ok(Some(lines(Arc::new(self.clone()), log).boxed())),
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A time is sent to the second, and kube rounds it: up, too, which would leave out what was said in between.
    fn params(&self, begin: Begin, follow: bool) -> LogParams {
        LogParams {
            container: Some(self.container.clone()),
            follow,
            tail_lines: begin.tail,
            since_time: begin.since.map(|since| Timestamp::from_second(since.as_second()).unwrap_or(since)),
            timestamps: true,
            ..LogParams::default()
        }
    }

    /// Sends its lines after `last` until it ends; a connection that is lost is taken up again.
    pub(super) async fn follow(
        self,
        asked: Asked,
        mut begin: Begin,
        mut last: Option<Timestamp>,
        to: mpsc::Sender<Line>,
    ) {
        loop {
            match self.read(&asked, begin, true).await {
                Ok(Some(mut lines)) => {
                    // The server begins at a whole second. Of what comes after that, none is old, whatever the node's clock does.
                    let mut seen = last;
                    while let Some(line) = lines.next().await {
                        if seen.is_some_and(|seen| line.at <= seen) {
                            continue;
                        }
                        seen = None;
                        last = Some(line.at);
                        if to.send(line).await.is_err() {
                            return;
                        }
                    }
                }
                Ok(None) => {}
                Err(error) => eprintln!("note: {}: {error}; trying again", self.label()),
            }
            let pod = pods::api(&asked).get_opt(&self.pod).await;
            let runs = |pod: &Pod| {
                let mut statuses = pods::statuses(pod);
                statuses.any(|s| {
                    s.name == self.container
                        && s.restart_count == self.restarts
                        && s.state.as_ref().is_some_and(|state| state.running.is_some())
                })
            };
            // Nobody can tell while the API server is away.
            if pod.is_ok_and(|pod| !pod.is_some_and(|pod| pod.uid().as_ref() == Some(&self.uid) && runs(&pod))) {
                return;
            }
            sleep(Duration::from_secs(1)).await;
            begin = last.map_or(begin, |last| Begin { tail: None, since: Some(last) });
        }
    }
}

/// Lines of a log with times; one that has none belongs to the moment of the one before.
fn lines(source: Arc<Source>, log: impl AsyncBufRead + Send + 'static) -> impl Stream<Item = Line> + Send {
    let start = (Box::pin(log), Timestamp::UNIX_EPOCH);
    stream::unfold(start, move |(mut log, mut at)| {
        let source = source.clone();
        async move {
            let mut bytes = Vec::new();
            // What a broken connection still brought is kept.
            let _ = log.read_until(b'\n', &mut bytes).await;
            if bytes.is_empty() {
                return None;
            }
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let text = match parse(bytes) {
                Some((time, text)) => {
                    at = time;
                    text
                }
                None => bytes,
            };
            Some((Line { at, source, text: text.to_vec() }, (log, at)))
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_log_is_cut_into_lines_with_their_times() {
        let log = b"2026-01-01T00:00:01Z one\n2026-01-01T00:00:02Z \nbroken\n2026-01-01T00:00:03Z end";
        let pod = pods::tests::pod("shop-web-x", "2026-01-01T00:00:00Z", true, &json!({"running": {}}));
        let sources = Source::of(&pod);
        assert_eq!(sources.iter().map(Source::label).collect::<Vec<_>>(), ["web/x"]);
        let lines: Vec<Line> = lines(Arc::new(sources[0].clone()), futures::io::Cursor::new(log)).collect().await;
        let said: Vec<(i64, &[u8])> = lines.iter().map(|line| (line.at.as_second() % 60, &*line.text)).collect();
        assert_eq!(said, [(1, &b"one"[..]), (2, b""), (2, b"broken"), (3, b"end")]);
    }

    #[test]
    fn a_log_is_taken_up_again_at_the_second_of_its_last_line_and_not_at_the_next() {
        let pod = pods::tests::pod("shop-web-x", "2026-01-01T00:00:00Z", true, &json!({"running": {}}));
        let last: Timestamp = "2026-01-01T00:00:01.9Z".parse().unwrap();
        let params = Source::of(&pod)[0].params(Begin { tail: None, since: Some(last) }, true);
        let request = kube::core::Request::new("/pods").logs("shop-web-x", &params).unwrap();
        let query = request.uri().query().unwrap();
        assert!(query.contains("sinceTime=2026-01-01T00%3A00%3A01Z"), "{query}");
    }

    #[test]
    fn a_container_that_has_not_started_has_no_log() {
        let pod = pods::tests::pod("shop-web-x", "2026-01-01T00:00:00Z", false, &json!({"waiting": {"reason": "X"}}));
        assert_eq!(Source::of(&pod), []);
    }
}
