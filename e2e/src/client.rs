//! A client outside of the cluster that asks a published service at a steady pace, a new connection each time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::nodes::Nodes;

/// As many ask at the same time: one that waits for its answer does not hold up the others.
const THREADS: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks until it is stopped, or dropped.
#[derive(Debug)]
pub struct Client {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Request>>>,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it was sent.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The pod that has answered, or what went wrong.
    pub answer: Result<String, String>,
}

impl Client {
    /// Sends so many requests a second to an address (`host:port`) at which stand-ins answer.
    pub fn start(nodes: &Nodes, address: &str, per_second: u32) -> Client {
        let ended = Arc::new(AtomicBool::new(false));
        let every = Duration::from_secs(1) * THREADS / per_second;
        let threads = (0..THREADS).map(|number| {
            let (site, address, ended) = (nodes.state.join("site.sock"), address.to_owned(), ended.clone());
            std::thread::spawn(move || {
                let begin = Instant::now() + every * number / THREADS;
                let mut seen = Vec::new();
                for turn in 0.. {
                    std::thread::sleep((begin + every * turn).saturating_duration_since(Instant::now()));
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let (at, sent) = (SystemTime::now(), Instant::now());
                    let answer = ask(&site, &address).map_err(|e| e.to_string());
                    seen.push(Request { at, took: sent.elapsed(), answer });
                }
                seen
            })
        });
        Client { threads: threads.collect(), ended }
    }

    /// All requests, in the order in which they were sent.
    pub fn stop(mut self) -> Vec<Request> {
        self.ended.store(true, Ordering::Relaxed);
        let mut all: Vec<Request> =
            self.threads.drain(..).flat_map(|thread| thread.join().expect("a thread of the client")).collect();
        all.sort_by_key(|request| request.at);
        all
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// One request through the bench's socket, which connects as somebody outside does.
fn ask(site: &Path, address: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(site)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("dial {address}\n").as_bytes())?;
    let mut answer = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    if line != "ok\n" {
        return Err(std::io::Error::other(line));
    }
    stream.write_all(b"GET /app/who HTTP/1.0\r\nHost: published\r\n\r\n")?;
    let mut text = String::new();
    answer.read_to_string(&mut text)?;
    let who = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
    let pod = who.as_ref().and_then(|who| who["pod"].as_str());
    pod.map(str::to_owned).ok_or_else(|| std::io::Error::other(format!("no answer: {text:?}")))
}
