//! `appstack version`, completion, and the program as a plugin of the real kubectl.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

use e2e::{Live, cluster, live};
use serde_json::{Value, json};

use crate::commands::{Said, run};
use crate::stacks::{SOON, service, stack};

/// A folder with the program under the names by which kubectl finds it.
struct Plugin(PathBuf);

impl Plugin {
    fn new(t: &Live) -> Plugin {
        let folder = std::env::temp_dir().join(format!("{}-plugin", t.space.name));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        for name in ["appstack", "kubectl-appstack", "kubectl_complete-appstack"] {
            symlink(cluster::appstack(), folder.join(name)).expect("a link");
        }
        symlink(kubectl(), folder.join("kubectl")).expect("a link");
        Plugin(folder)
    }

    async fn run(&self, program: &str, words: &[&str]) -> Said {
        let mut command = Command::new(program);
        let path = format!("{}:{}", self.0.display(), std::env::var("PATH").unwrap_or_default());
        command.args(words).env("PATH", path).env("KUBECONFIG", &cluster::Cluster::get().kubeconfig);
        let output: Output =
            tokio::task::spawn_blocking(move || command.output().expect("it")).await.expect("a thread");
        Said::of(&output)
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The one that the tests build, or the one on PATH.
fn kubectl() -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut all = std::iter::once(cluster::root().join("target/cluster/bin")).chain(path.split(':').map(PathBuf::from));
    all.find_map(|folder| Some(folder.join("kubectl")).filter(|file| file.exists())).expect("kubectl")
}

fn shop() -> Value {
    stack("shop", &json!({"db": service("db:1", 50, &[]), "web": service("web:1", 50, &["db"])}))
}

#[test]
fn kubectl_finds_the_plugin_and_completes_its_commands_and_names() {
    live("plugin", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop()).await;
        t.space.wait_ready("shop", SOON).await;
        let plugin = Plugin::new(&t);
        let name = t.space.name.as_str();
        let kubectl = plugin.0.join("kubectl").to_string_lossy().into_owned();
        let listed = plugin.run(&kubectl, &["plugin", "list"]).await;
        assert!(listed.out.contains("kubectl-appstack"), "{listed:?}");
        let status = plugin.run(&kubectl, &["appstack", "status", "shop", "-n", name]).await;
        assert!(status.code == Some(0) && status.out.contains("web"), "{status:?}");
        let help = plugin.run(&kubectl, &["appstack", "cp", "--help"]).await;
        assert!(
            help.out.contains("Usage: kubectl appstack cp") && help.out.contains("| kubectl appstack cp -"),
            "{}",
            help.out
        );
        let hint = plugin.run(&kubectl, &["appstack", "explain", "none"]).await;
        assert!(hint.code == Some(2) && hint.err.contains("`kubectl appstack explain` lists all"), "{hint:?}");

        // What kubectl itself answers a shell, through the second name.
        let words = async |line: &[&str]| {
            let said = plugin.run(&kubectl, &[&["__complete", "appstack"][..], line].concat()).await;
            let first = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
            said.out.lines().map(first).collect::<Vec<String>>()
        };
        assert_eq!(words(&["stat"]).await, ["status", ":4"]);
        assert_eq!(words(&["status", "-n", name, "sh"]).await, ["shop", ":4"]);
        assert_eq!(words(&["restart", "-n", name, "shop", ""]).await[..2], ["db", "web"]);
        assert!(words(&["status", "-n", name]).await.contains(&name.to_owned()), "namespaces");

        // A shell.
        let script = format!(
            "source <(appstack completion bash); COMP_WORDS=(appstack status -n {name} sh); COMP_CWORD=4; _clap_complete_appstack appstack sh -n; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let bash = plugin.run("bash", &["-c", &script]).await;
        assert_eq!(bash.out, "shop\n", "{bash:?}");
        for shell in ["zsh", "fish", "powershell", "elvish"] {
            let said = plugin.run("appstack", &["completion", shell]).await;
            assert!(said.code == Some(0) && said.out.contains("_APPSTACK_COMPLETE"), "{said:?}");
        }
        let pages = plugin.0.join("man").to_string_lossy().into_owned();
        assert_eq!(plugin.run("appstack", &["man", "--out", &pages]).await.code, Some(0));
        let page = std::fs::read_to_string(plugin.0.join("man/appstack-status.1")).expect("a page");
        assert!(page.contains(".TH appstack-status 1"), "{page}");
    });
}

#[test]
fn version_tells_of_the_operator_and_the_definition_in_the_cluster() {
    live("version", async |t| {
        let _operator = t.space.operator().start();
        t.space.apply_object(&shop()).await;
        t.space.wait_ready("shop", SOON).await;
        let said = run(&t, &["version", "-o", "json"]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        let all: Value = serde_json::from_str(&said.out).expect("json");
        let version = &all["client"]["version"];
        assert_eq!(all["server"]["definition"], json!({"installed": true, "ofThisVersion": true}), "{all:#}");
        let ours = all["server"]["operators"]
            .as_array()
            .expect("operators")
            .iter()
            .find(|one| one["namespace"] == t.space.name);
        assert_eq!(&ours.expect("the operator of this test")["version"], version, "{all:#}");
        let table = run(&t, &["version"]).await;
        println!("{}", table.out);
        assert!(table.out.starts_with("appstack ") && table.out.contains("that of this version"), "{table:?}");

        let unreachable =
            Command::new(cluster::appstack()).arg("version").env("KUBECONFIG", "/none").output().expect("it");
        let unreachable = Said::of(&unreachable);
        assert_eq!((unreachable.code, unreachable.out.lines().count()), (Some(0), 1), "{unreachable:?}");
        assert!(unreachable.err.contains("the cluster was not asked"), "{unreachable:?}");
    });
}
