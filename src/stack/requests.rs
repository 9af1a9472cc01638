//! What people ask of services besides the spec, by annotations of the stack.
//!
//! An annotation is no part of what Git says of a stack: tools that apply it leave alone what they do not own. It does not move the generation either, so
//! the status says by itself which requests it takes into account.

use std::collections::BTreeMap;

use kube::ResourceExt;
use serde_json::json;

use super::model::{Problem, Service, Workload};
use crate::api::AppStack;
use crate::child::digest::Digest;

const RESTART: &str = "appstack.dev/restart.";
const ROLLBACK: &str = "appstack.dev/rollback.";
/// Longest request that is heard, in bytes.
const LONGEST: usize = 63;

/// Annotation by which a service is restarted: its value is a part of the service's revision, so another value is a new revision.
pub fn restart(service: &str) -> String {
    format!("{RESTART}{service}")
}

/// Annotation by which the pods of a service are made from an earlier revision: `DEFINITION:REVISION`, for as long as the definition is that one. So an
/// edit of the service undoes it, and a restart does not.
pub fn rollback(service: &str) -> String {
    format!("{ROLLBACK}{service}")
}

/// A hash of all requests; none where there are none.
pub fn heard(stack: &AppStack) -> Option<String> {
    let asked: BTreeMap<&String, &String> =
        stack.annotations().iter().filter(|(key, _)| key.starts_with(RESTART) || key.starts_with(ROLLBACK)).collect();
    (!asked.is_empty()).then(|| Digest::of(&json!(asked)).hex8())
}

/// Whether the status is about the newest spec and the newest requests.
pub fn is_answered(stack: &AppStack) -> bool {
    stack.status.as_ref().is_some_and(|status| {
        status.observed_generation == stack.metadata.generation && status.observed_requests == heard(stack)
    })
}

/// The stamp of the last restart of a service, whatever its text. One that is too long is not heard.
pub(super) fn stamp<'a>(stack: &'a AppStack, service: &str, warnings: &mut Vec<Problem>) -> Option<&'a String> {
    let key = restart(service);
    let stamp = stack.annotations().get(&key).filter(|stamp| !stamp.is_empty())?;
    if stamp.len() > LONGEST {
        let field = format!("metadata.annotations[{key}]");
        warnings.push(Problem::new(
            field,
            format!("has no effect: longer than {LONGEST} bytes; write the time, or any short text"),
        ));
        return None;
    }
    Some(stamp)
}

/// The revision that a person wants back, while the definition is still the one that it was asked against.
pub(super) fn put_back(stack: &AppStack, service: &Service, warnings: &mut Vec<Problem>) -> Option<String> {
    let key = rollback(&service.name);
    let asked = stack.annotations().get(&key)?;
    let mut warn = |message: &str| {
        warnings.push(Problem::new(format!("metadata.annotations[{key}]"), message));
        None
    };
    if matches!(service.workload, Workload::Job(_)) {
        return warn("has no effect: a Job has no pods to go back to; change the service to run it again");
    }
    let is_hash = |text: &str| text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match asked.split_once(':') {
        Some((from, to)) if is_hash(from) && is_hash(to) => (from == service.definition).then(|| to.to_owned()),
        _ => warn("has no effect: must be DEFINITION:REVISION, as `appstack rollback` writes it"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::api::PodSecurity;
    use crate::stack::{Stack, check};

    fn written(annotations: &Value) -> AppStack {
        let services = json!({
            "db": {"image": "db:1"}, "web": {"image": "web:1", "dependsOn": {"db": {"restart": true}}},
            "log": {"image": "log:1", "dependsOn": {"db": {}}},
        });
        serde_json::from_value(json!({"apiVersion": "appstack.dev/v1alpha1", "kind": "AppStack",
            "metadata": {"name": "shop", "annotations": annotations}, "spec": {"services": services}}))
        .unwrap()
    }

    fn checked(annotations: &Value) -> Stack {
        check(&written(annotations), PodSecurity::Baseline).unwrap()
    }

    fn moved(from: &Stack, to: &Stack) -> Vec<String> {
        let differs = |name: &&String| from.services[*name].revision != to.services[*name].revision;
        from.services.keys().filter(differs).cloned().collect()
    }

    #[test]
    fn a_stamp_moves_the_revision_of_its_service_and_of_those_that_restart_with_it() {
        let plain = checked(&json!({}));
        for other in [
            json!({"appstack.dev/restart.gone": "1"}),
            json!({"restart.db": "1"}),
            json!({"appstack.dev/restart.db": ""}),
        ] {
            assert!(moved(&plain, &checked(&other)).is_empty(), "{other}");
        }
        let (one, two) = (checked(&json!({restart("db"): "1"})), checked(&json!({restart("db"): "any text"})));
        assert_eq!(moved(&plain, &one), ["db", "web"]);
        assert_eq!(moved(&one, &two), ["db", "web"]);
        assert_eq!(moved(&plain, &checked(&json!({restart("web"): "1"}))), ["web"]);
    }

    #[test]
    fn a_stamp_that_is_too_long_is_not_heard_and_named() {
        let (most, more) =
            (checked(&json!({restart("db"): "x".repeat(63)})), checked(&json!({restart("db"): "x".repeat(64)})));
        let plain = checked(&json!({}));
        assert_eq!((moved(&plain, &most).len(), moved(&plain, &more).len()), (2, 0));
        assert_eq!(most.warnings.len() + 1, more.warnings.len());
        assert!(
            more.warnings.iter().any(|w| w.field == "metadata.annotations[appstack.dev/restart.db]"),
            "{:?}",
            more.warnings
        );
    }

    #[test]
    fn what_is_put_back_stays_until_the_definition_changes_and_a_restart_changes_none() {
        let definition = checked(&json!({})).services["db"].definition.clone();
        let asked = |value: &str, rest: &str| {
            let stack = checked(&json!({rollback("db"): value, restart("db"): rest}));
            (stack.services["db"].put_back.clone(), stack.warnings.len())
        };
        let good = Some("0123abcd".to_owned());
        assert_eq!(asked(&format!("{definition}:0123abcd"), "").0, good);
        assert_eq!(asked(&format!("{definition}:0123abcd"), "1").0, good);
        let silent = asked("00000000:0123abcd", "");
        assert_eq!(silent.0, None, "undone by an edit");
        for wrong in [
            "",
            "x",
            &definition,
            &format!("{definition}:"),
            &format!("{definition}:0123ABCD"),
            &format!("{definition}:0123abcde"),
        ] {
            assert_eq!(asked(wrong, ""), (None, silent.1 + 1), "{wrong}");
        }
    }

    #[test]
    fn the_key_of_the_longest_name_is_one_that_the_server_takes() {
        for name in [restart(&"x".repeat(53)), rollback(&"x".repeat(53))] {
            assert!(name.split_once('/').is_some_and(|(_, name)| name.len() <= 63), "{name}");
        }
    }

    #[test]
    fn a_status_answers_the_requests_that_it_has_heard() {
        let mut stack = written(&json!({restart("db"): "1", "other": "x"}));
        assert!(!is_answered(&stack));
        stack.status = Some(crate::api::AppStackStatus { observed_requests: heard(&stack), ..Default::default() });
        assert!(is_answered(&stack));
        stack.metadata.annotations = Some([(restart("db"), "2".to_owned())].into());
        assert!(!is_answered(&stack), "asked again");
        stack.metadata.generation = Some(2);
        stack.status = Some(crate::api::AppStackStatus { observed_requests: heard(&stack), ..Default::default() });
        assert!(!is_answered(&stack), "of an earlier spec");
        assert_eq!(heard(&written(&json!({"other": "x"}))), None);
    }
}
