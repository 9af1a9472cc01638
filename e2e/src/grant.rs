//! The operator's permissions in the cluster, exactly as they are shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::core::{GroupVersionKind, Request};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::cluster::{Cluster, appstack, root};
use crate::json as field;

const ACCOUNT: &str = "appstack-e2e";

/// The operators of the live tests, as the audit log names them.
pub const OPERATOR: &str = "system:serviceaccount:default:appstack-e2e";

/// The ClusterRole that `appstack rbac` prints.
pub fn printed_role() -> Value {
    let printed = Command::new(appstack()).arg("rbac").output().expect("appstack rbac");
    serde_saphyr::from_str(&String::from_utf8_lossy(&printed.stdout)).expect("`appstack rbac` prints YAML")
}

/// Where the operator's kubeconfig is written.
pub fn kubeconfig() -> PathBuf {
    root().join(format!("target/e2e/operator-{}.kubeconfig", std::process::id()))
}

/// Binds the ClusterRole that `appstack rbac` prints to a service account, and writes a kubeconfig with its token.
pub async fn operator(cluster: &Cluster) {
    let client = cluster.client("grant").await;
    let mut role = printed_role();
    role["metadata"]["name"] = json!(ACCOUNT); // the one of a real operator is left alone
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "default"}],
    });
    for object in [&role, &binding] {
        apply(&client, object).await;
    }
    account(cluster, &client, ("default", ACCOUNT), &cluster.operator_kubeconfig).await;
}

/// Writes a kubeconfig of a service account, which is made where it is missing, and has the rights that others give it.
pub async fn account(cluster: &Cluster, client: &Client, (namespace, name): (&str, &str), file: &Path) {
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}});
    apply(client, &account).await;
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 36_000}});
    let request = Request::new(format!("/api/v1/namespaces/{namespace}/serviceaccounts"))
        .create_subresource("token", name, &PostParams::default(), body.to_string().into_bytes())
        .expect("a request");
    let token: Value = client.request(request).await.expect("a token");
    write(cluster, field::text(&token, "/status/token"), file);
}

async fn apply(client: &Client, object: &Value) {
    let (group, version) = field::text(object, "/apiVersion").rsplit_once('/').unwrap_or(("", "v1"));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, field::text(object, "/kind")));
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let how = PatchParams::apply("e2e").force();
    api.patch(field::name(object), &how, &Patch::Apply(object)).await.unwrap_or_else(|e| panic!("{object}: {e}"));
}

fn write(cluster: &Cluster, token: &str, file: &Path) {
    let mut config = Kubeconfig::read_from(&cluster.kubeconfig).expect("the administrator's kubeconfig");
    for user in &mut config.auth_infos {
        user.auth_info = Some(serde_json::from_value(json!({"token": token})).expect("a user"));
    }
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder of a kubeconfig");
    let yaml = serde_saphyr::to_string(&config).expect("a kubeconfig is YAML");
    std::fs::write(file, yaml).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}
