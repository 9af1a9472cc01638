//! What one pass does.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::health::Progress;
use crate::api::Condition;
use crate::child::digest::Digest;
use crate::child::{Child, ChildId};

/// What this pass does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Where each service stands.
    pub steps: BTreeMap<String, Step>,
    /// How far each service's workload has come at its wanted revision.
    pub progress: BTreeMap<String, Progress>,
    /// Why volumes that are to be filled first are not, or not yet.
    pub unfilled: BTreeMap<String, Unfilled>,
    /// In the order of kinds.
    pub writes: Vec<Write>,
    /// After the writes.
    pub deletes: Vec<Delete>,
    /// Objects under a wanted name that are not ours, or that the server refuses, for now.
    pub refusals: BTreeMap<ChildId, Refusal>,
    /// When a deadline passes that nobody else keeps.
    pub again: Option<Timestamp>,
}

/// Where a service stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Its workload is written in this pass.
    Apply,
    /// It keeps its template, configs included, until these hold.
    Hold(Vec<Wait>),
    /// Waiting will not help.
    Failed(Cause),
    /// Its workload is as the definition wants it.
    Done,
}

impl Step {
    /// Whether the wanted revision is what the workload already has.
    pub(super) fn is_in_place(&self) -> bool {
        matches!(self, Step::Done)
    }
}

/// Why a volume is not filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfilled {
    /// Its Job is on its way.
    NotYet(String),
    /// Its Job has failed, or cannot run.
    Failed(Cause),
}

/// What a held service waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The dependency.
    pub on: String,
    /// What it must have reached.
    pub until: Until,
    /// Why it has not.
    pub why: String,
}

/// What a dependency must have reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Of a service, or of a volume that is to be filled.
    Holds(Condition),
    /// Of another stack.
    Ready,
}

impl Until {
    /// As in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Until::Holds(Condition::Started) => "Started",
            Until::Holds(Condition::Healthy) => "Healthy",
            Until::Holds(Condition::Completed) => "Completed",
            Until::Ready => "Ready",
        }
    }
}

impl std::fmt::Display for Until {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a service has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// From its dependency to the one where it began; empty where it is its own failure.
    pub path: Vec<String>,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// A write that the server, or the presence of a foreign object, refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub kind: RefusalKind,
    /// What the server said, or what is in the way.
    pub message: String,
    /// Digest of what was to be sent: another is tried at once.
    pub wanted: Digest,
}

/// Kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The name belongs to an object that is not ours.
    NameConflict,
    /// The server does not take it.
    Refused,
    /// The cluster does not know objects of its kind, or not for us.
    KindMissing,
    /// It fails again and again, and may go well another time: said of the services it concerns, but none that depends on them gives up.
    Transient,
    /// A claim cannot have that size: it is larger already, or the server does not let it grow.
    VolumeResizeRefused,
}

impl RefusalKind {
    /// Reason for status and events.
    pub const fn reason(self) -> &'static str {
        match self {
            RefusalKind::NameConflict => "NameConflict",
            RefusalKind::Refused => "Refused",
            RefusalKind::KindMissing => "KindMissing",
            RefusalKind::Transient => "NotApplied",
            RefusalKind::VolumeResizeRefused => "VolumeResizeRefused",
        }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Of which child.
    pub id: ChildId,
    /// What is sent.
    pub body: Body,
    /// Children that must be in place first; a failed write among them holds this one.
    pub after: Vec<ChildId>,
    /// An object of ours that must go first, since it cannot be changed into the wanted one.
    pub instead_of: Option<Arc<Child>>,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The whole object.
    Object {
        /// What must be true of the live one.
        guard: Guard,
        /// `spec.replicas`, if stated.
        replicas: Option<i32>,
        /// Annotation that notes the count down.
        keep: Option<String>,
        /// Annotation that says which revision to go back to.
        good: Option<String>,
        /// Annotation of a claim that says what it was filled by.
        filled: Option<String>,
    },
    /// The object with a template that was good once.
    Restore {
        /// What must be true of the live one.
        guard: Guard,
        /// `spec.replicas`, if stated.
        replicas: Option<i32>,
        /// Annotation that notes the count down.
        keep: Option<String>,
        /// What keeps that template.
        from: ChildId,
        /// Its revision.
        good: String,
        /// The revision that has failed, and is not to be tried again; none where a person asked for it.
        failed: Option<Gone>,
    },
    /// Only the count, of a workload whose template is not at hand.
    Scale {
        /// The new count.
        count: i32,
    },
    /// Only the size, of a claim that a StatefulSet made for one of its pods.
    Grow {
        /// Which claim.
        uid: String,
        /// What it asks for.
        size: String,
    },
}

/// What has failed, and is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The revision.
    pub revision: String,
    /// What ailed its pods, in one line of at most 300 characters; none where nothing was seen.
    pub because: Option<String>,
}

/// What must be true of the live object for the server to accept the write (T2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// There is none of that name.
    Absent,
    /// It is this one.
    Uid(String),
    /// It is this one, at this version.
    Version(String, String),
}

/// One delete; it carries uid and version as preconditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// Of which child.
    pub id: ChildId,
    /// As last seen.
    pub child: Arc<Child>,
    /// Its pods stay: their next owner takes them up.
    pub orphan: bool,
}
