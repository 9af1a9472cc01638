//! The life of the pods through which volumes are reached: they go whatever happens.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::helper::{Helper, Way, way};

/// Why nothing, or not all, was copied.
pub(in crate::cli) enum Trouble {
    /// The answer is no, for this reason.
    No(String),
    /// Not in time.
    Late(String),
    /// The files of this machine, or the connection.
    Io(String),
    Interrupted,
    Server(kube::Error),
}

impl Trouble {
    /// The same, said of this volume.
    pub(in crate::cli) fn of(self, volume: &str) -> Trouble {
        match self {
            Trouble::No(why) => Trouble::No(format!("volume {volume}: {why}")),
            Trouble::Io(why) => Trouble::Io(format!("volume {volume}: {why}")),
            other => other,
        }
    }
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        Trouble::Server(error)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Trouble::Io(error.to_string())
    }
}

/// Runs `work` with the names of pods, one for each helper, all of them started. They go in any case, when the user interrupts as well.
pub(in crate::cli) async fn with_pods<T>(
    api: &Api<Pod>,
    helpers: &[&Helper],
    timeout: Duration,
    work: impl AsyncFnOnce(&[String]) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    // Heard from now on: an interruption ends nothing between the making of a pod and its end.
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut names = Vec::new();
    let mut made = Ok(());
    for helper in helpers {
        let pod = helper.pod().map_err(|error| Trouble::Io(error.to_string()))?;
        match api.create(&PostParams::default(), &pod).await {
            Ok(pod) => names.push(pod.name_any()),
            Err(error) => {
                made = Err(Trouble::from(error));
                break;
            }
        }
    }
    let all = async {
        made?;
        let until = Instant::now() + timeout;
        for (name, helper) in names.iter().zip(helpers) {
            started(api, name, helper, until).await?;
        }
        work(&names).await
    };
    let outcome = tokio::select! {
        outcome = all => outcome,
        _ = interrupted.recv() => Err(Trouble::Interrupted),
        _ = terminated.recv() => Err(Trouble::Interrupted),
    };
    for name in &names {
        match api.delete(name, &DeleteParams::default().grace_period(0)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => eprintln!("note: pod {name} could not be removed, and ends by itself later: {error}"),
        }
    }
    outcome
}

async fn started(api: &Api<Pod>, name: &str, helper: &Helper, until: Instant) -> Result<(), Trouble> {
    loop {
        let why = match way(&api.get(name).await?) {
            Way::Runs => return Ok(()),
            Way::Lost(why) => return Err(Trouble::No(cannot_start(&why, &helper.image))),
            Way::Waits(why) => why,
        };
        if Instant::now() > until {
            return Err(Trouble::Late(why));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn cannot_start(why: &str, image: &str) -> String {
    if why.contains("not found") || why.contains("no such file") {
        needs(image, "sleep")
    } else {
        format!("the pod that copies cannot start: {why}")
    }
}

/// What an image must have.
pub(super) fn needs(image: &str, program: &str) -> String {
    format!(
        "image {image} has no `{program}`; --image names one that has sh, sleep, tar, ls and mkdir, such as busybox:1.37, and that the nodes can pull"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_the_programs_is_told_from_other_trouble() {
        let why = cannot_start("StartError: exec: \"sleep\": executable file not found in $PATH", "static:1");
        assert!(why.starts_with("image static:1 has no `sleep`; --image names one"), "{why}");
        assert!(cannot_start("ErrImagePull: denied", "x:1").contains("cannot start: ErrImagePull: denied"));
    }
}
