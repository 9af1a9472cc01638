//! What breaks stacks on their way from Compose and only a kubelet shows: the same things as in `src/render/traps.rs`, asked of the process itself.

use std::time::{Duration, Instant};

use e2e::nodes::{Nodes, exec, pod_of, pods_of};
use e2e::{Kind, Live, eventually, json, live};
use serde_json::{Value, json as value};

const SOON: Duration = Duration::from_secs(90);
const IMAGE: &str = "appstack.test/app:1";

fn stack(spec: &Value) -> Value {
    value!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack", "metadata": {"name": "traps"}, "spec": spec})
}

async fn asked(t: &Live, service: &str, script: &str) -> String {
    exec(&t.space, &pod_of(&t.space, "traps", service).await, &["sh", "-c", script]).trim().to_owned()
}

// "`$(...)` in commands and env, service links"
#[test]
fn dollars_reach_the_process_and_service_links_do_not() {
    Nodes::get();
    live("node_dollars", async |t| {
        let _operator = t.space.operator().start();
        // A process that notes what it was given, and goes on.
        let told = "printf '%s\\n' \"$@\" > /tmp/told; echo \"pid $$ $(echo shell)\" >> /tmp/told; exec app serve";
        t.space
            .apply_object(&stack(&value!({"services": {
                "redis": {"image": IMAGE, "ports": {"redis": {"port": 6379}}, "env": {"APP_LISTEN": "6379"}},
                "web": {
                    "image": IMAGE, "dependsOn": {"redis": {}},
                    "entrypoint": ["sh", "-c", told, "web", "$(A)", "$$"], "command": ["$$(A)", "$(date) $x $"],
                    "env": {"A": "a", "B": "$(A) $$ $$(A) $(hostname) $A", "EMPTY": ""},
                    "envTemplate": {"URL": "pg://$(A):$$x@db"},
                },
            }})))
            .await;
        t.space.wait_ready("traps", SOON).await;
        let seen = asked(&t, "web", "cat /tmp/told").await;
        assert_eq!(seen.lines().collect::<Vec<_>>(), ["$(A)", "$$", "$$(A)", "$(date) $x $", "pid 1 shell"]);
        let env = asked(&t, "web", "env").await;
        for line in ["A=a", "B=$(A) $$ $$(A) $(hostname) $A", "EMPTY=", "URL=pg://a:$x@db"] {
            assert!(env.lines().any(|have| have == line), "{line}: {env}");
        }
        let links: Vec<&str> =
            env.lines().filter(|line| line.contains("tcp://") && !line.starts_with("KUBERNETES_")).collect();
        assert!(links.is_empty() && !env.contains("REDIS_"), "{env}");
    });
}

// "subPath, read-only root with tmpfs, `shmSize`", the modes of secret files, and a pid 1 that reaps
#[test]
fn mounts_are_what_the_process_expects() {
    Nodes::get();
    live("node_mounts", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply("{apiVersion: v1, kind: Secret, metadata: {name: keys}, stringData: {tls: hush}}").await;
        t.space
            .apply_object(&stack(&value!({
                "volumes": {"data": {"size": "1Gi"}},
                "configs": {"file": {"content": "one\n"}, "folder": {"data": {"a": "A", "b": "B"}}},
                "secrets": {"tls": {"secretName": "keys", "key": "tls"}},
                "services": {"web": {
                    "image": IMAGE, "shmSize": "96Mi", "init": true,
                    "securityContext": {"readOnlyRootFilesystem": true},
                    "mounts": {
                        "/data": {"volume": "data", "subPath": "inner/data"}, "/whole": {"volume": "data"},
                        "/etc/one.conf": {"config": "file"}, "/etc/folder": {"config": "folder"},
                        "/run/tls": {"secret": "tls", "mode": "0400"}, "/tmp": {"tmpfs": {"size": "16Mi"}},
                    },
                }},
            })))
            .await;
        t.space.wait_ready("traps", SOON).await;
        for (script, answer) in [
            ("echo x > /data/x && cat /whole/inner/data/x", "x"),
            ("cat /etc/one.conf /etc/folder/a /etc/folder/b", "one\nAB"),
            ("test -f /etc/one.conf && ls /etc | grep -c passwd", "1"),
            ("cat /run/tls && stat -L -c ' %a' /run/tls", "hush 400"),
            ("touch /here 2>/dev/null || touch /etc/here 2>/dev/null || echo read-only", "read-only"),
            ("touch /tmp/here && df -k /tmp | awk 'END {print $2}'", "16384"),
            ("df -k /dev/shm | awk 'END {print $2}'; touch /dev/shm/x", "98304"),
            // Its own process is not the first, and an orphan that has ended is nobody's.
            ("sh -c 'sleep 0.1 &'; sleep 1; grep -ls ') Z ' /proc/[0-9]*/stat | wc -l", "0"),
            ("grep -c pause /proc/1/cmdline", "1"),
        ] {
            assert_eq!(asked(&t, "web", script).await, answer, "{script}");
        }

        // A changed config is a new pod; the old file was never changed in place.
        let before = pod_of(&t.space, "traps", "web").await;
        t.space.patch("traps", value!({"spec": {"configs": {"file": {"content": "two\n"}}}})).await;
        t.space.wait_ready("traps", SOON).await;
        eventually(SOON, "the new pod alone", async || {
            let pods = pods_of(&t.space, "traps", "web").await;
            if pods.len() == 1 && json::name(&pods[0]) != before { Ok(()) } else { Err(format!("{} pods", pods.len())) }
        })
        .await;
        assert_eq!(asked(&t, "web", "cat /etc/one.conf /data/x").await, "two\nx");
    });
}

// "fsGroup, `lost+found`"
#[test]
fn who_is_not_root_writes_to_its_volumes() {
    Nodes::get();
    live("node_fs_group", async |t| {
        let _operator = t.space.operator().start();
        let writer = |mounts: Value| value!({"image": IMAGE, "securityContext": {"runAsUser": 999, "runAsGroup": 998}, "mounts": mounts});
        t.space
            .apply_object(&stack(&value!({
                "volumes": {"standard": {"size": "1Gi"}, "ext4": {"size": "16Mi", "storageClassName": "ext4"}},
                "services": {
                    "folder": writer(value!({"/data": {"volume": "standard"}})),
                    "disk": writer(value!({"/data": {"volume": "ext4", "subPath": "data"}})),
                },
            })))
            .await;
        t.space.wait_ready("traps", SOON).await;
        for service in ["folder", "disk"] {
            let seen = asked(&t, service, "id -u; id -G; touch /data/x && ls -A /data").await;
            let lines: Vec<&str> = seen.lines().collect();
            assert!(lines[0] == "999" && lines[1].split(' ').any(|group| group == "998"), "{seen}");
            assert_eq!(lines[2..], ["x"], "{service}: and no lost+found");
        }
        // A folder that its owner has closed stays as it is over a restart, as postgres wants it.
        asked(&t, "folder", "mkdir /data/pg && chmod 700 /data/pg").await;
        let before = pod_of(&t.space, "traps", "folder").await;
        t.space.delete(Kind::Pod, &before).await;
        eventually(SOON, "another pod", async || {
            let pods = pods_of(&t.space, "traps", "folder").await;
            let up = pods.iter().any(|pod| json::name(pod) != before && json::holds(pod, "Ready"));
            if up && pods.len() == 1 { Ok(()) } else { Err(format!("{} pods", pods.len())) }
        })
        .await;
        assert_eq!(asked(&t, "folder", "stat -c %a /data/pg; ls -A /data").await, "700\npg\nx");
    });
}

/// By the machine's clock, which is the pods' as well.
fn now_in_seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("seconds")
}

// "stop signal and grace period"; and the hooks around it
#[test]
fn a_pod_is_asked_to_stop_and_killed_when_its_grace_period_is_over() {
    Nodes::get();
    live("node_stop", async |t| {
        let _operator = t.space.operator().start();
        // Each pod writes down what happens to it, and when; `deaf` does not end by itself.
        let script = |end: &str| {
            format!(
                "trap 'echo $(date +%s) term >> /log/$HOSTNAME; {end}' TERM; echo $(date +%s) up >> /log/$HOSTNAME; \
                while :; do sleep 0.2; echo $(date +%s) > /log/$HOSTNAME.last; done"
            )
        };
        let service = |end: &str, grace: &str| {
            value!({
                "image": IMAGE, "entrypoint": ["sh", "-c", script(end)], "stopGracePeriod": grace,
                "postStart": {"exec": ["sh", "-c", "echo $(date +%s) post-start >> /log/$HOSTNAME.hooks"]},
                "preStop": {"exec": ["sh", "-c", "sleep 1; echo $(date +%s) pre-stop >> /log/$HOSTNAME.hooks"]},
                "mounts": {"/log": {"volume": "log"}},
            })
        };
        t.space
            .apply_object(&stack(&value!({
                "volumes": {"log": {"size": "1Gi"}},
                "services": {
                    "polite": service("exit 0", "30s"), "deaf": service(":", "6s"),
                    "reader": {"image": IMAGE, "mounts": {"/log": {"volume": "log"}}},
                },
            })))
            .await;
        t.space.wait_ready("traps", SOON).await;
        let gone = async |service: &str| {
            let pod = pod_of(&t.space, "traps", service).await;
            let (begin, asked) = (Instant::now(), now_in_seconds());
            t.space.delete(Kind::Pod, &pod).await;
            eventually(SOON, &format!("the end of {pod}"), async || match t.space.get(Kind::Pod, &pod).await {
                None => Ok(()),
                Some(pod) => Err(pod["status"].to_string()),
            })
            .await;
            (pod, begin.elapsed(), asked)
        };
        let (polite, deaf) = futures::future::join(gone("polite"), gone("deaf")).await;
        println!("polite was gone after {:.1?}, deaf after {:.1?}", polite.1, deaf.1);
        let (mut after_term, mut after_delete) = (Vec::new(), Vec::new());
        for (pod, _, deleted) in [&polite, &deaf] {
            let told = asked(&t, "reader", &format!("cat /log/{pod} /log/{pod}.hooks /log/{pod}.last")).await;
            let lines: Vec<(i64, &str)> = told
                .lines()
                .map(|line| line.split_once(' ').unwrap_or((line, "last")))
                .map(|(at, what)| (at.parse().expect("a second"), what))
                .collect();
            let words: Vec<&str> = lines.iter().map(|(_, what)| *what).collect();
            assert_eq!(words, ["up", "term", "post-start", "pre-stop", "last"], "{told}");
            assert!(lines[3].0 <= lines[1].0, "the hook is over before the process is asked: {told}");
            after_term.push(lines[4].0 - lines[1].0);
            after_delete.push(lines[4].0 - deleted);
        }
        assert!(
            polite.1 < Duration::from_secs(20) && after_term[0] <= 2,
            "it ends when it is asked to: {after_term:?}"
        );
        // The hook counts as well; less a second, since the pod notes whole ones.
        assert!(after_delete[1] >= 5, "killed before its grace period of 6 s was over: {after_delete:?}");
        assert!(deaf.1 < Duration::from_secs(20), "not killed: {:?}", deaf.1);
    });
}

// "stop signal": of an image that ends in order by another one than TERM
#[test]
fn a_stop_signal_of_ones_own_is_a_hook_that_waits_for_the_end() {
    Nodes::get();
    live("node_stop_signal", async |t| {
        let _operator = t.space.operator().start();
        // As nginx does: QUIT ends what is under way, TERM breaks it off.
        let script = "log() { echo $1 >> /log/$HOSTNAME; }; trap 'log term; exit 1' TERM; \
            trap 'log quit; q=1' QUIT; log up; while [ -z \"$q\" ]; do sleep 0.2; done; \
            for n in 1 2 3 4 5 6 7 8 9; do sleep 0.3; done; log drained";
        let service = |hook: &str| {
            value!({
                "image": IMAGE, "entrypoint": ["sh", "-c", script], "stopGracePeriod": "20s",
                "preStop": {"exec": ["sh", "-c", hook]}, "mounts": {"/log": {"volume": "log"}},
            })
        };
        t.space
            .apply_object(&stack(&value!({
                "volumes": {"log": {"size": "1Gi"}},
                "services": {
                    "waits": service("kill -QUIT 1; while kill -0 1; do sleep 0.1; done"),
                    "hasty": service("kill -QUIT 1"),
                    "reader": {"image": IMAGE, "mounts": {"/log": {"volume": "log"}}},
                },
            })))
            .await;
        t.space.wait_ready("traps", SOON).await;
        let stopped = async |service: &str| {
            let pod = pod_of(&t.space, "traps", service).await;
            t.space.delete(Kind::Pod, &pod).await;
            eventually(SOON, &format!("the end of {pod}"), async || match t.space.get(Kind::Pod, &pod).await {
                None => Ok(()),
                Some(pod) => Err(pod["status"].to_string()),
            })
            .await;
            let told = asked(&t, "reader", &format!("cat /log/{pod}")).await;
            told.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let begin = Instant::now();
        assert_eq!(stopped("waits").await, ["up", "quit", "drained"], "it is not asked by TERM");
        assert!(begin.elapsed() < Duration::from_secs(18), "it has ended, and nobody killed it: {:?}", begin.elapsed());
        assert_eq!(stopped("hasty").await, ["up", "quit", "term"], "a hook that returns hands over to TERM");
        t.shows("QUIT by a hook that waits: drained; by one that returns at once: broken off by TERM");
    });
}
