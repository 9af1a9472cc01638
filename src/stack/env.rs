//! Where a container's variables come from, every reference resolved.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Place, unknown};
use super::model::{EnvFrom, EnvSource, EnvVar, Value};
use crate::api::{self, AppStackSpec, SecretKey};

/// Variables of a service: literals and keys of Secrets by name, then those put together from them, for the kubelet knows only what stands before.
pub(super) fn service(written: &api::Service, spec: &AppStackSpec, here: &mut Place<'_>) -> Vec<EnvVar> {
    let mut env = variables(&written.env, &written.secret_env, "", spec, here);
    let known: BTreeSet<String> = env.iter().map(|var| var.name.clone()).collect();
    for (name, text) in &written.env_template {
        let path = format!(".envTemplate[{name}]");
        if known.contains(name) {
            here.problem(&path, "a variable may be in one of env, secretEnv and envTemplate only");
        }
        match references(text) {
            Err(why) => here.problem(&path, why),
            Ok(names) => {
                for reference in names {
                    template_reference(&path, reference, written, &known, here);
                }
            }
        }
        env.push(EnvVar { name: name.clone(), value: Value::Template(text.clone()) });
    }
    env
}

fn template_reference(
    path: &str,
    reference: &str,
    written: &api::Service,
    known: &BTreeSet<String>,
    here: &mut Place<'_>,
) {
    if !known.contains(reference) {
        here.problem(
            path,
            format!(
                "$({reference}): {}",
                unknown("variable", reference, "env or secretEnv of this service", known.iter())
            ),
        );
    } else if written.secret_env.get(reference).is_some_and(|from| from.optional == Some(true)) {
        here.warn(path, format!("while its Secret is missing, the process gets the text '$({reference})' itself"));
    }
}

/// The names that a template refers to.
///
/// <https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>
fn references(text: &str) -> Result<Vec<&str>, String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let after = rest.get(at + 1..).unwrap_or_default();
        if let Some(tail) = after.strip_prefix('$') {
            rest = tail;
        } else if let Some(open) = after.strip_prefix('(') {
            let Some((name, tail)) = open.split_once(')') else {
                return Err("'$(' without ')': write '$$(' where the text itself is meant".into());
            };
            names.push(name);
            rest = tail;
        } else {
            rest = after;
        }
    }
    Ok(names)
}

/// Literals and keys of Secrets, by name. `prefix` leads from the place to where they stand.
pub(super) fn variables(
    literals: &BTreeMap<String, String>,
    secrets: &BTreeMap<String, SecretKey>,
    prefix: &str,
    spec: &AppStackSpec,
    here: &mut Place<'_>,
) -> Vec<EnvVar> {
    let mut env: BTreeMap<&String, Value> =
        literals.iter().map(|(name, value)| (name, Value::Literal(value.clone()))).collect();
    for (name, from) in secrets {
        let path = format!("{prefix}.secretEnv[{name}]");
        let Some(secret) = spec.secrets.get(&from.secret) else {
            here.problem(
                &format!("{path}.secret"),
                unknown("secret", &from.secret, "spec.secrets", spec.secrets.keys()),
            );
            continue;
        };
        let Some(key) = from.key.clone().or_else(|| secret.key.clone()) else {
            here.problem(&path, format!("a key must be named here or in spec.secrets[{}].key", from.secret));
            continue;
        };
        let value =
            Value::Secret { secret_name: secret.secret_name.clone(), key, optional: from.optional.unwrap_or_default() };
        if env.insert(name, value).is_some() {
            // In the words of the CRD's rule, so that it is said once.
            let homes = if prefix.is_empty() { "env, secretEnv and envTemplate" } else { "env and secretEnv" };
            here.problem(&path, format!("a variable may be in one of {homes} only"));
        }
    }
    env.into_iter().map(|(name, value)| EnvVar { name: name.clone(), value }).collect()
}

/// Whole configs and secrets as variables.
pub(super) fn whole(written: &api::Service, spec: &AppStackSpec, here: &mut Place<'_>) -> Vec<EnvFrom> {
    let mut all = Vec::new();
    for (at, from) in written.env_from.iter().enumerate() {
        let path = format!(".envFrom[{at}]");
        if let Some(source) = source(&path, from, spec, here) {
            all.push(EnvFrom { source, prefix: from.prefix.clone(), optional: from.optional.unwrap_or_default() });
        }
    }
    all
}

fn source(path: &str, from: &api::EnvFrom, spec: &AppStackSpec, here: &mut Place<'_>) -> Option<EnvSource> {
    let one_entry = |here: &mut Place<'_>, what: &str, name: &str| {
        here.problem(
            path,
            format!("{what} '{name}' is one entry; envFrom takes all entries: name one without content and key"),
        );
    };
    match (&from.config, &from.secret) {
        (Some(name), None) => match spec.configs.get(name) {
            None => {
                here.problem(&format!("{path}.config"), unknown("config", name, "spec.configs", spec.configs.keys()));
            }
            Some(config) if config.content.is_some() || config.key.is_some() => one_entry(here, "config", name),
            Some(config) => {
                return Some(match &config.config_map_name {
                    Some(config_map) => EnvSource::ConfigMap(config_map.clone()),
                    None => EnvSource::Config(name.clone()),
                });
            }
        },
        (None, Some(name)) => match spec.secrets.get(name) {
            None => {
                here.problem(&format!("{path}.secret"), unknown("secret", name, "spec.secrets", spec.secrets.keys()));
            }
            Some(secret) if secret.key.is_some() => one_entry(here, "secret", name),
            Some(secret) => return Some(EnvSource::Secret(secret.secret_name.clone())),
        },
        _ => here.problem(path, "an entry of envFrom must have exactly one of config, secret"),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::references;

    #[test]
    fn references_are_what_the_kubelet_expands() {
        assert_eq!(references("postgresql://app:$(PASSWORD)@db/$(NAME)"), Ok(vec!["PASSWORD", "NAME"]));
        assert_eq!(references("$$(date) costs 5$ or $5"), Ok(vec![]));
        assert_eq!(references("$$$(X)"), Ok(vec!["X"]));
        assert!(references("$(open").is_err());
    }
}
