//! The commands that reach into pods, with a user's kubeconfig: what they carry is what the pods say and get.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use e2e::nodes::{Nodes, pod_of};
use e2e::{Kind, Live, cluster, eventually, live};
use serde_json::{Value, json as value};

use crate::data::{APP, SOON};

/// The command in the test's namespace.
pub fn command(t: &Live, args: &[&str]) -> Command {
    let mut command = Command::new(cluster::appstack());
    // The namespace stands before what an `exec` runs.
    command.args(&args[..1]).args(["-n", &t.space.name]).args(&args[1..]);
    command.env("KUBECONFIG", &cluster::Cluster::get().kubeconfig).stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(t: &Live, args: &[&str]) -> Output {
    tokio::task::block_in_place(|| command(t, args).output().expect("the command"))
}

/// Runs it with these bytes on standard input.
pub fn fed(t: &Live, args: &[&str], bytes: &[u8]) -> Output {
    let mut child = command(t, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let (mut stdin, bytes) = (child.stdin.take().expect("its input"), bytes.to_vec());
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = tokio::task::block_in_place(|| child.wait_with_output().expect("its end"));
    writer.join().expect("the writer");
    output
}

/// What a command wrote to its two streams.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A process that goes with the test, and its lines as they come.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the command");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, lines }
    }

    /// The next line for which this holds.
    fn line(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + SOON;
        let mut others = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if is(&line) => return line,
                Ok(line) => others.push(line),
                Err(error) => panic!("no line with {what} ({error}) in {others:#?}"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn speaker(name: &str) -> Value {
    // Begins at once, and says a number ten times a second.
    let talk = format!("i=0; while true; do i=$((i+1)); echo {name} $i; sleep 0.1; done");
    value!({"image": APP, "entrypoint": ["sh", "-c", talk], "stopGracePeriod": "1s"})
}

fn stack(services: &Value) -> Value {
    value!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "shop"}, "spec": {"services": services}})
}

#[test]
fn exec_runs_in_a_ready_pod_and_carries_input_output_and_exit_code() {
    Nodes::get();
    live("node_exec", async |t| {
        let _operator = t.space.operator().start();
        let web = value!({"image": APP, "ports": {"http": {"port": 8080}}, "healthcheck": {"http": {"port": "http"}, "interval": "1s"}});
        t.space.apply_object(&stack(&value!({"web": web, "db": {"image": APP}}))).await;
        t.space.wait_ready("shop", SOON).await;
        let pod = pod_of(&t.space, "shop", "web").await;

        let said = run(&t, &["ps", "shop"]);
        let (out, _) = texts(&said);
        println!("{out}");
        let line = out.lines().find(|line| line.starts_with(&pod)).expect("the pod");
        assert!(
            line.contains("web") && line.contains(APP) && line.contains("8080/tcp") && line.contains("ready, "),
            "{line}"
        );
        let listed = run(&t, &["ps", "shop", "db", "-o", "json"]);
        let listed: Value = serde_json::from_slice(&listed.stdout).expect("json");
        assert_eq!((listed.as_array().map(Vec::len), &listed[0]["service"]), (Some(1), &value!("db")));

        let (out, _) = texts(&run(&t, &["exec", "shop", "web", "--", "hostname"]));
        assert_eq!(out.trim(), pod);
        let ended = run(&t, &["exec", "shop", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
        assert_eq!(ended.status.code(), Some(7));
        assert_eq!(texts(&ended), ("out\n".into(), "err\n".into()));
        // Four megabytes there and back, byte for byte.
        let bytes: Vec<u8> = (0..4_000_000_u32).map(|at| u8::try_from((at * 7 + at / 256) % 256).unwrap()).collect();
        let echoed = fed(&t, &["exec", "shop", "web", "--", "cat"], &bytes);
        assert_eq!((echoed.status.code(), echoed.stdout.len()), (Some(0), bytes.len()), "{}", texts(&echoed).1);
        assert!(echoed.stdout == bytes, "other bytes came back");
        let missing = run(&t, &["exec", "shop", "web", "--", "no-such-program"]);
        assert!(matches!(missing.status.code(), Some(126 | 127)), "{missing:?}");
        let wrong = run(&t, &["exec", "shop", "none", "--", "true"]);
        assert!(wrong.status.code() == Some(1) && texts(&wrong).1.contains("there are: db, web"), "{wrong:?}");
        t.shows(format!("{} bytes through exec and back", bytes.len()));
    });
}

#[test]
fn logs_come_in_the_order_of_time_and_those_of_new_pods_are_picked_up() {
    Nodes::get();
    live("node_logs", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&stack(&value!({"a": speaker("alpha"), "b": speaker("beta")}))).await;
        t.space.wait_ready("shop", SOON).await;
        let both = eventually(SOON, "a few lines of both", async || {
            let (out, _) = texts(&run(&t, &["logs", "shop", "-t"]));
            let count = |name: &str| out.lines().filter(|line| line.contains(name)).count();
            if count("alpha") > 4 && count("beta") > 4 { Ok(out) } else { Err(out) }
        })
        .await;
        println!("{both}");
        let times: Vec<&str> =
            both.lines().filter_map(|line| line.split(' ').find(|word| word.starts_with("20"))).collect();
        assert_eq!(times.len(), both.lines().count());
        assert!(times.is_sorted(), "{both}");
        assert!(both.lines().all(|line| line.starts_with("a/") || line.starts_with("b/")), "{both}");
        let changes = both.lines().collect::<Vec<_>>().windows(2).filter(|two| two[0][..1] != two[1][..1]).count();
        assert!(changes > 2, "they take turns:\n{both}");
        let (tail, _) = texts(&run(&t, &["logs", "shop", "a", "--tail", "2", "--no-prefix"]));
        assert!(tail.lines().count() == 2 && tail.lines().all(|line| line.starts_with("alpha ")), "{tail}");
        let (late, _) = texts(&run(&t, &["logs", "shop", "--since", "2001-01-01T00:00:00Z", "--color", "always"]));
        assert!(late.contains("\x1b[36ma/") && late.contains("\x1b[33mb/"), "{late}");

        // Followed: no line twice, none left out, and the successor of a pod is heard from its first word.
        let first = pod_of(&t.space, "shop", "a").await;
        let following = Running::start(command(&t, &["logs", "shop", "a", "-f"]));
        let number = |line: &str| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a number");
        let old = format!("a/{}", first.rsplit('-').next().unwrap());
        for expected in 1..=40_u64 {
            let line = following.line("a number", |_| true);
            assert!(line.starts_with(&old) && number(&line) == expected, "{line}, expected {expected}");
        }
        t.space.delete(Kind::Pod, &first).await;
        let line = following.line("another pod", |line| !line.starts_with(&old));
        assert!(line.ends_with("| alpha 1"), "{line}");
        drop(following);
        let wrong = run(&t, &["logs", "shop", "none"]);
        assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    });
}

#[test]
fn a_forwarded_port_answers_as_the_service_and_goes_on_after_a_rollout() {
    Nodes::get();
    live("node_forward", async |t| {
        let _operator = t.space.operator().start();
        let web = value!({"image": APP, "ports": {"http": {"port": 8080}}, "stopGracePeriod": "1s",
            "healthcheck": {"http": {"port": "http"}, "interval": "1s"}});
        t.space.apply_object(&stack(&value!({"web": web}))).await;
        t.space.wait_ready("shop", SOON).await;
        let forwarding = Running::start(command(&t, &["port-forward", "shop", "web", ":http"]));
        let line = forwarding.line("an address", |line| line.starts_with("Forwarding from 127.0.0.1:"));
        let address = line.split(' ').nth(2).expect("an address").to_owned();
        assert!(line.ends_with(" -> web:http"), "{line}");
        let who = || -> Result<String, String> {
            let mut stream = TcpStream::connect(&address).map_err(|e| e.to_string())?;
            stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|e| e.to_string())?;
            let asked = "GET /app/who HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
            stream.write_all(asked.as_bytes()).map_err(|e| e.to_string())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map_err(|e| e.to_string())?;
            let body = answer.split("\r\n\r\n").nth(1).ok_or(answer.clone())?;
            let json: Value = serde_json::from_str(body.trim()).map_err(|e| format!("{e}: {answer}"))?;
            Ok(json["pod"].as_str().unwrap_or_default().to_owned())
        };
        let ask = || tokio::task::block_in_place(who);
        let pod = pod_of(&t.space, "shop", "web").await;
        assert_eq!(ask().expect("an answer"), pod);
        t.space.delete(Kind::Pod, &pod).await;
        let other = eventually(SOON, "the next pod to answer", async || match ask() {
            Ok(now) if now != pod && !now.is_empty() => Ok(now),
            other => Err(format!("{other:?}")),
        })
        .await;
        assert_eq!(other, pod_of(&t.space, "shop", "web").await);
        let wrong = run(&t, &["port-forward", "shop", "web:htp"]);
        assert!(texts(&wrong).1.contains("there is no port 'htp'; there are: http (8080)"), "{wrong:?}");
    });
}
