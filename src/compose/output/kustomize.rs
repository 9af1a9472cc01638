//! What kustomize needs to know of a stack.
//!
//! Its `images:` and name references take no wildcard over a map, so there is a path for each service, secret and config
//! (<https://kubectl.docs.kubernetes.io/references/kustomize/builtins/#_imagetagtransformer_>).

use serde_json::json;

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
    let at = |path: String| json!({"kind": "AppStack", "path": path});
    let images: Vec<_> = spec.services.keys().map(|name| at(format!("spec/services/{name}/image"))).collect();
    let secrets: Vec<_> = spec.secrets.keys().map(|name| at(format!("spec/secrets/{name}/secretName"))).collect();
    let configs = spec.configs.iter().filter(|(_, config)| config.config_map_name.is_some());
    let configs: Vec<_> = configs.map(|(name, _)| at(format!("spec/configs/{name}/configMapName"))).collect();
    let claims = spec.volumes.iter().filter(|(_, volume)| volume.claim_name.is_some());
    let claims: Vec<_> = claims.map(|(name, _)| at(format!("spec/volumes/{name}/claimName"))).collect();
    let kinds = [("Secret", secrets), ("ConfigMap", configs), ("PersistentVolumeClaim", claims)];
    let references: Vec<_> = kinds
        .into_iter()
        .filter(|(_, paths)| !paths.is_empty())
        .map(|(kind, paths)| json!({"kind": kind, "version": "v1", "fieldSpecs": paths}))
        .collect();
    let mut config = json!({"images": images});
    if !references.is_empty() {
        config["nameReference"] = json!(references);
    }
    serde_saphyr::to_string(&config)
}
