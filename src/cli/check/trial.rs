//! One run of the check: three calls, under three sets of policies.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::objects::{self, Expect, MARK, Walls};

/// Between two looks at a pod.
const LOOK: Duration = Duration::from_millis(500);

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What policies forbid is cut off, both ways.
    Enforced,
    /// It is not: which way.
    Open(&'static str),
    /// Nothing can be said, and why.
    Untold(String),
}

pub(super) struct Trial {
    pods: Api<Pod>,
    policies: Api<NetworkPolicy>,
    name: String,
    image: String,
}

impl Trial {
    pub(super) fn new(client: Client, namespace: &str, image: &str) -> Self {
        Trial {
            pods: Api::namespaced(client.clone(), namespace),
            policies: Api::namespaced(client, namespace),
            name: format!("appstack-check-{}", Timestamp::now().as_second()),
            image: image.to_owned(),
        }
    }

    /// A call with every wall open, so that a silence later means something; then one that must not get in, and one that must not get out.
    pub(super) async fn run(&self) -> kube::Result<Verdict> {
        self.put_up(Walls::Open).await?;
        create(&self.pods, objects::listener(&self.name, &self.image)).await?;
        println!("starting a pod that listens");
        let address = match self.listens().await? {
            Ok(address) => address,
            Err(why) => return Ok(Verdict::Untold(why)),
        };
        for (walls, expect, saying) in [
            (Walls::Open, Expect::Arrives, "calling it, with everything allowed"),
            (Walls::NoWayIn, Expect::CutOff, "calling it, with no way in"),
            (Walls::NoWayOut, Expect::CutOff, "calling it, with no way out"),
        ] {
            println!("{saying}");
            self.put_up(walls).await?;
            let as_expected = match self.call(&address, expect).await? {
                Ok(as_expected) => as_expected,
                Err(why) => return Ok(Verdict::Untold(why)),
            };
            match walls {
                _ if as_expected => {}
                Walls::Open => {
                    let why =
                        "the pods do not reach each other though policies let them; is something else in the way?";
                    return Ok(Verdict::Untold(why.into()));
                }
                Walls::NoWayIn => return Ok(Verdict::Open("a pod was reached although a policy lets nobody in")),
                Walls::NoWayOut => {
                    return Ok(Verdict::Open("a pod reached another although a policy gives it no way out"));
                }
            }
        }
        Ok(Verdict::Enforced)
    }

    /// Removes everything that this check has made, and what an earlier one left behind.
    pub(super) async fn clean_up(&self) -> kube::Result<()> {
        let all = ListParams::default().labels(MARK);
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.pods.delete_collection(&now, &all).await?;
        self.policies.delete_collection(&DeleteParams::default(), &all).await?;
        Ok(())
    }

    async fn put_up(&self, walls: Walls) -> kube::Result<()> {
        let params = PatchParams::apply("appstack-check").force();
        for policy in objects::policies(&self.name, walls) {
            let name = policy["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            self.policies.patch(&name, &params, &Patch::Apply(&policy)).await?;
        }
        Ok(())
    }

    /// The address of the listener, once it runs; or what keeps it from running.
    async fn listens(&self) -> kube::Result<Result<String, String>> {
        loop {
            let pod = self.pods.get(&format!("{}-listener", self.name)).await?;
            let status = pod.status.clone().unwrap_or_default();
            let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
            match status.pod_ip {
                Some(address) if ready => return Ok(Ok(address)),
                _ => {}
            }
            if let Some(why) = stuck(&pod) {
                return Ok(Err(why));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether a call does what is expected of it; or what keeps the caller from running.
    async fn call(&self, address: &str, expect: Expect) -> kube::Result<Result<bool, String>> {
        create(&self.pods, objects::caller(&self.name, &self.image, address, expect)).await?;
        let name = format!("{}-caller", self.name);
        let ended = loop {
            let pod = self.pods.get(&name).await?;
            match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
                Some("Succeeded") => break Ok(true),
                Some("Failed") => break Ok(false),
                _ => {}
            }
            if let Some(why) = stuck(&pod) {
                break Err(why);
            }
            tokio::time::sleep(LOOK).await;
        };
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.pods.delete(&name, &now).await?;
        while self.pods.get_opt(&name).await?.is_some() {
            tokio::time::sleep(LOOK).await;
        }
        Ok(ended)
    }
}

async fn create<K>(api: &Api<K>, object: Value) -> kube::Result<()>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let object: K = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    api.create(&PostParams::default(), &object).await.map(drop)
}

/// What a pod says that will not pass by itself.
fn stuck(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let waiting = status.container_statuses.iter().flatten().filter_map(|c| c.state.as_ref()?.waiting.as_ref());
    let image = waiting.filter(|w| {
        matches!(
            w.reason.as_deref(),
            Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "CreateContainerError")
        )
    });
    let why =
        image.map(|w| [w.reason.as_deref(), w.message.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": "));
    let placeless = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    let placeless = placeless.filter(|c| c.reason.as_deref() == Some("Unschedulable"));
    why.into_iter()
        .map(|why| format!("{why}; --image names another"))
        .next()
        .or_else(|| placeless.map(|c| format!("no node takes the pod: {}", c.message.as_deref().unwrap_or_default())))
}
