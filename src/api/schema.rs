//! Bounded shapes that several fields share: names as map keys, texts, lists.
//!
//! A structural schema cannot bound the keys of a map by a pattern, so the rule stands beside `maxProperties`.
//! Every map wants at least one entry: clients drop a null value without a word, and what is left is an empty map.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

const NAME: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";

/// A map keyed by names of at most `longest` characters.
pub(super) fn named<T: JsonSchema>(generator: &mut SchemaGenerator, longest: usize, most: usize, what: &str) -> Schema {
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": most,
        "additionalProperties": T::json_schema(generator),
        "x-kubernetes-validations": [{
            "rule": format!("self.all(k, size(k) <= {longest} && k.matches('{NAME}'))"),
            "message": format!(
                "{what} names must be lower case letters, digits and hyphens, start with a letter, end with a letter or digit, and have at most {longest} characters"
            ),
        }]
    })
}

/// Names of services, with the two that would collide with objects of ours or the cluster's.
pub(super) fn services<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = named::<T>(generator, 53, 512, "service");
    push_rule(
        &mut schema,
        "self.all(k, k != 'kubernetes' && !k.endsWith('-published'))",
        "a service may not be named 'kubernetes' (the API server's own Service) and may not end in '-published' (the Service of published ports)",
    );
    schema
}

/// Names that refer to services, as in `dependsOn`.
pub(super) fn edges<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    named::<T>(generator, 53, 64, "service")
}

/// Names of networks.
pub(super) fn networks<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    named::<T>(generator, 40, 64, "network")
}

/// The networks that one service joins.
pub(super) fn memberships<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    named::<T>(generator, 40, 32, "network")
}

/// Names of volumes.
pub(super) fn volumes<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    named::<T>(generator, 40, 128, "volume")
}

/// Names of configs.
pub(super) fn configs<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    named::<T>(generator, 40, 128, "config")
}

/// Names of secrets.
pub(super) fn secrets<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    named::<T>(generator, 40, 128, "secret")
}

/// Names of ports: IANA service names, as container ports want them.
pub(super) fn ports<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = named::<T>(generator, 15, 20, "port");
    push_rule(
        &mut schema,
        "self.all(k, !k.contains('--'))",
        "a port name is an IANA service name: it may not contain two hyphens in a row",
    );
    schema
}

/// Names of a service's routes.
pub(super) fn routes<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    named::<T>(generator, 40, 16, "route")
}

/// A host name as the Gateway API takes it: lower case, no port, no address, at most one wildcard, in front. A pattern, since rules below maps of
/// services cost more than the server grants.
pub(super) fn route_host(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 253,
        "pattern": "^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    })
}

/// An absolute path without empty, `.` and `..` parts, in the characters that a request line carries.
pub(super) fn route_path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 1024,
        "pattern": "^(/[.]?[-A-Za-z0-9_~!$&'()*+,;=:@%][-A-Za-z0-9._~!$&'()*+,;=:@%]*)*/?$",
    })
}

/// Environment variables, keyed by name.
pub(super) fn env<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 256,
        "additionalProperties": T::json_schema(generator),
    });
    push_rule(
        &mut schema,
        "self.all(k, size(k) <= 256 && k.matches('^[ -<>-~]+$'))",
        "variable names must be 1 to 256 printable ASCII characters other than '='",
    );
    schema
}

/// Literal values of environment variables.
pub(super) fn env_values(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = env::<String>(generator);
    if let Some(values) = schema.get_mut("additionalProperties").and_then(|v| v.as_object_mut()) {
        values.insert("maxLength".into(), 32_768.into());
        values.insert("pattern".into(), r"^[^\x00]*$".into());
    }
    schema
}

/// Files by name, as keys of a ConfigMap.
pub(super) fn files(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 262_144},
    });
    push_rule(
        &mut schema,
        "self.all(k, size(k) <= 253 && k.matches('^[-._a-zA-Z0-9]+$') && k != '.' && !k.startsWith('..'))",
        "file names must be letters, digits, '-', '_' and '.', at most 253 characters",
    );
    schema
}

/// Kernel parameters by name.
pub(super) fn sysctls(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 253},
    });
    push_rule(
        &mut schema,
        "self.all(k, size(k) <= 253 && k.matches('^([a-z0-9][-_a-z0-9]*[./])*[a-z0-9][-_a-z0-9]*$'))",
        "sysctl names must be lower case words joined by dots, such as 'net.core.somaxconn'",
    );
    schema
}

/// Mounts by path.
pub(super) fn mounts<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    const PATH: &str = "p.matches('^(/[^/:[:cntrl:]]+)+$') && !p.matches('/[.][.]?(/|$)')";
    let mut schema = json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 64,
        "additionalProperties": T::json_schema(generator),
    });
    push_rule(
        &mut schema,
        &format!("self.all(p, size(p) <= 512 && {PATH})"),
        "mount paths must be absolute, at most 512 characters, and must not be '/', end in '/', or contain ':', a control character, or '.' or '..' as a step",
    );
    schema
}

/// Headers of an HTTP check, by name.
pub(super) fn headers(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 1024},
    });
    push_rule(
        &mut schema,
        "self.all(k, size(k) <= 128 && k.matches('^[-A-Za-z0-9]+$'))",
        "header names must be letters, digits and hyphens, such as 'X-Probe'",
    );
    schema
}

/// Annotations for a cloud's load balancer.
pub(super) fn annotations(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    });
    push_rule(
        &mut schema,
        "self.all(k, size(k) <= 316 && k.matches('^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$') \
         && !k.startsWith('appstack.dev/') && !k.contains('kubernetes.io/last-applied'))",
        "annotation keys must be 'prefix/name' as Kubernetes wants them, and not begin with 'appstack.dev/'",
    );
    schema
}

/// Files by name that are no text: base64, as keys of a ConfigMap's `binaryData`.
pub(super) fn binary_files(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = files(generator);
    if let Some(values) = schema.get_mut("additionalProperties").and_then(|v| v.as_object_mut()) {
        values.insert("maxLength".into(), 349_528.into());
        values.insert("pattern".into(), "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$".into());
    }
    schema
}

/// Labels that are not the operator's.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?$"},
    });
    push_rule(
        &mut schema,
        "self.all(k, size(k) <= 316 && k.matches('^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$') && !k.startsWith('appstack.dev/'))",
        "label keys must be 'prefix/name' as Kubernetes wants them, and not begin with 'appstack.dev/'",
    );
    schema
}

/// Key of a taint.
pub(super) fn taint_key(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 316,
        "pattern": "^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?$",
    })
}

/// Value of a taint.
pub(super) fn taint_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 63,
        "pattern": "^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
    })
}

/// What an address has to be, in words.
pub const ADDRESS: &str = "must be an IP address such as '10.0.0.7' or 'fd00::7'";

/// Addresses by host name.
pub(super) fn hosts(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "minLength": 2, "maxLength": 45},
    });
    push_rule(
        &mut schema,
        "self.all(k, size(k) <= 253 && k.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$'))",
        "host names must be lower case letters, digits, '-' and '.'",
    );
    push_rule(&mut schema, "self.all(k, isIP(self[k]))", ADDRESS);
    schema
}

/// Names of profiles.
pub(super) fn profiles(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 32,
        "items": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-zA-Z0-9][-_.a-zA-Z0-9]*$"},
        "x-kubernetes-list-type": "set",
    })
}

/// Further names of a service in a network.
pub(super) fn aliases(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 16,
        "items": {"type": "string", "minLength": 1, "maxLength": 53, "pattern": NAME},
        "x-kubernetes-list-type": "set",
    });
    push_rule(
        &mut schema,
        "self.all(a, a != 'kubernetes' && !a.endsWith('-published'))",
        "an alias may not be 'kubernetes' (the API server's own Service) and may not end in '-published' (the Service of published ports)",
    );
    schema
}

/// Addresses of name servers.
pub(super) fn addresses(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({
        "type": "array", "minItems": 1, "maxItems": 3,
        "items": {"type": "string", "minLength": 2, "maxLength": 45},
        "x-kubernetes-list-type": "atomic",
    });
    push_rule(&mut schema, "self.all(a, isIP(a))", ADDRESS);
    schema
}

/// Search domains.
pub(super) fn domains(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "minItems": 1, "maxItems": 32,
        "items": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[a-z0-9_]([-._a-z0-9]*[a-z0-9])?[.]?$"},
        "x-kubernetes-list-type": "atomic",
    })
}

/// A container image, as `docker pull` takes it.
pub(super) fn image(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({"type": "string", "minLength": 1, "maxLength": 1024});
    push_rule(
        &mut schema,
        "self.matches('^[a-z0-9]+([-._:/a-zA-Z0-9]*[a-zA-Z0-9_])?(@sha256:[a-f0-9]{64})?$')",
        "must be an image reference such as 'registry.example/shop/web:1.4.0', optionally with '@sha256:' and 64 hex digits; no spaces, no upper case host",
    );
    schema
}

/// A container image in a list or map of a service: a pattern, since a rule there is over the API server's cost budget.
pub(super) fn image_pattern(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 1024,
        "pattern": "^[a-z0-9]+([-._:/a-zA-Z0-9]*[a-zA-Z0-9_])?(@sha256:[a-f0-9]{64})?$",
    })
}

/// A path of the node.
pub(super) fn host_path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 1024, "pattern": r"^/([^/.\x00][^/\x00]*(/|$)|[.][^/.\x00][^/\x00]*(/|$))*$"})
}

/// Literal variables of a step: fewer than a service may have.
pub(super) fn step_env_values(generator: &mut SchemaGenerator) -> Schema {
    fewer(env_values(generator))
}

/// Variables of a step from keys of secrets.
pub(super) fn step_env<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    fewer(env::<T>(generator))
}

fn fewer(mut schema: Schema) -> Schema {
    schema.ensure_object().insert("maxProperties".into(), 32.into());
    schema
}

/// The name of an object that somebody else keeps.
pub(super) fn object_name(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({"type": "string", "minLength": 1, "maxLength": 253});
    push_rule(
        &mut schema,
        "self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",
        "must be the name of an object: lower case letters, digits, '-' and '.'",
    );
    schema
}

/// The same, where a rule is over the API server's cost budget: a pattern.
pub(super) fn object_name_pattern(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"})
}

/// The name of a network that stacks share.
pub(super) fn network_name(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({"type": "string", "minLength": 1, "maxLength": 40});
    push_rule(
        &mut schema,
        &format!("self.matches('{NAME}')"),
        "must be lower case letters, digits and hyphens, start with a letter, end with a letter or digit, and have at most 40 characters",
    );
    schema
}

/// The name of a step before the start; it becomes a container's name.
pub(super) fn step_name(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({"type": "string", "minLength": 1, "maxLength": 50});
    push_rule(
        &mut schema,
        &format!("self.matches('{NAME}') && !self.startsWith('seed-')"),
        "must be lower case letters, digits and hyphens, start with a letter, end with a letter or digit, and not begin with 'seed-' (the operator's own steps)",
    );
    schema
}

/// One path to mount at.
pub(super) fn mount_path(_: &mut SchemaGenerator) -> Schema {
    let mut schema = json_schema!({"type": "string", "minLength": 2, "maxLength": 512});
    push_rule(
        &mut schema,
        "self.matches('^(/[^/:[:cntrl:]]+)+$') && !self.matches('/[.][.]?(/|$)')",
        "must be an absolute path other than '/', without a '/' at its end, ':', '.' or '..' as a step",
    );
    schema
}

/// A command line: one string per argument, none of it expanded.
pub(super) fn words(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 256,
        "items": {"type": "string", "maxLength": 16_384, "pattern": r"^[^\x00]*$"},
        "x-kubernetes-list-type": "atomic",
    })
}

/// A key of a ConfigMap or Secret.
pub(super) fn data_key(_: &mut SchemaGenerator) -> Schema {
    // A pattern, not a rule: with 512 services of 256 variables a rule is over the API server's cost budget.
    json_schema!({"type": "string", "minLength": 1, "maxLength": 253, "pattern": "^[-._a-zA-Z0-9]+$"})
}

/// Names of capabilities.
pub(super) fn capabilities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 64,
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^[A-Z_]+$')",
                "message": "must be a capability without 'CAP_' in upper case letters, such as 'NET_ADMIN', or 'ALL'",
            }],
        },
        "x-kubernetes-list-type": "set",
    })
}

pub(super) fn push_rule(schema: &mut Schema, rule: &str, message: &str) {
    let rule = serde_json::json!({"rule": rule, "message": message});
    let rules = schema.ensure_object().entry("x-kubernetes-validations").or_insert_with(|| serde_json::json!([]));
    if let Some(rules) = rules.as_array_mut() {
        rules.push(rule);
    }
}
