//! How far a stream is, for whoever looks at a terminal.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::archive::Count;

/// Files and bytes for people.
pub(in crate::cli) fn amount(count: Count) -> String {
    let files = if count.files == 1 { "1 file".to_owned() } else { format!("{} files", count.files) };
    format!("{files}, {}", size(count.bytes))
}

/// Bytes for people.
pub(in crate::cli) fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    units.iter().find(|(shift, _)| bytes >> shift > 0).map_or_else(
        || format!("{bytes} B"),
        |(shift, unit)| format!("{}.{} {unit}", bytes >> shift, tenths(bytes, *shift)),
    )
}

fn tenths(bytes: u64, shift: u32) -> u64 {
    ((bytes & ((1 << shift) - 1)) * 10) >> shift
}

/// A line on a terminal that is written again twice a second; nothing elsewhere.
pub(in crate::cli) struct Progress {
    numbers: Arc<[AtomicU64; 2]>,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Progress {
    /// Of this volume or file, and of so many bytes, where that is known.
    pub(in crate::cli) fn start(name: &str, of: Option<u64>) -> Progress {
        let numbers: Arc<[AtomicU64; 2]> = Arc::default();
        let (shown, name) = (numbers.clone(), name.to_owned());
        let task = io::stderr().is_terminal().then(|| {
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    let [files, bytes] = [0, 1].map(|at: usize| shown.get(at).map_or(0, |n| n.load(Ordering::Relaxed)));
                    let part = of.filter(|of| *of > 0).map(|of| format!(", {}%", part(bytes, of)));
                    eprint!("\r\x1b[K{name}: {}{}", amount(Count { files, bytes }), part.unwrap_or_default());
                }
            })
        });
        Progress { numbers, task }
    }

    /// So much has passed by now.
    pub(in crate::cli) fn is_at(&self, count: Count) {
        for (number, now) in self.numbers.iter().zip([count.files, count.bytes]) {
            number.store(now, Ordering::Relaxed);
        }
    }
}

/// In whole percent.
fn part(bytes: u64, of: u64) -> u128 {
    (u128::from(bytes) * 100 / u128::from(of.max(1))).min(100)
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_for_people() {
        let of = |files, bytes| amount(Count { files, bytes });
        assert_eq!(of(1, 10), "1 file, 10 B");
        assert_eq!(of(0, 1536), "0 files, 1.5 KiB");
        assert_eq!(of(12, 3 << 30), "12 files, 3.0 GiB");
        assert_eq!(size(u64::MAX), "17179869183.9 GiB");
        assert_eq!((part(1, 3), part(5, 3), part(0, 0)), (33, 100, 0));
    }
}
