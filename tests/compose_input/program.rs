//! Bombs and giants, before the program itself: what it says of them, and how much memory that takes.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Makes the Compose file, so long: what the text does not fill are zeros, which take no room on the disk.
    fn write(&self, text: &[u8], length: u64) {
        std::fs::write(self.0.join("compose.yaml"), text).unwrap();
        std::fs::OpenOptions::new().write(true).open(self.0.join("compose.yaml")).unwrap().set_len(length).unwrap();
    }

    /// Runs the program: the exit code, what it said, and the most memory it was seen to have, in MiB.
    fn run(&self, command: &str) -> (Option<i32>, String, u64) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_appstack"));
        program.arg(command).current_dir(&self.0).env_clear().env("KUBECONFIG", self.0.join("none"));
        let said = std::fs::File::create(self.0.join("said")).unwrap();
        let mut child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        let code = loop {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let most =
                status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok());
            peak = most.unwrap_or(0).max(peak);
            if let Some(ended) = child.try_wait().unwrap() {
                break ended.code();
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        };
        (code, std::fs::read_to_string(self.0.join("said")).unwrap(), peak / 1024)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // a leftover harms nobody
    }
}

const SOUND: &[u8] = b"name: shop\nservices: {web: {image: 'web:1'}}\n";

/// The program refuses each text, by `import` and by `up`, in these words, with at most so many MiB more than for a sound file. Files are
/// made at least `length` long.
fn refused_by_the_program(test: &str, cases: &[(&str, Vec<u8>, &[&str])], length: u64, most: u64) {
    let folder = Folder::new(test);
    folder.write(SOUND, SOUND.len() as u64);
    let (code, said, usual) = folder.run("import");
    assert_eq!(code, Some(0), "{said}");
    for (name, text, words) in cases {
        folder.write(text, length.max(text.len() as u64));
        for command in ["import", "up"] {
            let (code, said, peak) = folder.run(command);
            assert_eq!(code, Some(1), "{command} of {name}: {said}");
            assert!(said.len() < 16 << 10, "{command} of {name} says {} bytes", said.len());
            for word in *words {
                assert!(said.contains(word), "{command} of {name}: {word} is not in {said}");
            }
            assert!(peak <= usual + most, "{command} of {name}: {peak} MiB, and {usual} MiB of a sound file");
        }
    }
}

/// An alias for ten of the level below, at each of `levels`.
fn bomb(levels: usize, ten: impl Fn(String) -> String, first: &str) -> Vec<u8> {
    let mut text = format!("x-0: &a0 {first}\n");
    for level in 1..levels {
        text.push_str(&format!("x-{level}: &a{level} {}\n", ten(format!("*a{}", level - 1))));
    }
    text.push_str("services: {web: {image: x}}\n");
    text.into_bytes()
}

#[test]
fn b53_a_bomb_of_aliases_is_refused_and_never_built() {
    let list = |alias: String| format!("[{}]", vec![alias; 10].join(", "));
    let map =
        |alias: String| format!("{{{}}}", (0..10).map(|n| format!("k{n}: {alias}")).collect::<Vec<_>>().join(", "));
    let too_much = &["error[C0106]", "with its aliases expanded there are more than 250000 values"][..];
    let cases = [
        ("lists", bomb(20, list, "[x, x]"), too_much),
        ("maps", bomb(20, map, "{a: b}"), too_much),
        ("long texts", bomb(9, list, &format!("['{}']", "x".repeat(1 << 20))), &["error[C0106]", "32 MiB of text"][..]),
        (
            "merges",
            bomb(20, |alias| format!("{{<<: [{alias}], k: [{}]}}", vec![alias.clone(); 10].join(", ")), "{a: b}"),
            too_much,
        ),
    ];
    refused_by_the_program("b53", &cases, 0, 50);
}

#[test]
fn b54_what_is_too_deep_or_too_large_is_refused_at_its_limit() {
    let nested = |open: &str, close: &str| format!("x-a: {}{}", open.repeat(10_000), close.repeat(10_000)).into_bytes();
    let block: String = (0..3_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let deep = &["error[C0106]", "nested more than 100 deep"][..];
    let values = &["error[C0106]", "more than 250000 values"][..];
    refused_by_the_program(
        "b54",
        &[
            ("lists in lists", nested("[", "]"), deep),
            ("maps in maps", nested("{a: ", "}"), deep),
            ("a block of maps", block.into_bytes(), deep),
            ("not closed", format!("x-a: {}", "[".repeat(10_000)).into_bytes(), deep),
            ("many values", format!("x-a: [{}]", "1,".repeat(4 << 20)).into_bytes(), values),
        ],
        0,
        128,
    );
    // Of 100 MB no more is read than what tells that it is too large.
    let large = ("100 MB", b"x-a: 1\n".to_vec(), &["error[C0102]", "16 MiB"][..]);
    refused_by_the_program("b54-large", &[large], 100 << 20, 64);
}
