//! A way to the API server that tests can disturb: it makes the operator's watches expire, which forces it to list again.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::cluster::{Cluster, root};
use crate::operator::folder;

/// What a server says when a watch asks for a version it no longer has.
const EXPIRED: &str = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
    r#""message":"too old resource version","reason":"Expired","code":410}}"#,
    "\n"
);

/// Plain HTTP on loopback, forwarded by `kubectl proxy` with administrator's rights. The user agent passes unchanged.
pub struct Proxy {
    /// Access through this proxy.
    pub kubeconfig: PathBuf,
    state: Arc<State>,
    kubectl: Child,
}

struct State {
    upstream: String,
    /// Raised to cut every connection.
    cut: watch::Sender<u64>,
    /// The watches that have not been told yet that they have expired; none while nothing is to be disturbed.
    told: Mutex<Option<BTreeSet<String>>>,
    /// The resource of which nobody hears.
    held: watch::Sender<Option<String>>,
    /// Writes seen since they are answered wrongly; none while they are not.
    writes: Mutex<Option<usize>>,
}

/// What becomes of a write on its way.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is carried out, and the answer is lost.
    Lost,
    /// It does not arrive; somebody answers this.
    Answered(u16, &'static str),
}

/// In turns, of every two writes one.
const FATES: [Fate; 4] =
    [Fate::Lost, Fate::Answered(503, "busy"), Fate::Answered(409, "changed meanwhile"), Fate::Answered(429, "later")];

impl Proxy {
    /// Starts one for a test.
    pub async fn start(test: &str) -> Proxy {
        let (kubectl, upstream) = kubectl_proxy();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            upstream,
            cut: watch::Sender::new(0),
            told: Mutex::new(None),
            held: watch::Sender::new(None),
            writes: Mutex::new(None),
        });
        let accepting = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, accepting.clone()));
            }
        });
        let kubeconfig = folder(test).join("proxy.kubeconfig");
        std::fs::create_dir_all(folder(test)).expect("a folder for the test");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": server}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        });
        std::fs::write(&kubeconfig, config.to_string()).expect("a kubeconfig for the proxy");
        Proxy { kubeconfig, state, kubectl }
    }

    /// Cuts every connection, and tells every watch that resumes, once, that its version is too old.
    pub fn expire_watches(&self) {
        *self.state.told.lock().unwrap() = Some(BTreeSet::new());
        self.state.cut.send_modify(|n| *n += 1);
    }

    /// Holds back the news of a resource, by its plural, until [`Proxy::release`]: of all others there is news.
    pub fn hold(&self, resource: &str) {
        self.state.held.send_replace(Some(resource.to_owned()));
        self.state.cut.send_modify(|n| *n += 1);
    }

    /// The news that were held back come.
    pub fn release(&self) {
        self.state.held.send_replace(None);
    }

    /// Of every two writes of a child from now on, one goes wrong: its answer is lost, or it is refused for a reason that passes.
    pub fn disturb_writes(&self) {
        *self.state.writes.lock().unwrap() = Some(0);
    }

    /// Ends [`Proxy::disturb_writes`]; returns how many writes there were.
    pub fn end_disturbance(&self) -> usize {
        self.state.writes.lock().unwrap().take().unwrap_or_default()
    }

    /// How many watches were told so.
    pub fn expired(&self) -> usize {
        self.state.told.lock().unwrap().as_ref().map_or(0, BTreeSet::len)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

fn kubectl_proxy() -> (Child, String) {
    let built = root().join("target/cluster/bin/kubectl");
    let kubectl = if built.exists() { built } else { PathBuf::from("kubectl") };
    let mut process = Command::new(&kubectl)
        .args(["proxy", "--port=0", "--kubeconfig"])
        .arg(&Cluster::get().kubeconfig)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{} cannot be run: {e}", kubectl.display()));
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).expect("what kubectl proxy says");
    let address = line.trim().rsplit(' ').next().filter(|a| a.contains(':'));
    let address = address.unwrap_or_else(|| panic!("`kubectl proxy` said '{line}', not where it serves")).to_owned();
    (process, address)
}

/// One request per connection, so that each can be looked at.
async fn serve(mut client: TcpStream, state: Arc<State>) {
    let mut cut = state.cut.subscribe();
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        match client.read_buf(&mut head).await {
            Ok(n) if n > 0 => {}
            _ => return,
        }
    }
    let end = head.iter().position(|b| *b == b'\n').unwrap_or_default() + 1;
    let line = String::from_utf8_lossy(&head[..end]).into_owned();
    if must_expire(&line, &state) {
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length:";
        let _ = client.write_all(format!("{answer} {}\r\n\r\n{EXPIRED}", EXPIRED.len()).as_bytes()).await;
        return;
    }
    let fate = fate(&line, &state);
    if let Some(Fate::Answered(code, why)) = fate {
        answer(&mut client, head, code, why).await;
        return;
    }
    let mut silence = state.held.subscribe();
    let is_held = |held: &Option<String>| held.as_ref().is_some_and(|resource| lists(&line, resource));
    if silence.wait_for(|held| !is_held(held)).await.is_err() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(&state.upstream).await else { return };
    let forwarded = [&head[..end], b"Connection: close\r\n", &head[end..]].concat();
    if server.write_all(&forwarded).await.is_ok() {
        if fate.is_some() {
            let (mut from, _silent) = client.split();
            let (mut answers, mut to) = server.split();
            let mut first = [0; 1];
            tokio::select! {
                _ = tokio::io::copy(&mut from, &mut to) => {}
                _ = answers.read(&mut first) => {} // the server has done it
            }
            return;
        }
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            _ = cut.changed() => {}
        }
    }
}

/// Whether it asks for all objects of a resource.
fn lists(line: &str, resource: &str) -> bool {
    let path = line.strip_prefix("GET ").and_then(|rest| rest.split(['?', ' ']).next()).unwrap_or_default();
    path.rsplit('/').next() == Some(resource)
}

fn fate(line: &str, state: &State) -> Option<Fate> {
    let path = line.strip_prefix("PATCH ")?;
    let count = &mut *state.writes.lock().unwrap();
    let count = count.as_mut().filter(|_| !path.contains("/leases/"))?;
    *count += 1;
    (*count % 2 == 1).then(|| FATES[*count / 2 % FATES.len()])
}

/// Answers a request, of which this is the beginning, in the server's place.
async fn answer(client: &mut TcpStream, mut request: Vec<u8>, code: u16, message: &str) {
    let text = String::from_utf8_lossy(&request).into_owned();
    let (head, _) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let whole = head.len() + 4 + length.unwrap_or(0_usize);
    while request.len() < whole && client.read_buf(&mut request).await.is_ok_and(|n| n > 0) {}
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "message": message});
    let (body, kind) = (body.to_string(), "Content-Type: application/json\r\nConnection: close");
    let answer = format!("HTTP/1.1 {code} No\r\n{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let _ = client.write_all(answer.as_bytes()).await;
}

fn must_expire(line: &str, state: &State) -> bool {
    let path = line.split(' ').nth(1).unwrap_or_default();
    let (resource, query) = path.split_once('?').unwrap_or((path, ""));
    let resumes = query.split('&').any(|p| p == "watch=true" || p == "watch=1")
        && query.split('&').any(|p| p.strip_prefix("resourceVersion=").is_some_and(|v| !v.is_empty() && v != "0"));
    let mut told = state.told.lock().unwrap();
    resumes && told.as_mut().is_some_and(|told| told.insert(resource.to_owned()))
}
