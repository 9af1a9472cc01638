//! What can go wrong with a write, and what follows from it.

use kube::core::Status;

/// Why a write did not happen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// The name belongs to an object that we have not seen: look once whose it is.
    #[error("an object of that name exists")]
    NameTaken,
    /// There is no such object any more: its last event is on the way.
    #[error("there is no such object")]
    Gone,
    /// The object is another one, or has moved on: its event is on the way; plan again.
    #[error("the object has changed meanwhile")]
    Stale,
    /// The namespace is going: there is nothing to do in it any more.
    #[error("the namespace is being deleted")]
    NamespaceGoing,
    /// The server does not take it, and will not until something changes.
    #[error("{0}")]
    Refused(String),
    /// Who writes lacks a right; that gives no event when it is granted.
    #[error("{0}")]
    Forbidden(String),
    /// Worth trying again after a while.
    #[error("{0}")]
    Transient(String),
    /// Somebody else leads now.
    #[error("this operator does not lead any more")]
    Deposed,
}

impl Failure {
    /// The class of a client error, for a write that wants `absent`: no object of that name.
    pub(super) fn of(error: &kube::Error, absent: bool) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status, absent),
            other => Failure::Transient(other.to_string()),
        }
    }

    fn of_status(status: &Status, absent: bool) -> Self {
        let message = without_dump(&status.message);
        match status.code {
            409 if absent => Failure::NameTaken,
            404 => Failure::Gone,
            409 | 410 => Failure::Stale,
            // An apply with the uid of an object that has a successor (T2).
            422 if !absent && message.contains("metadata.uid") => Failure::Stale,
            403 if message.contains("because it is being terminated") => Failure::NamespaceGoing,
            // A definition that is taken away may come back.
            403 if message.contains("while custom resource definition is terminating") => Failure::Transient(message),
            // The authorizer's words, and those of admission in its name; what else is forbidden, no right would help.
            403 if message.contains("\" cannot ") || message.contains("cannot set blockOwnerDeletion") => {
                Failure::Forbidden(message)
            }
            400 | 403 | 405 | 406 | 413 | 415 | 422 => Failure::Refused(message),
            // What the server says of an unknown field or a duplicate key; trying again would not help (T14).
            500 if message.starts_with("failed to create typed patch object") => Failure::Refused(message),
            _ => Failure::Transient(message),
        }
    }
}

/// The server shows a whole pod template, values of variables included, where it says that a Job's cannot be changed.
pub(super) fn without_dump(message: &str) -> String {
    const DUMP: &str = "spec.template: Invalid value:";
    match (message.find(DUMP), message.rfind(": field is immutable")) {
        (Some(from), Some(to)) if from < to => {
            format!("{}spec.template{}", message.get(..from).unwrap_or_default(), message.get(to..).unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(code: u16, message: &str, absent: bool) -> Failure {
        let status = Status { code, message: message.into(), ..Status::default() };
        Failure::of(&kube::Error::Api(Box::new(status)), absent)
    }

    #[test]
    fn every_answer_has_its_class() {
        use Failure::{Forbidden, Gone, NameTaken, NamespaceGoing, Refused, Stale, Transient};
        assert!(matches!(class(404, "", false), Gone));
        assert!(matches!(class(409, "", true), NameTaken));
        assert!(matches!(class(409, "", false), Stale));
        assert!(matches!(class(422, "metadata.uid: field is immutable", false), Stale));
        assert!(matches!(class(422, "spec.ports: required", false), Refused(_)));
        assert!(matches!(
            class(403, "unable to create new content in namespace x because it is being terminated", true),
            NamespaceGoing
        ));
        let going = "create not allowed while custom resource definition is terminating";
        assert!(matches!(class(403, going, true), Transient(_)));
        assert!(matches!(class(403, "exceeded quota", true), Refused(_)));
        let lacks = r#"pods "x" is forbidden: User "system:serviceaccount:n:a" cannot delete resource "pods" in API group "" in the namespace "n""#;
        assert!(matches!(class(403, lacks, false), Forbidden(_)));
        assert!(matches!(class(500, "failed to create typed patch object (...)", false), Refused(_)));
        for code in [401, 408, 429, 500, 502, 503, 504] {
            assert!(matches!(class(code, "later", true), Transient(_)), "{code}");
        }
    }
}
