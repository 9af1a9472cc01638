//! What kustomize needs to know of a stack.
//!
//! Its `images:` and name references take no wildcard over a map, so there is a path for each service, secret and config
//! (<https://kubectl.docs.kubernetes.io/references/kustomize/builtins/#_imagetagtransformer_>).

use serde_json::{Value, json};

use super::{KUSTOMIZE_CONFIG, NAMESPACE, SECRETS, STACK};
use crate::api::AppStackSpec;

/// `kustomization.yaml`.
pub(super) fn kustomization(has_secrets: bool) -> Result<String, serde_saphyr::ser::Error> {
    let resources = [Some(NAMESPACE), Some(SECRETS).filter(|_| has_secrets), Some(STACK)];
    serde_saphyr::to_string(&json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources.into_iter().flatten().collect::<Vec<_>>(),
        "configurations": [KUSTOMIZE_CONFIG],
    }))
}

/// `kustomizeconfig.yaml`: where the stack has images, and names of Secrets, ConfigMaps and claims.
pub fn config(spec: &AppStackSpec) -> Result<String, serde_saphyr::ser::Error> {
    let mut config = json!({"images": at(images(spec))});
    let references: Vec<_> =
        [("Secret", secrets(spec)), ("ConfigMap", config_maps(spec)), ("PersistentVolumeClaim", claims(spec))]
            .into_iter()
            .filter(|(_, paths)| !paths.is_empty())
            .map(|(kind, paths)| json!({"kind": kind, "version": "v1", "fieldSpecs": at(paths)}))
            .collect();
    if !references.is_empty() {
        config["nameReference"] = json!(references);
    }
    serde_saphyr::to_string(&config)
}

fn at(paths: Vec<String>) -> Vec<Value> {
    paths.into_iter().map(|path| json!({"kind": "AppStack", "path": path})).collect()
}

/// A key as a step of a path: `/` parts the steps.
fn step(key: &str) -> String {
    key.replace('/', "\\/")
}

fn images(spec: &AppStackSpec) -> Vec<String> {
    let of_services = spec.services.iter().flat_map(|(name, service)| {
        let of_steps = service.pre_start.iter().any(|step| step.image.is_some());
        let mounts = service.mounts.iter().filter(|(_, mount)| mount.image.is_some());
        [Some("image".to_owned()), of_steps.then(|| "preStart[]/image".to_owned())]
            .into_iter()
            .flatten()
            .chain(mounts.map(|(path, _)| format!("mounts/{}/image/reference", step(path))))
            .map(move |field| format!("spec/services/{name}/{field}"))
    });
    let filled = spec.volumes.iter().filter(|(_, volume)| volume.populate.is_some());
    of_services.chain(filled.map(|(name, _)| format!("spec/volumes/{name}/populate/image"))).collect()
}

fn secrets(spec: &AppStackSpec) -> Vec<String> {
    let certificates = spec.services.iter().flat_map(|(name, service)| {
        let routes = service.routes.iter().filter(|(_, route)| route.tls_secret_name.is_some());
        routes.map(move |(route, _)| format!("spec/services/{name}/routes/{route}/tlsSecretName"))
    });
    spec.secrets.keys().map(|name| format!("spec/secrets/{name}/secretName")).chain(certificates).collect()
}

fn config_maps(spec: &AppStackSpec) -> Vec<String> {
    let there = spec.configs.iter().filter(|(_, config)| config.config_map_name.is_some());
    there.map(|(name, _)| format!("spec/configs/{name}/configMapName")).collect()
}

fn claims(spec: &AppStackSpec) -> Vec<String> {
    let there = spec.volumes.iter().filter(|(_, volume)| volume.claim_name.is_some());
    there.map(|(name, _)| format!("spec/volumes/{name}/claimName")).collect()
}
