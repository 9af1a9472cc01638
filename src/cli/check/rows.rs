//! What stacks need of a cluster, a row each: how it stands, and the one thing to do about it.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;

use crate::cli::up::reach::{self, INSTALL, Reach};
use crate::cli::version::{Definition, Server};

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// As stacks need it.
    Good,
    /// Missing, and needed by some stacks only.
    Lacking,
    /// Missing, and needed by every stack.
    Missing,
    /// The caller may not see it, or nothing tells.
    Unknown,
}

impl State {
    /// A sign that tells them apart without colours.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            State::Good => "\u{2714}",
            State::Lacking => "!",
            State::Missing => "\u{2716}",
            State::Unknown => "?",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Row {
    fn new(name: &'static str, state: State, says: impl Into<String>, fix: &str) -> Row {
        Row { name, state, says: says.into(), fix: (!fix.is_empty()).then(|| fix.to_owned()) }
    }
}

/// Looks at all of it. Fails only where the cluster itself does not answer.
pub(super) async fn all(client: &Client, namespace: &str) -> kube::Result<Vec<Row>> {
    let server = Server::read(client).await?;
    let reach = reach::operator(client, namespace).await?;
    Ok(vec![
        definition(&server),
        operator(&server, &reach),
        rights(client, namespace).await?,
        pod_security(client, namespace).await?,
        storage(client).await?,
        load_balancer(client).await?,
        api(client, "Gateway API", "gateway.networking.k8s.io/v1", "httproutes", "routes by Gateway",
            "install it and a controller of it, or give routes an ingressClassName: https://gateway-api.sigs.k8s.io/guides/").await?,
        api(client, "metrics", "metrics.k8s.io/v1beta1", "pods", "autoscale", "install metrics-server: https://github.com/kubernetes-sigs/metrics-server").await?,
    ])
}

fn definition(server: &Server) -> Row {
    const NAME: &str = "definition";
    const APPLY: &str = "appstack crd | kubectl apply --server-side -f -";
    match server.definition {
        Definition::There { is_ours: true } => Row::new(NAME, State::Good, "AppStack, as of this version", ""),
        Definition::There { is_ours: false } => {
            Row::new(NAME, State::Lacking, "AppStack, as of another version", APPLY)
        }
        Definition::Missing => Row::new(NAME, State::Missing, "the cluster does not know AppStacks", APPLY),
        Definition::Untold => Row::new(NAME, State::Unknown, "may not be seen", ""),
    }
}

fn operator(server: &Server, reach: &Reach) -> Row {
    const NAME: &str = "operator";
    let skew = server.skew().into_iter().find(|line| line.contains("operator in"));
    match (reach, skew) {
        (Reach::None(why), _) => Row::new(NAME, State::Missing, why.as_str(), INSTALL),
        (Reach::Untold, _) => Row::new(NAME, State::Unknown, "whether one runs may not be seen", ""),
        (Reach::Answers, Some(skew)) => {
            Row::new(NAME, State::Lacking, skew, "appstack manifests | kubectl apply --server-side -f -")
        }
        (Reach::Answers, None) => Row::new(NAME, State::Good, "looks after this namespace", ""),
    }
}

/// What the commands need: group, resource, subresource, verbs.
const RIGHTS: [(&str, &str, &str, &[&str]); 5] = [
    ("appstack.dev", "appstacks", "", &["get", "list", "watch", "create", "patch", "delete"]),
    ("", "pods", "", &["get", "list", "create", "delete"]),
    ("", "pods", "log", &["get"]),
    ("", "pods", "exec", &["create"]),
    ("", "pods", "portforward", &["create"]),
];

async fn rights(client: &Client, namespace: &str) -> kube::Result<Row> {
    const NAME: &str = "your rights";
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let (mut stacks, mut others) = (Vec::new(), Vec::new());
    for (group, resource, sub, verbs) in RIGHTS {
        for verb in verbs {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let what = ResourceAttributes {
                group: Some(group.to_owned()),
                resource: some(resource),
                subresource: some(sub),
                verb: some(verb),
                namespace: Some(namespace.to_owned()),
                ..ResourceAttributes::default()
            };
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(what), ..Default::default() },
                ..Default::default()
            };
            let answer = reviews.create(&PostParams::default(), &review).await?;
            if answer.status.is_none_or(|status| !status.allowed) {
                let place = if sub.is_empty() { resource.to_owned() } else { format!("{resource}/{sub}") };
                (if group.is_empty() { &mut others } else { &mut stacks }).push(format!("{verb} {place}"));
            }
        }
    }
    let fix =
        format!("have somebody bind you to ClusterRole edit in namespace {namespace} (kubectl create rolebinding)");
    Ok(match (stacks.is_empty(), others.is_empty()) {
        (true, true) => Row::new(NAME, State::Good, format!("all that the commands need in namespace {namespace}"), ""),
        (true, false) => Row::new(NAME, State::Lacking, format!("you may not: {}", others.join(", ")), &fix),
        (false, _) => {
            Row::new(NAME, State::Missing, format!("you may not: {}", [stacks, others].concat().join(", ")), &fix)
        }
    })
}

/// The label by which a namespace judges pods, and what that lets through.
async fn pod_security(client: &Client, namespace: &str) -> kube::Result<Row> {
    const NAME: &str = "pod security";
    const LABEL: &str = "pod-security.kubernetes.io/enforce";
    let found = match Api::<Namespace>::all(client.clone()).get_opt(namespace).await {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(Row::new(NAME, State::Unknown, "the namespace may not be seen", ""));
        }
        found => found?,
    };
    let Some(found) = found else {
        let fix = format!("kubectl create namespace {namespace}");
        return Ok(Row::new(NAME, State::Missing, format!("there is no namespace {namespace}"), &fix));
    };
    Ok(match found.labels().get(LABEL).map(String::as_str) {
        None | Some("privileged") => Row::new(NAME, State::Good, "the namespace takes pods of every level", ""),
        Some(level) => Row::new(
            NAME,
            State::Good,
            format!(
                "the namespace takes pods of level {level}; a stack with a weaker spec.podSecurity is refused there"
            ),
            "",
        ),
    })
}

async fn storage(client: &Client) -> kube::Result<Row> {
    const NAME: &str = "storage";
    let classes = match Api::<StorageClass>::all(client.clone()).list_metadata(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(Row::new(NAME, State::Unknown, "StorageClasses may not be seen", ""));
        }
        classes => classes?,
    };
    let mark = "storageclass.kubernetes.io/is-default-class";
    let default = classes.iter().find(|class| class.annotations().get(mark).is_some_and(|is| is == "true"));
    Ok(match default {
        Some(class) => Row::new(NAME, State::Good, format!("StorageClass {} is the default", class.name_any()), ""),
        None if classes.items.is_empty() => Row::new(
            NAME,
            State::Lacking,
            "no StorageClass: volumes get no storage",
            "install one, such as local-path-provisioner",
        ),
        None => {
            let fix = format!(
                "kubectl annotate storageclass {} {mark}=true, or name one by storageClassName",
                classes.items.first().map(ResourceExt::name_any).unwrap_or_default()
            );
            Row::new(NAME, State::Lacking, "no StorageClass is the default: volumes that name none wait for one", &fix)
        }
    })
}

/// Nothing says whether there is one but that it has served somebody.
async fn load_balancer(client: &Client) -> kube::Result<Row> {
    const NAME: &str = "load balancer";
    let services = match Api::<Service>::all(client.clone()).list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(Row::new(NAME, State::Unknown, "Services of other namespaces may not be seen", ""));
        }
        services => services?,
    };
    let is_balanced =
        |service: &&Service| service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    let served = |service: &Service| {
        let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
        ingress.is_some_and(|all| !all.is_empty())
    };
    let all: Vec<&Service> = services.iter().filter(is_balanced).collect();
    let fix = "install one, such as MetalLB, or publish by routes";
    Ok(if all.iter().any(|service| served(service)) {
        Row::new(NAME, State::Good, "has given addresses to Services", "")
    } else if all.is_empty() {
        Row::new(NAME, State::Unknown, "no Service has asked for one yet; published ports need it", "")
    } else {
        Row::new(NAME, State::Lacking, format!("{} Services wait for an address, and none has one", all.len()), fix)
    })
}

async fn api(
    client: &Client,
    name: &'static str,
    version: &str,
    resource: &str,
    needed_by: &str,
    fix: &str,
) -> kube::Result<Row> {
    match client.list_api_group_resources(version).await {
        Ok(known) if known.resources.iter().any(|one| one.name == resource) => {
            Ok(Row::new(name, State::Good, format!("{version} is served"), ""))
        }
        Ok(_) => Ok(lacks(name, version, needed_by, fix)),
        // 503: it is registered, and who serves it does not answer.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 503) => Ok(lacks(name, version, needed_by, fix)),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Ok(Row::new(name, State::Unknown, "may not be seen", ""))
        }
        Err(error) => Err(error),
    }
}

fn lacks(name: &'static str, version: &str, needed_by: &str, fix: &str) -> Row {
    Row::new(name, State::Lacking, format!("{version} is not served, which {needed_by} needs"), fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::version::{Operator, VERSION};

    fn server(definition: Definition, version: &str) -> Server {
        let one = Operator {
            version: Some(version.into()),
            namespace: "ops".into(),
            holder: "a".into(),
            watches: None,
            selector: None,
        };
        Server { kubernetes: "v1.35.0".into(), definition, operators: Some(vec![one]) }
    }

    #[test]
    fn what_every_stack_needs_is_missing_and_another_version_is_lacking() {
        for (server, reach, [first, second]) in [
            (server(Definition::There { is_ours: true }, VERSION), Reach::Answers, [State::Good, State::Good]),
            (server(Definition::There { is_ours: false }, "0.0.1"), Reach::Answers, [State::Lacking, State::Lacking]),
            (server(Definition::Missing, VERSION), Reach::None("none".into()), [State::Missing, State::Missing]),
            (Server::default(), Reach::Untold, [State::Unknown, State::Unknown]),
        ] {
            let rows = [definition(&server), operator(&server, &reach)];
            assert_eq!([rows[0].state, rows[1].state], [first, second], "{rows:?}");
            let tells = |row: &Row| row.fix.is_some() == matches!(row.state, State::Lacking | State::Missing);
            assert!(rows.iter().all(tells), "{rows:?}");
        }
    }
}
