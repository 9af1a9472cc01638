//! A disk that is full. No status of a pod says so, and no event of its own: it is told by the kernel's words, in what a health check has printed
//! and in what a container has left behind.

use serde_json::Value;

/// Why writing fails: the file system, or its owner's share of it, is used up.
const WORDS: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

/// The kernel's words, if a text has them. Nothing else of the text is passed on: it may hold anything.
pub fn full_disk(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    WORDS.into_iter().find(|words| text.contains(&words.to_ascii_lowercase()))
}

/// The same, of the last message of a container that has ended. There is one if it wrote to its `terminationMessagePath`, or if it ended badly and its
/// `terminationMessagePolicy` is `FallbackToLogsOnError`.
pub(super) fn last_words(status: &Value) -> Option<&'static str> {
    let containers = ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .flat_map(|key| status[key].as_array().into_iter().flatten());
    let mut ends = containers.flat_map(|c| [&c["state"], &c["lastState"]]).map(|state| &state["terminated"]["message"]);
    ends.find_map(|message| full_disk(message.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::Child;
    use serde_json::json;

    #[test]
    fn a_full_disk_is_known_by_the_kernels_words_and_nothing_else_is_repeated() {
        let said = "sh: write error: no space left on device; PASSWORD=hush";
        assert_eq!(full_disk(said), Some("No space left on device"));
        assert_eq!(full_disk("tee: /d/x: Disk quota exceeded"), Some("Disk quota exceeded"));
        assert_eq!(full_disk("Readiness probe failed: HTTP probe failed with statuscode: 503"), None);
    }

    #[test]
    fn a_container_that_ended_for_lack_of_space_says_so_while_it_is_down() {
        let pod = |state: &Value, message: &str| {
            let ended = json!({"terminated": {"exitCode": 1, "message": message}});
            let object = json!({"metadata": {"name": "p"}, "spec": {"containers": []},
                "status": {"phase": "Running", "containerStatuses": [{"state": state, "lastState": ended}]}});
            serde_json::from_value::<Child>(object).unwrap().facts.pod.trouble
        };
        let down = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        let (reason, message) = pod(&down, "PANIC: could not write to log file: No space left on device").unwrap();
        assert_eq!(
            (reason.as_str(), message.as_str()),
            ("DiskFull", "No space left on device; CrashLoopBackOff: back-off 10s")
        );
        assert_eq!(pod(&down, "no such file").unwrap().0, "CrashLoopBackOff");
        assert_eq!(pod(&json!({"running": {}}), "No space left on device"), None, "it runs again");
    }
}
