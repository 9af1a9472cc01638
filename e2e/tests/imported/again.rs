//! An import once more: the same bytes of the same files, and a small difference of a small edit.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::cluster::appstack;
use e2e::imported::{folder, import, options, scratch};

/// What an import writes but for the report, which has the line of every key.
const FILES: [&str; 5] =
    ["appstack.yaml", "kustomization.yaml", "kustomizeconfig.yaml", "namespace.yaml", "secrets.yaml"];

fn texts(out: &Path) -> Vec<String> {
    FILES.iter().map(|name| std::fs::read_to_string(out.join(name)).unwrap_or_default()).collect()
}

/// The files of a stack elsewhere, with one line more after a line.
fn edited(stack: &str, file: &str, after: &str, line: &str) -> PathBuf {
    let copy = scratch(&format!("again-{stack}")).join(stack);
    let copied = Command::new("cp").arg("-R").arg(folder(stack)).arg(&copy).status();
    assert!(copied.is_ok_and(|status| status.success()));
    let path = copy.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, tail) = text.split_once(after).unwrap_or_else(|| panic!("{after} in {file}"));
    std::fs::write(&path, format!("{head}{after}\n{line}{tail}")).unwrap();
    copy
}

#[test]
fn the_same_files_give_the_same_bytes() {
    for (stack, variant) in [("finity", None), ("aria", Some("monitoring")), ("soundforge", None)] {
        let folders = ["one", "two"].map(|name| scratch(&format!("{name}-{stack}")));
        let all = folders.map(|out| {
            assert!(import(stack, variant, &options(stack, variant), &out).status.success());
            let report =
                ["import-report.json", "import-report.md"].map(|name| std::fs::read_to_string(out.join(name)).unwrap());
            (texts(&out), report)
        });
        assert!(all[0] == all[1], "{stack}");
    }
}

#[test]
fn an_edit_of_a_line_changes_a_line_or_two_of_what_is_imported() {
    let before = scratch("again-before");
    assert!(import("finity", None, &[], &before).status.success());
    let edited = edited(
        "finity",
        "docker-compose.yml",
        "      VITE_API_URL: ${VITE_API_URL:-http://localhost:8000}",
        "      NEW: one",
    );
    let after = scratch("again-after");
    let said = Command::new(appstack())
        .args(["import", "--out"])
        .arg(&after)
        .current_dir(edited)
        .env_clear()
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let (before, after) = (texts(&before), texts(&after));
    assert_eq!(before[1..], after[1..], "nothing but the stack");
    let (old, new): (Vec<&str>, Vec<&str>) = (before[0].lines().collect(), after[0].lines().collect());
    let at = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    assert_eq!(new[at].trim(), "NEW: one");
    assert_eq!(old[at..], new[at + 1..], "one line, and nothing else");
}
