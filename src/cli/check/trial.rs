//! One run of the check: four calls, under three sets of policies.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::objects::{Check, Expect, MARK, OTHERWISE, Walls, lets_through};

/// Between two looks at a pod.
const LOOK: Duration = Duration::from_millis(500);
/// What an earlier check left behind is nobody's any more after so long.
const STALE_SECONDS: i64 = 900;

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

/// How a call ended.
enum Call {
    /// As expected.
    AsExpected,
    /// Not as expected.
    Otherwise,
    /// Something else ended it, or kept it from running.
    Untold(String),
}

pub(super) struct Trial {
    pods: Api<Pod>,
    policies: Api<NetworkPolicy>,
    check: Check,
}

impl Trial {
    pub(super) fn new(client: Client, namespace: &str, image: &str, timeout: Duration) -> Self {
        let now = Timestamp::now();
        let name = format!("appstack-check-{:x}-{:x}", now.as_second(), now.subsec_nanosecond());
        Trial {
            pods: Api::namespaced(client.clone(), namespace),
            policies: Api::namespaced(client, namespace),
            check: Check { name, image: image.to_owned(), seconds: timeout.as_secs() + 60 },
        }
    }

    /// A call with every wall open, so that a silence later means something; one that must not get in, and one that must not get out; and the first once more,
    /// so that the silence was no listener's that had gone.
    pub(super) async fn run(&self) -> kube::Result<Verdict> {
        self.put_up(Walls::Open).await?;
        create(&self.pods, self.check.listener()).await?;
        println!("starting a pod that listens");
        let (uid, addresses) = match self.listens().await? {
            Ok(listens) => listens,
            Err(why) => return Ok(Verdict::Untold(why)),
        };
        let calls = [
            (Walls::Open, Expect::Arrives, "calling it, with everything allowed"),
            (Walls::NoWayIn, Expect::CutOff, "calling it, with no way in"),
            (Walls::NoWayOut, Expect::CutOff, "calling it, with no way out"),
            (Walls::Open, Expect::Arrives, "calling it once more, with everything allowed"),
        ];
        for (number, (walls, expect, saying)) in calls.into_iter().enumerate() {
            println!("{saying}");
            self.put_up(walls).await?;
            let which = match (self.call(number, &addresses, expect).await?, walls) {
                (Call::AsExpected, _) => continue,
                (Call::Untold(why), _) => return Ok(Verdict::Untold(why)),
                (Call::Otherwise, Walls::Open) => {
                    let why =
                        "the pods do not reach each other though policies let them; is something else in the way?";
                    return Ok(Verdict::Untold(why.into()));
                }
                (Call::Otherwise, Walls::NoWayIn) => "a pod was reached although a policy lets nobody in",
                (Call::Otherwise, Walls::NoWayOut) => "a pod reached another although a policy gives it no way out",
            };
            return Ok(self.hidden().await?.unwrap_or(Verdict::Open(which)));
        }
        let same = self.pods.get_opt(&self.listener_name()).await?.is_some_and(|pod| pod.uid() == uid);
        let gone = || Verdict::Untold("the pod that listens was replaced meanwhile; try again".into());
        Ok(if same { Verdict::Enforced } else { gone() })
    }

    /// Removes what this check has made, and what an earlier one left behind long ago. What is gone already is no failure.
    pub(super) async fn clean_up(&self) -> kube::Result<()> {
        let marked = ListParams::default().labels(MARK);
        let stale = |age: Option<Timestamp>| {
            age.is_some_and(|at| Timestamp::now().as_second() - at.as_second() > STALE_SECONDS)
        };
        let ours = |object: &dyn Fn(&str) -> Option<String>, made: Option<Timestamp>| {
            object(MARK).as_ref() == Some(&self.check.name) || stale(made)
        };
        for pod in self.pods.list(&marked).await? {
            if ours(&|label| pod.labels().get(label).cloned(), pod.creation_timestamp().map(|time| time.0)) {
                remove(&self.pods, &pod.name_any()).await?;
            }
        }
        for policy in self.policies.list(&marked).await? {
            if ours(&|label| policy.labels().get(label).cloned(), policy.creation_timestamp().map(|time| time.0)) {
                remove(&self.policies, &policy.name_any()).await?;
            }
        }
        Ok(())
    }

    /// Policies of the namespace by which a call gets through whatever the cluster enforces.
    async fn hidden(&self) -> kube::Result<Option<Verdict>> {
        let all = self.policies.list(&ListParams::default()).await?;
        let hides = all.iter().find(|policy| lets_through(&json!(policy)));
        Ok(hides.map(|policy| {
            let name = policy.name_any();
            Verdict::Untold(format!("NetworkPolicy '{name}' lets every pod of the namespace through; check another namespace of the cluster with -n"))
        }))
    }

    async fn put_up(&self, walls: Walls) -> kube::Result<()> {
        let params = PatchParams::apply("appstack-check").force();
        for policy in self.check.policies(walls) {
            let name = policy["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            self.policies.patch(&name, &params, &Patch::Apply(&policy)).await?;
        }
        Ok(())
    }

    /// The listener and its addresses, once it runs; or what keeps it from running.
    async fn listens(&self) -> kube::Result<Result<(Option<String>, Vec<String>), String>> {
        loop {
            let Some(pod) = self.pods.get_opt(&self.listener_name()).await? else {
                return Ok(Err("the pod that listens was deleted; try again".into()));
            };
            let status = pod.status.clone().unwrap_or_default();
            let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
            let addresses: Vec<String> = status.pod_ips.iter().flatten().map(|address| address.ip.clone()).collect();
            if ready && !addresses.is_empty() {
                return Ok(Ok((pod.uid(), addresses)));
            }
            if let Some(why) = stuck(&pod) {
                return Ok(Err(why));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn call(&self, number: usize, addresses: &[String], expect: Expect) -> kube::Result<Call> {
        create(&self.pods, self.check.caller(number, addresses, expect)).await?;
        let name = self.check.caller_name(number);
        let ended = loop {
            let Some(pod) = self.pods.get_opt(&name).await? else {
                break Call::Untold("the calling pod was deleted before it had an answer; try again".into());
            };
            match (pod.status.as_ref().and_then(|status| status.phase.as_deref()), exit_code(&pod)) {
                (Some("Succeeded"), _) => break Call::AsExpected,
                (Some("Failed"), Some(OTHERWISE)) => break Call::Otherwise,
                (Some("Failed"), _) => {
                    let why = pod.status.as_ref().and_then(|s| s.reason.clone()).unwrap_or_else(|| "failed".into());
                    break Call::Untold(format!("the calling pod ended before it had an answer: {why}; try again"));
                }
                _ => {}
            }
            if let Some(why) = stuck(&pod) {
                break Call::Untold(why);
            }
            tokio::time::sleep(LOOK).await;
        };
        remove(&self.pods, &name).await?;
        Ok(ended)
    }

    fn listener_name(&self) -> String {
        format!("{}-listener", self.check.name)
    }
}

async fn create<K>(api: &Api<K>, object: Value) -> kube::Result<()>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let object: K = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    api.create(&PostParams::default(), &object).await.map(drop)
}

/// At once: nothing in it is worth a grace period.
async fn remove<K: Clone + std::fmt::Debug + DeserializeOwned>(api: &Api<K>, name: &str) -> kube::Result<()> {
    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    match api.delete(name, &now).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

fn exit_code(pod: &Pod) -> Option<i32> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    Some(container.state.as_ref()?.terminated.as_ref()?.exit_code)
}

/// What a pod says that will not pass by itself.
fn stuck(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let waiting = status.container_statuses.iter().flatten().filter_map(|c| c.state.as_ref()?.waiting.as_ref());
    let mut image = waiting.filter(|waiting| {
        let reason = waiting.reason.as_deref();
        matches!(reason, Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "CreateContainerError"))
    });
    if let Some(waiting) = image.next() {
        let why = [waiting.reason.as_deref(), waiting.message.as_deref()];
        return Some(format!("{}; --image names another", why.into_iter().flatten().collect::<Vec<_>>().join(": ")));
    }
    let placeless = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled" && c.status == "False");
    let placeless = placeless.filter(|c| c.reason.as_deref() == Some("Unschedulable"))?;
    Some(format!("no node takes the pod: {}", placeless.message.as_deref().unwrap_or_default()))
}
