//! The script that fills an empty volume from its image, run on folders.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::container::SEED;

const MARK: &str = ".appstack-seeding";
/// Somebody who is not root.
const NOBODY: u32 = 65534;

/// An image's folder and a volume, for one test.
struct Folders {
    base: PathBuf,
    image: PathBuf,
    volume: PathBuf,
}

impl Folders {
    fn new(test: &str) -> Self {
        let base = std::env::temp_dir().join(format!("appstack-seed-{}-{test}", std::process::id()));
        let (image, volume) = (base.join("image"), base.join("volume"));
        fs::create_dir_all(&image).unwrap();
        fs::create_dir_all(&volume).unwrap();
        fs::set_permissions(&image, Permissions::from_mode(0o755)).unwrap();
        Folders { base, image, volume }
    }

    /// With what no shell pattern may miss, split or follow.
    fn with_image(test: &str) -> Self {
        let folders = Self::new(test);
        for (path, mode) in [
            ("plain", 0o644),
            ("with space", 0o600),
            (".dot", 0o644),
            ("..odd", 0o644),
            ("bin/run", 0o755),
            ("sub dir/.keep", 0o444),
        ] {
            put(&folders.image.join(path), path);
            fs::set_permissions(folders.image.join(path), Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(folders.image.join("empty")).unwrap();
        symlink("nowhere", folders.image.join("link")).unwrap();
        folders
    }

    fn command(&self) -> Command {
        let script = SEED.replace("/.appstack/seed", self.volume.to_str().unwrap());
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script).arg("seed").arg(&self.image);
        command
    }

    /// Whether the script ended well.
    fn seed(&self) -> bool {
        self.command().status().unwrap().success()
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Everything below a folder: its path, and its permissions with its text, or where it leads to.
fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for path in fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()) {
            let about = fs::symlink_metadata(&path).unwrap();
            let is = if about.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if about.is_dir() {
                open.push(path.clone());
                "folder".into()
            } else {
                format!("{:o} {}", about.permissions().mode() & 0o777, fs::read_to_string(&path).unwrap())
            };
            all.insert(path.strip_prefix(folder).unwrap().to_owned(), is);
        }
    }
    all
}

#[test]
fn an_empty_volume_gets_what_the_image_has() {
    let folders = Folders::with_image("empty");
    assert!(folders.seed());
    assert_eq!(tree(&folders.volume), tree(&folders.image));
}

#[test]
fn a_volume_in_use_is_left_as_it_is() {
    for (case, name) in ["file", "with space", ".dot", "..odd"].into_iter().enumerate() {
        let folders = Folders::with_image(&format!("used-{case}"));
        put(&folders.volume.join(name), "mine");
        let before = tree(&folders.volume);
        assert!(folders.seed());
        assert_eq!(tree(&folders.volume), before, "{name}");
    }
    let folders = Folders::with_image("used-link");
    symlink("nowhere", folders.volume.join("data")).unwrap();
    assert!(folders.seed());
    assert_eq!(tree(&folders.volume).len(), 1, "a link that leads nowhere is something");
}

#[test]
fn what_the_service_deleted_does_not_come_back_while_anything_is_left() {
    let folders = Folders::with_image("deleted");
    assert!(folders.seed());
    fs::remove_file(folders.volume.join("plain")).unwrap();
    assert!(folders.seed());
    assert!(!folders.volume.join("plain").exists());
}

#[test]
fn a_new_file_system_with_lost_and_found_counts_as_empty() {
    let folders = Folders::with_image("lost");
    fs::create_dir(folders.volume.join("lost+found")).unwrap();
    assert!(folders.seed());
    let mut seeded = tree(&folders.volume);
    assert!(seeded.remove(Path::new("lost+found")).is_some());
    assert_eq!(seeded, tree(&folders.image));
}

#[test]
fn a_copy_that_was_cut_short_is_done_again() {
    let folders = Folders::with_image("half");
    put(&folders.volume.join(MARK), "");
    put(&folders.volume.join("plain"), "pl");
    put(&folders.volume.join("sub dir/.keep"), "");
    fs::set_permissions(folders.volume.join("sub dir/.keep"), Permissions::from_mode(0o444)).unwrap();
    assert!(folders.seed());
    assert_eq!(tree(&folders.volume), tree(&folders.image));
}

#[test]
fn a_copy_that_fails_says_so_and_keeps_its_mark() {
    let folders = Folders::with_image("fails");
    put(&folders.volume.join(MARK), "");
    fs::create_dir(folders.volume.join("plain")).unwrap();
    assert!(!folders.seed(), "a folder cannot become a file");
    assert!(folders.volume.join(MARK).exists(), "the next start tries again");
}

#[test]
fn an_image_without_the_folder_leaves_the_volume_empty() {
    let folders = Folders::new("missing");
    fs::remove_dir(&folders.image).unwrap();
    assert!(folders.seed());
    put(&folders.image, "a file, not a folder");
    assert!(folders.seed());
    assert!(tree(&folders.volume).is_empty());

    let folders = Folders::new("nothing-in-it");
    assert!(folders.seed());
    assert!(tree(&folders.volume).is_empty());
}

/// By `fsGroup` a service may write to a volume whose root is root's: it cannot give that root the times and permissions of the image's folder.
#[test]
fn who_may_write_to_the_volume_without_owning_it_can_seed_it() {
    let folders = Folders::with_image("group");
    if fs::metadata(&folders.base).unwrap().uid() != 0 {
        return; // only root can run it as somebody else
    }
    for file in ["with space", "sub dir/.keep"] {
        fs::set_permissions(folders.image.join(file), Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(&folders.volume, Permissions::from_mode(0o777)).unwrap();
    let seed = || folders.command().uid(NOBODY).gid(NOBODY).status().unwrap().success();
    assert!(seed());
    assert_eq!(tree(&folders.volume), tree(&folders.image));
    put(&folders.volume.join(MARK), "");
    fs::set_permissions(folders.volume.join(MARK), Permissions::from_mode(0o666)).unwrap();
    assert!(seed(), "again, over files that are read-only");
    assert_eq!(tree(&folders.volume), tree(&folders.image));
}
