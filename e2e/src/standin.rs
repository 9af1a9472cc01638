//! The stand-ins: an image of ours (`e2e/app`) under the name of every image that the samples use, each with the ports,
//! programs and files that its stack expects of it. The stacks stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::root;
use crate::json::{entries, items, text};
use crate::nodes::said;
use crate::samples::{ALL, stack_of};
use crate::space::documents;

/// What the stacks expect of an image.
#[derive(Debug, Default)]
struct Standin {
    ports: BTreeSet<i64>,
    /// Programs that entrypoints and commands name.
    programs: BTreeSet<String>,
    /// Folders that are copied into volumes.
    seeds: BTreeSet<String>,
}

/// The archive with all of them, made anew.
pub fn archive() -> PathBuf {
    let folder = root().join("target/e2e");
    std::fs::create_dir_all(&folder).expect("target/e2e");
    let (map, archive) = (folder.join("standins.json"), folder.join("standins.tar"));
    std::fs::write(&map, format!("{:#}", pictures(&all()))).expect("the map of the stand-ins");
    said(Command::new(root().join("target/tools/pack")).args([&map, &archive]).current_dir(root()), "");
    archive
}

fn all() -> BTreeMap<String, Standin> {
    let mut found = BTreeMap::new();
    for sample in ALL {
        let listens = sample.expected().listens;
        for (service, definition) in entries(stack_of(&mut sample.documents()), "/spec/services") {
            let standin = note(&mut found, definition);
            standin.ports.extend(listens.get(service).into_iter().flatten());
        }
    }
    let hello = std::fs::read_to_string(root().join("manifests/samples/hello.yaml")).expect("the hello sample");
    for (_, definition) in entries(stack_of(&mut documents(&hello)), "/spec/services") {
        note(&mut found, definition);
    }
    for image in of_the_live_tests() {
        let standin: &mut Standin = found.entry(image).or_default();
        standin.programs.insert("fetch".to_owned()); // what fills their volumes
    }
    found
}

/// Images whose names the live tests put together, so that no word of theirs says it: the highest number of each.
const PUT_TOGETHER: [(&[&str], u32); 4] = [
    (&["a", "b", "c", "d", "e", "f"], 50),
    (&["one", "two", "three", "four", "web", "db", "agent", "log"], 12),
    (&["vip", "vip-early", "peers", "peers-late", "own", "base", "middle", "front"], 1),
    (&["behind"], 3),
];

fn numbered(name: &str, highest: u32) -> Vec<String> {
    (0..=highest).map(|n| format!("{name}:{n}")).collect()
}

/// What the live tests call images, by their source: words like `"web:1"`, `"web:{n}"` for some numbers, and those of Compose
/// files (`image: web:1`). A word too many is an image too many.
fn of_the_live_tests() -> BTreeSet<String> {
    let folder = root().join("e2e/tests/live");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: BTreeSet<String> =
        PUT_TOGETHER.iter().flat_map(|(names, n)| names.iter().flat_map(|name| numbered(name, *n))).collect();
    found.extend(["agent:replicated", "agent:global", "agent:job", "db:a", "db:b", "db:c"].map(str::to_owned));
    let files = files.map(|file| file.expect("a file of the live tests").path());
    for file in files.filter(|path| path.extension().is_some_and(|kind| kind == "rs")) {
        let text = std::fs::read_to_string(file).expect("a source");
        found.extend(called(&text));
    }
    found
}

fn called(text: &str) -> BTreeSet<String> {
    let words = text.split('"').filter(|word| is_image(word)).map(str::to_owned);
    let composed = text.split("image: ").skip(1).filter_map(|rest| rest.split_whitespace().next());
    let composed = composed.filter(|word| is_image(word)).map(str::to_owned);
    let open = text.split('"').filter_map(|word| word.split_once(":{"));
    let open = open.filter(|(name, _)| is_image(&format!("{name}:0")));
    words.chain(composed).chain(open.flat_map(|(name, _)| numbered(name, 12))).collect()
}

fn is_image(word: &str) -> bool {
    let plain =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    word.split_once(':').is_some_and(|(name, tag)| {
        plain(name) && plain(tag) && name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-')
    })
}

fn note<'a>(found: &'a mut BTreeMap<String, Standin>, service: &Value) -> &'a mut Standin {
    for step in items(service, "/preStart") {
        found.entry(text(step, "/image").to_owned()).or_default();
    }
    let standin = found.entry(text(service, "/image").to_owned()).or_default();
    standin.ports.extend(entries(service, "/ports").map(|(_, port)| port["port"].as_i64().expect("a port")));
    for words in ["/entrypoint", "/command"] {
        // The first word is a program, unless it is an option of the one in the image.
        let program = items(service, words).next().and_then(Value::as_str).filter(|word| !word.starts_with('-'));
        standin.programs.extend(program.map(str::to_owned));
    }
    for (path, mount) in entries(service, "/mounts") {
        if mount["seed"] == "FromImage" {
            standin.seeds.insert(path.to_owned());
        }
    }
    standin
}

/// As `e2e/pack` reads it. What the base image has stays as it is: `sh` is a shell.
fn pictures(standins: &BTreeMap<String, Standin>) -> Value {
    let base_file = root().join("e2e/node/images.json");
    let base = std::fs::read_to_string(&base_file).expect("the images of every bench");
    let base: Vec<Value> = serde_json::from_str(&base).expect("a list of images");
    let base = base.into_iter().find(|p| p["reference"] == "appstack.test/app:1").expect("the stand-in itself");
    let brought: BTreeSet<&str> = entries(&base, "/links")
        .flat_map(|(_, names)| names.as_array().expect("names"))
        .filter_map(Value::as_str)
        .collect();
    let mut pictures = vec![base.clone()];
    for (reference, Standin { ports, programs, seeds }) in standins {
        let links: Vec<&String> = programs.iter().filter(|p| !brought.contains(p.as_str())).collect();
        let content: BTreeMap<String, Value> = seeds
            .iter()
            .flat_map(|folder| {
                [
                    (folder.clone(), json!({"owner": [1000, 1000]})),
                    (format!("{folder}/from-image"), json!({"text": format!("{reference}\n"), "owner": [1000, 1000]})),
                ]
            })
            .collect();
        let listen: Vec<String> = ports.iter().map(ToString::to_string).collect();
        pictures.push(json!({
            "reference": reference, "base": "appstack.test/app:1", "content": content,
            "links": {"/bin/app": links}, "entrypoint": base["entrypoint"],
            "env": ["PATH=/bin:/usr/local/bin", format!("APP_LISTEN={}", if listen.is_empty() { "8080".to_owned() } else { listen.join(",") })],
            "workingDir": "/",
        }));
    }
    json!(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_as_words_of_code_and_in_compose_files() {
        let code = r#"json!({"image": "web:1", "at": format!("db:{n}")})"#;
        let found = called(&format!("{code}; write(\"services:\n  x:\n    image: cache:7-alpine\n\")"));
        for image in ["web:1", "db:0", "db:12", "cache:7-alpine"] {
            assert!(found.contains(image), "{image} in {found:?}");
        }
        assert_eq!(found.len(), 15, "{found:?}");
    }

    #[test]
    fn every_image_of_the_samples_has_a_stand_in_that_listens_as_its_services_do() {
        let found = all();
        assert!(found.len() >= 40, "{:?}", found.keys());
        assert_eq!(found["postgres:15-alpine"].ports, [5432].into());
        assert_eq!(found["redis:7-alpine"].ports, [6379, 26379].into());
        assert!(found["registry.example/finity/backend-node:1.4.0"].programs.contains("/app/docker-entrypoint.sh"));
        for image in ["web:1", "db:2", "migrate:3", "f:50", "agent:global"] {
            assert!(found.contains_key(image), "{image} of the live tests");
        }
        for sample in ALL {
            for (_, service) in entries(stack_of(&mut sample.documents()), "/spec/services") {
                assert!(found.contains_key(text(service, "/image")));
            }
        }
    }
}
