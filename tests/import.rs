//! `appstack import` and `appstack up` as programs, on folders of their own: exit codes, files and their modes, what the terminal shows and what it
//! never does.

// A test that cannot make its folder has failed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // a leftover harms nobody
    }
}

/// How a run has ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Folder {
    fn new(test: &str) -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// With a project that has a password, and something that differs.
    fn shop(test: &str) -> Folder {
        let folder = Folder::new(test);
        folder.write(".env", &format!("DB_PASSWORD={SECRET}\n"));
        folder.write("compose.yaml", SHOP);
        folder
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).unwrap()
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.0.join(folder)) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn mode(&self, file: &str) -> u32 {
        std::fs::metadata(self.0.join(file)).unwrap().permissions().mode() & 0o777
    }

    fn run(&self, args: &[&str]) -> Said {
        self.fed(args, "")
    }

    fn fed(&self, args: &[&str], input: &str) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_appstack"));
        command.args(args).current_dir(&self.0).env_clear().env("KUBECONFIG", self.0.join("kubeconfig"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()); // it may have ended before
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

const SECRET: &str = "hunter2-and-more";

const SHOP: &str = "\
name: shop
services:
  db:
    image: postgres:15
    environment: {POSTGRES_PASSWORD: \"${DB_PASSWORD}\"}
    volumes: ['./seed:/var/lib/postgresql/data']
  web:
    image: web:1
    ports: ['127.0.0.1:8000:8000']
    environment: {DB: \"postgres://app:${DB_PASSWORD}@db:5432/app\"}
";

const WRITTEN: [&str; 8] = [
    ".gitignore",
    "appstack.yaml",
    "import-report.json",
    "import-report.md",
    "kustomization.yaml",
    "kustomizeconfig.yaml",
    "namespace.yaml",
    "secrets.yaml",
];

/// Nowhere but in the file of Secrets.
fn assert_silent(folder: &Folder, said: &Said) {
    assert!(!said.out.contains(SECRET) && !said.err.contains(SECRET), "{said:?}");
    for file in folder.files("out").iter().filter(|file| *file != "secrets.yaml") {
        assert!(!folder.read(&format!("out/{file}")).contains(SECRET), "{file}");
    }
}

#[test]
fn secrets_are_for_their_owner_alone_kept_from_git_and_never_shown() {
    let folder = Folder::shop("secrets");
    let said = folder.run(&["import", "--out", "out"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(folder.files("out"), WRITTEN);
    assert!(folder.read("out/secrets.yaml").contains(SECRET));
    assert_eq!(folder.mode("out/secrets.yaml"), 0o600);
    assert_eq!(folder.read("out/.gitignore"), "secrets.yaml\n");
    assert_silent(&folder, &said);

    // Written over one that everybody may read.
    std::fs::set_permissions(folder.0.join("out/secrets.yaml"), PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(folder.run(&["import", "--out", "out", "--overwrite"]).code, Some(0));
    assert_eq!(folder.mode("out/secrets.yaml"), 0o600);

    let said = folder.run(&["import", "--out", "blank", "--placeholders"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let secrets = folder.read("blank/secrets.yaml");
    assert!(secrets.contains("change-me-db-password") && !secrets.contains(SECRET), "{secrets}");
}

#[test]
fn files_that_are_there_are_written_over_only_when_that_is_asked() {
    let folder = Folder::shop("overwrite");
    assert_eq!(folder.run(&["import", "--out", "out"]).code, Some(0));
    folder.write("out/appstack.yaml", "mine\n");
    folder.write("out/mine.yaml", "mine\n");
    let said = folder.run(&["import", "--out", "out"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("appstack.yaml") && said.err.contains("--overwrite"), "{said:?}");
    assert_eq!(folder.read("out/appstack.yaml"), "mine\n");
    assert_eq!(folder.run(&["import", "--out", "out", "--overwrite"]).code, Some(0));
    assert!(folder.read("out/appstack.yaml").contains("kind: AppStack"));
    assert_eq!(folder.read("out/mine.yaml"), "mine\n", "no file of ours");
    let files = folder.files("out");
    assert!(!files.iter().any(|file| file.contains(".part")), "{files:?}");

    // The same input gives the same bytes.
    let before: Vec<String> = WRITTEN.iter().map(|file| folder.read(&format!("out/{file}"))).collect();
    assert_eq!(folder.run(&["import", "--out", "out", "--overwrite"]).code, Some(0));
    let after: Vec<String> = WRITTEN.iter().map(|file| folder.read(&format!("out/{file}"))).collect();
    assert!(before == after, "the bytes differ");

    folder.write("file", "");
    let nowhere = folder.run(&["import", "--out", "file/out"]);
    assert_eq!(nowhere.code, Some(3), "{nowhere:?}");
}

#[test]
fn exit_codes_tell_refused_unread_and_unwritten_apart() {
    let folder = Folder::shop("codes");
    let code = |args: &[&str]| {
        let said = folder.run(args);
        (said.code, said)
    };
    assert_eq!(code(&["import"]).0, Some(0));
    assert!(code(&["import"]).1.out.contains("kind: AppStack"));
    assert!(folder.files("").iter().all(|file| file.starts_with('.') || file == "compose.yaml"), "nothing was written");

    // Different is a failure when that is asked, unless its codes are allowed.
    let (strict, said) = code(&["import", "--strict"]);
    assert_eq!(strict, Some(1), "{said:?}");
    let report = folder.run(&["import", "--out", "out"]);
    assert_eq!(report.code, Some(0));
    let report: serde_json::Value = serde_json::from_str(&folder.read("out/import-report.json")).unwrap();
    let codes = report["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap());
    let allows: Vec<&str> = codes.flat_map(|code| ["--allow", code]).collect();
    let (allowed, said) = code(&[&["import", "--strict"][..], &allows].concat());
    assert_eq!(allowed, Some(0), "{said:?}");

    // A service that is refused does not stop the others.
    folder.write("more.yaml", "services: {bad: {image: 'bad:1', volumes: ['/var/run/docker.sock:/s']}}\n");
    let more = ["import", "-f", "compose.yaml", "-f", "more.yaml"];
    let (refused, said) = code(&more);
    assert_eq!(refused, Some(1), "{said:?}");
    assert!(said.err.contains("error[C1301]") && said.err.contains("more.yaml:1:"), "{said:?}");
    assert!(said.out.contains("image: web:1") && !said.out.contains("bad:1"), "{said:?}");
    let (allowed, said) = code(&[&more[..], &["--allow", "C1301"]].concat());
    assert_eq!(allowed, Some(0), "{said:?}");
    assert!(said.out.contains("bad:1"), "{said:?}");

    folder.write("broken.yaml", "services: [\n");
    assert_eq!(code(&["import", "-f", "broken.yaml"]).0, Some(1), "what it says is wrong");
    for args in [&["import", "-f", "none.yaml"][..], &["import", "--none"], &["import", "--volume", "a=b"]] {
        assert_eq!(code(args).0, Some(2), "{args:?}");
    }
    assert_eq!(Folder::new("empty").run(&["import"]).code, Some(2), "there is no Compose file");
}

#[test]
fn the_namespace_is_that_of_the_project_unless_another_is_named() {
    let folder = Folder::shop("namespace");
    assert!(folder.run(&["import"]).out.contains("namespace: shop\n"));
    let said = folder.run(&["import", "--out", "out", "-n", "team"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for file in ["appstack.yaml", "secrets.yaml"] {
        assert!(folder.read(&format!("out/{file}")).contains("namespace: team\n"), "{file}");
    }
    assert!(folder.read("out/namespace.yaml").contains("name: team\n"));
    assert!(said.err.contains("appstack status shop -n team\n"), "{said:?}");
}

#[test]
fn standard_input_is_a_file_as_well() {
    let folder = Folder::new("stdin");
    let said = folder.fed(&["import", "-f", "-", "-p", "piped"], "services: {web: {image: 'web:1'}}\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("name: piped\n") && said.out.contains("image: web:1\n"), "{said:?}");
}

#[test]
fn the_terminal_gets_about_ten_lines_however_much_there_is_to_tell() {
    let folder = Folder::new("lines");
    let services: String =
        (0..40).map(|at| format!("  s{at}:\n    image: s\n    ports: ['127.0.0.1:{}:80']\n", 8000 + at)).collect();
    folder.write("compose.yaml", &format!("name: many\nservices:\n{services}"));
    let said = folder.run(&["import", "--out", "out"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines: Vec<&str> = said.err.lines().collect();
    assert!(lines.len() <= 11, "{said:?}");
    assert!(lines[0].starts_with("many: ") && lines[0].contains(" different, "), "{said:?}");
    assert!(lines[1].starts_with("  compose.yaml:"), "{said:?}");
    assert!(said.err.contains(" more, in the report\n"), "{said:?}");
    assert!(said.err.contains("  kubectl apply --server-side -k out\n"), "{said:?}");
    assert!(folder.read("out/import-report.md").lines().count() > 80);
}

/// A server that knows no AppStacks; what it was asked.
fn server_without_stacks(folder: &Folder) -> Arc<Mutex<Vec<String>>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}], users: [{{name: u, user: {{}}}}]}}\n"
    );
    folder.write("kubeconfig", &config);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let questions = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let request: Vec<String> =
                stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            questions.lock().unwrap().extend(request.into_iter().next());
            let answer =
                "HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\nConnection: close\r\n\r\n404 page not found\n";
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    asked
}

#[test]
fn up_on_a_cluster_that_knows_no_stacks_says_what_installs_it_and_sends_nothing() {
    let folder = Folder::shop("unknown");
    let asked = server_without_stacks(&folder);
    let said = folder.run(&["up"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("this cluster does not know AppStacks; nothing was applied"), "{said:?}");
    assert!(said.err.contains("\n  appstack crd | kubectl apply --server-side -f - && appstack run\n"), "{said:?}");
    assert_silent(&folder, &said);
    let asked = asked.lock().unwrap();
    assert!(!asked.is_empty() && asked.iter().all(|line| line.starts_with("GET ")), "{asked:?}");
}

#[test]
fn up_asks_no_cluster_before_its_files_are_right() {
    let folder = Folder::shop("files");
    let asked = server_without_stacks(&folder);
    folder.write("bad.yaml", "services: {bad: {image: 'bad:1', volumes: ['/var/run/docker.sock:/s']}}\n");
    folder.write(
        "stack.yaml",
        "apiVersion: appstack.dev/v1alpha1\nkind: AppStack\nmetadata: {name: a}\nspec: {services: {}}\n",
    );
    for (args, code, says) in [
        (&["up", "-f", "compose.yaml", "-f", "bad.yaml"][..], 1, "nothing was applied"),
        (&["up", "--strict"], 1, "nothing was applied"),
        (&["up", "-f", "none.yaml"], 2, "none.yaml"),
        (&["up", "-f", "stack.yaml"], 1, "services"),
        (&["up", "-f", "stack.yaml", "-f", "compose.yaml"], 2, "Compose files"),
    ] {
        let said = folder.run(args);
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.err.contains(says), "{said:?}");
        assert_silent(&folder, &said);
    }
    assert!(asked.lock().unwrap().is_empty());
}
