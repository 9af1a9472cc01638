use std::io::Cursor;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::mpsc;

use super::bundle::{Bundle, FORMAT, Id, Kept, Manifest};
use super::restore::wanted;
use super::target::{Target, dated};
use super::verify::{Unfit, feed, verify};
use crate::cli::copy::archive::Archive;

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

/// The archive of a volume with a file of so many bytes.
fn archive(name: &str, size: usize) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(0o600);
    let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
    builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    builder.into_inner().unwrap()
}

/// A file with these volumes, each handed over in pieces of an odd size.
fn bundle(volumes: &[(&str, Vec<u8>)]) -> (Vec<u8>, Manifest) {
    let mut bundle = Bundle::new(Vec::new(), Timestamp::UNIX_EPOCH);
    let mut all = Vec::new();
    for (name, bytes) in volumes {
        let (sender, pieces) = mpsc::channel(16);
        let whole = bytes.clone();
        let feeding = std::thread::spawn(move || {
            whole.chunks(70_001).for_each(|piece| sender.blocking_send(piece.to_vec()).unwrap());
        });
        let (length, sha256) = bundle.take(&id(name), pieces).unwrap();
        feeding.join().unwrap();
        assert_eq!(length, bytes.len() as u64);
        all.push(Kept { volume: id(name), claim: format!("shop-{name}"), files: 1, bytes: length, sha256 });
    }
    let manifest = Manifest {
        format: FORMAT.into(),
        program: "0.1.0".into(),
        stack: "shop".into(),
        namespace: "team".into(),
        date: Timestamp::UNIX_EPOCH,
        volumes: all,
        skipped: vec!["Secret db".into()],
    };
    (bundle.end(&manifest).unwrap(), manifest)
}

fn why(bytes: &[u8]) -> String {
    match verify(Cursor::new(bytes), |_| {}) {
        Err(Unfit::Broken(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn fed(bytes: &[u8], volume: &str) -> Vec<u8> {
    let (sender, mut pieces) = mpsc::channel(16);
    let (bytes, volume) = (bytes.to_vec(), id(volume));
    let reading = std::thread::spawn(move || feed(Cursor::new(bytes), &volume, &sender).unwrap());
    let mut all = Vec::new();
    while let Some(piece) = pieces.blocking_recv() {
        all.extend(piece);
    }
    reading.join().unwrap();
    all
}

// 9 MB are three parts.
#[test]
fn volumes_come_out_as_they_went_in_and_any_tar_reads_the_file() {
    let volumes =
        [("data", archive("./big", 9_000_000)), ("each/0", archive("./a", 10)), ("each/11", archive("./b", 0))];
    let (bytes, manifest) = bundle(&volumes);
    assert_eq!(verify(Cursor::new(&bytes), |_| {}).unwrap(), manifest);
    for (name, whole) in &volumes {
        assert!(fed(&bytes, name) == *whole, "{name}");
    }
    let mut tar = tar::Archive::new(bytes.as_slice());
    let names: Vec<String> =
        tar.entries().unwrap().map(|e| e.unwrap().path().unwrap().to_string_lossy().into_owned()).collect();
    let expected = ["data/00000000", "data/00000001", "data/00000002", "each/0/00000000", "each/11/00000000"];
    let expected: Vec<String> =
        expected.iter().map(|n| format!("volumes/{n}")).chain(["manifest.json".into()]).collect();
    assert_eq!(names, expected);
    // Checksums as `sha256sum` prints them.
    let (_, empty) = bundle(&[("data", Vec::new())]);
    assert_eq!(empty.volumes[0].sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn whatever_is_changed_or_cut_off_no_other_bytes_pass() {
    let (bytes, manifest) = bundle(&[("data", archive("./file", 1000)), ("more", archive("./file", 3))]);
    for at in (0..bytes.len()).step_by(3) {
        let mut other = bytes.clone();
        other[at] ^= 1;
        if let Ok(read) = verify(Cursor::new(&other), |_| {}) {
            let sums = |of: &Manifest| of.volumes.iter().map(|kept| kept.sha256.clone()).collect::<Vec<_>>();
            assert_eq!(sums(&read), sums(&manifest), "byte {at}");
            for volume in ["data", "more"] {
                assert!(fed(&other, volume) == fed(&bytes, volume), "byte {at} of {volume}");
            }
        }
    }
    let end = bytes.len() - 1024;
    for length in (0..end).step_by(100) {
        let why = why(&bytes[..length]);
        assert!(["ends in the middle", "no tar"].iter().any(|says| why.contains(says)), "{length} bytes: {why}");
    }
}

#[test]
fn a_file_that_is_no_backup_or_no_whole_one_says_what_it_is() {
    let (bytes, _) = bundle(&[("data", archive("./file", 10))]);
    assert!(why(b"hello").contains("it is no tar"));
    assert!(why(&[&b"\x1f\x8b\x08"[..], &[1; 600]].concat()).contains("zcat FILE > OTHER"));
    assert!(why(&archive("some/file", 3)).contains("'some/file' is nothing that a backup has"));
    // One that names a place outside of its volume.
    let (out, _) = bundle(&[("data", {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.as_mut_bytes()[..11].copy_from_slice(b"../../x/../");
        header.set_cksum();
        builder.append(&header, std::io::empty()).unwrap();
        builder.into_inner().unwrap()
    })]);
    assert!(why(&out).contains("volume data: it names '../../x/../', which leads out of the volume"));
    // Of another format, of one that lacks a part, and of one with parts that nobody wrote down.
    let text = String::from_utf8_lossy(&bytes).replace("backup-v1", "backup-v9");
    let mut other = bytes.clone();
    let at = text.find("backup-v9").unwrap();
    other[at + 8] = b'9';
    assert!(
        why(&other).contains("its format is appstack.dev/backup-v9, and this program reads appstack.dev/backup-v1")
    );
    let (big, _) = bundle(&[("data", archive("./file", 5_000_000))]);
    let without_first = &big[512 + (4 << 20)..];
    assert!(why(without_first).contains("a part is missing"), "{}", why(without_first));
    let mut archive = Archive::careful();
    assert!(archive.pass(&fed(&bytes, "data"), &mut Vec::new()).is_ok());
}

#[test]
fn volumes_are_named_alone_or_with_the_number_of_a_pod() {
    assert_eq!((id("data").replica, id("each/3").replica), (None, Some(3)));
    for wrong in ["", "a/b", "a/", "../a", "a/1/2", "A"] {
        assert!(wrong.parse::<Id>().is_err(), "{wrong}");
    }
    let (_, manifest) = bundle(&[("data", vec![1]), ("each/0", vec![2]), ("each/1", vec![3])]);
    let names = |asked: &[&str]| {
        let asked: Vec<Id> = asked.iter().map(|text| id(text)).collect();
        wanted(&manifest, &asked).map(|all| all.iter().map(|kept| kept.volume.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(names(&[]).unwrap(), ["data", "each/0", "each/1"]);
    assert_eq!(names(&["each"]).unwrap(), ["each/0", "each/1"]);
    assert_eq!(names(&["each/1", "data"]).unwrap(), ["data", "each/1"]);
    assert_eq!(names(&["none"]).unwrap_err(), "volume none is not in the file; there are: data, each/0, each/1");
}

#[test]
fn a_file_has_its_name_only_when_it_is_whole_and_takes_no_others_place() {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let folder = std::env::temp_dir().join(format!("appstack-backup-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let date: Timestamp = "2026-11-21T23:15:59Z".parse().unwrap();
    assert_eq!(dated("shop", date), "shop-2026-11-21T2315Z.tar");
    let path = folder.join("shop-2026-11-21T2315Z.tar");
    let listed = || std::fs::read_dir(&folder).unwrap().count();

    let to = |force| Target::of(Some(&folder), "shop", date, force);
    let (mut out, unfinished) = to(false).unwrap().open().unwrap();
    out.write_all(b"half").unwrap();
    out.done().unwrap();
    assert!(!path.exists());
    drop(unfinished);
    assert_eq!(listed(), 0, "nothing is left of one that was not finished");

    let (mut out, unfinished) = to(false).unwrap().open().unwrap();
    out.write_all(b"whole").unwrap();
    out.done().unwrap();
    assert!(to(false).unwrap().open().is_err(), "one at a time");
    assert_eq!(unfinished.finish().unwrap().as_ref(), Some(&path));
    assert_eq!((std::fs::read(&path).unwrap(), listed()), (b"whole".to_vec(), 1));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(to(false).unwrap_err().contains("is there already; --force replaces it"));
    let (mut out, unfinished) = to(true).unwrap().open().unwrap();
    out.write_all(b"other").unwrap();
    out.done().unwrap();
    unfinished.finish().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"other");
    // One that has come meanwhile stays.
    std::fs::remove_file(&path).unwrap();
    let (_, unfinished) = to(false).unwrap().open().unwrap();
    std::fs::write(&path, "somebody else's").unwrap();
    assert!(unfinished.finish().is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"somebody else's");
    std::fs::remove_dir_all(&folder).unwrap();
}
