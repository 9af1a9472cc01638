//! `appstack render --split`: a file per object.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::answer;
use super::findings::escaped;
use super::render::yaml;

/// Writes each object into a file of its own, and prints the paths in the order in which the operator applies them. Exit codes: 0 written, 2 the folder
/// is not empty and may not be overwritten, 3 it cannot be written.
pub(super) fn write(folder: &Path, objects: &[Value], overwrite: bool) -> ExitCode {
    let shown = escaped(&folder.to_string_lossy());
    let files = match files(objects) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("error: could not write the objects as YAML: {error}");
            return ExitCode::from(3);
        }
    };
    let there = match listed(folder) {
        Ok(there) => there,
        Err(error) => {
            eprintln!("error: {shown}: {error}");
            return ExitCode::from(3);
        }
    };
    if let Some(first) = there.first()
        && !overwrite
    {
        eprintln!(
            "error: {shown} is not empty: it has {} ({} in all); nothing was written. Name an empty folder, or let --overwrite replace the files that \
             have the name of an object",
            escaped(first),
            there.len()
        );
        return ExitCode::from(2);
    }
    for (name, text) in &files {
        if let Err(error) = std::fs::write(folder.join(name), text) {
            eprintln!("error: {}: {error}", escaped(&folder.join(name).to_string_lossy()));
            return ExitCode::from(3);
        }
    }
    let strangers: Vec<String> =
        there.iter().filter(|name| files.iter().all(|(own, _)| own != *name)).map(|name| escaped(name)).collect();
    if !strangers.is_empty() {
        eprintln!("note: left as they were, being no object of this stack: {}", strangers.join(", "));
    }
    answer(&files.iter().map(|(name, _)| format!("{}\n", folder.join(name).display())).collect::<String>())
}

/// The names in a folder, sorted; the folder is made where it is missing.
fn listed(folder: &Path) -> io::Result<Vec<String>> {
    std::fs::create_dir_all(folder)?;
    let mut names = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<String>>>()?;
    names.sort();
    Ok(names)
}

/// Names and texts: `KIND-NAME.yaml`. A name says nothing of the place in the order, so that one more object is one more file and no other moves.
fn files(objects: &[Value]) -> Result<Vec<(String, String)>, serde_saphyr::ser::Error> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut files = Vec::new();
    for object in objects {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let stem = format!("{}-{}", text("/kind").to_lowercase(), text("/metadata/name"));
        // Two kinds of one name and different groups: there are none today.
        let times = taken.entry(stem.clone()).or_default();
        *times += 1;
        let name = if *times == 1 { format!("{stem}.yaml") } else { format!("{stem}-{times}.yaml") };
        let document = yaml(std::slice::from_ref(object))?;
        files.push((name, document.strip_prefix("---\n").unwrap_or(&document).to_owned()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::api::{AppStack, PodSecurity};
    use crate::cli::render::objects;
    use crate::cli::validate::load_stack;

    fn golden() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/render/golden")
    }

    fn volume_chain() -> Vec<Value> {
        let mut stack: AppStack =
            load_stack(&golden().join("volume-chain/stack.yaml"), PodSecurity::Privileged).unwrap();
        stack.metadata.namespace = Some("ns".into());
        stack.metadata.uid = Some("uid-of-the-stack".into());
        objects(&stack, PodSecurity::Privileged).unwrap()
    }

    /// A folder of this process that is not there yet.
    fn fresh(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("appstack-split-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn every_object_of_every_golden_stack_has_a_file_of_its_own_and_the_documents_are_those_of_render() {
        let mut stacks = 0;
        for entry in std::fs::read_dir(golden()).unwrap() {
            let file = entry.unwrap().path().join("stack.yaml");
            if !file.exists() {
                continue;
            }
            let stack = load_stack(&file, PodSecurity::Privileged).unwrap();
            let objects = objects(&stack, PodSecurity::Privileged).unwrap();
            let split = files(&objects).unwrap();
            let names: std::collections::BTreeSet<&String> = split.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), objects.len(), "{}", file.display());
            let together: String = split.iter().map(|(_, text)| format!("---\n{text}")).collect();
            assert_eq!(together, yaml(&objects).unwrap(), "{}", file.display());
            stacks += 1;
        }
        assert!(stacks > 50, "{stacks}");
    }

    #[test]
    fn names_say_kind_and_name_and_no_place_in_the_order() {
        let mut objects = volume_chain();
        let before: Vec<String> = files(&objects).unwrap().into_iter().map(|(name, _)| name).collect();
        let expected = [
            "networkpolicy-shop.yaml",
            "networkpolicy-shop-dns.yaml",
            "networkpolicy-shop-net-default.yaml",
            "persistentvolumeclaim-shop-a.yaml",
            "persistentvolumeclaim-shop-apart.yaml",
            "persistentvolumeclaim-shop-b.yaml",
            "service-four.yaml",
            "service-one.yaml",
            "service-three.yaml",
            "service-two.yaml",
            "deployment-shop-four.yaml",
            "deployment-shop-one.yaml",
            "deployment-shop-three.yaml",
            "deployment-shop-two.yaml",
        ];
        assert_eq!(before, expected);
        objects.remove(0);
        let after: Vec<String> = files(&objects).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(after, before.get(1..).unwrap(), "the others keep theirs");
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone_unless_one_is_told() {
        let folder = fresh("told");
        let objects = volume_chain();
        assert_eq!(write(&folder, &objects, false), ExitCode::SUCCESS);
        let written = listed(&folder).unwrap();
        assert_eq!(written.len(), objects.len());
        std::fs::write(folder.join("mine.txt"), "mine").unwrap();
        let first = folder.join(&written[0]);
        let text = std::fs::read_to_string(&first).unwrap();
        std::fs::write(&first, "edited").unwrap();
        assert_eq!(write(&folder, &objects, false), ExitCode::from(2));
        assert_eq!(std::fs::read_to_string(&first).unwrap(), "edited", "nothing was written");
        assert_eq!(write(&folder, &objects, true), ExitCode::SUCCESS);
        assert_eq!(std::fs::read_to_string(&first).unwrap(), text);
        assert_eq!(std::fs::read_to_string(folder.join("mine.txt")).unwrap(), "mine");
        std::fs::remove_dir_all(&folder).unwrap();
        let file = fresh("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(write(&file, &objects, true), ExitCode::from(3), "no folder at all");
        std::fs::remove_file(&file).unwrap();
    }
}
