//! What rendered objects mean, whatever things are called inside: names of ports are their numbers, references to configs and
//! Secrets are what is in them, `$(NAME)` is its value, and volumes of pods are what is mounted where.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::json::{items, name, text};

/// The objects, by kind and name, and by what they route where they are routes. `documents` are what was applied, Secrets among them.
pub fn meaning(rendered: &[Value], documents: &[Value]) -> BTreeMap<String, Value> {
    let known = Known::of(rendered, documents);
    let objects = rendered.iter().filter(|object| !matches!(text(object, "/kind"), "ConfigMap" | "ControllerRevision"));
    objects.map(|object| known.object(object)).collect()
}

/// A difference between two meanings: where, and what stands there; none: nothing does.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The object and the way in it, with spaces between.
    pub at: String,
    /// What the first has.
    pub first: Option<Value>,
    /// What the second has.
    pub second: Option<Value>,
}

/// All differences, in the order of their places. Of what only one has there is one, however much is in it.
pub fn differences(first: &BTreeMap<String, Value>, second: &BTreeMap<String, Value>) -> Vec<Difference> {
    let whole = |all: &BTreeMap<String, Value>| Value::Object(all.clone().into_iter().collect());
    let mut found = Vec::new();
    compare(&whole(first), &whole(second), "", &mut found);
    found
}

fn compare(first: &Value, second: &Value, at: &str, found: &mut Vec<Difference>) {
    let inner = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at} {key}") };
    match (first, second) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => compare(a, b, &inner(key), found),
                    (a, b) => found.push(Difference { at: inner(key), first: a.cloned(), second: b.cloned() }),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() && a.iter().chain(b).all(Value::is_object) => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                compare(a, b, &inner(&n.to_string()), found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(Difference { at: at.to_owned(), first: Some(a.clone()), second: Some(b.clone()) }),
    }
}

/// What names stand for.
struct Known<'a> {
    configs: BTreeMap<&'a str, Map<String, Value>>,
    secrets: BTreeMap<&'a str, Map<String, Value>>,
    /// Labels of pods, and the names of their ports.
    ports: Vec<(&'a Value, BTreeMap<&'a str, &'a Value>)>,
    services: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Known<'a> {
    fn of(rendered: &'a [Value], documents: &'a [Value]) -> Known<'a> {
        let of_kind = |all: &'a [Value], kind: &'static str| all.iter().filter(move |object| object["kind"] == kind);
        let entries = |object: &Value, fields: [&str; 2]| -> Map<String, Value> {
            fields.iter().filter_map(|field| object[*field].as_object().cloned()).flatten().collect()
        };
        let pods = rendered.iter().map(|object| &object["spec"]["template"]).filter(|pod| pod["spec"].is_object());
        Known {
            configs: of_kind(rendered, "ConfigMap").map(|o| (name(o), entries(o, ["data", "binaryData"]))).collect(),
            secrets: of_kind(documents, "Secret").map(|o| (name(o), entries(o, ["data", "stringData"]))).collect(),
            ports: pods
                .map(|pod| {
                    let ports = items(pod, "/spec/containers").flat_map(|container| items(container, "/ports"));
                    let named = ports.map(|port| (text(port, "/name"), &port["containerPort"]));
                    (&pod["metadata"]["labels"], named.collect())
                })
                .collect(),
            services: of_kind(rendered, "Service").map(|o| (name(o), o)).collect(),
        }
    }

    /// The number behind the name of a port of the pods that a selector chooses.
    fn number(&self, port: &Value, selector: &Value) -> Value {
        let chosen = |labels: &Value| {
            selector.as_object().is_some_and(|all| all.iter().all(|(key, value)| labels[key] == *value))
        };
        let mut named = self.ports.iter().filter(|(labels, _)| chosen(labels)).map(|(_, ports)| ports);
        let found = port.as_str().and_then(|port| named.find_map(|ports| ports.get(port)));
        found.map_or_else(|| port.clone(), |number| (*number).clone())
    }

    fn object(&self, object: &Value) -> (String, Value) {
        let mut object = object.clone();
        let kind = text(&object, "/kind").to_owned();
        let mut key = format!("{kind}/{}", name(&object));
        for notes in ["/metadata/annotations", "/spec/template/metadata/annotations"] {
            if let Some(notes) = object.pointer_mut(notes).and_then(Value::as_object_mut) {
                notes.remove("appstack.dev/revision"); // the hash of what is compared
            }
        }
        if object.pointer("/spec/template/spec").is_some_and(Value::is_object) {
            let pod = self.pod(&object["spec"]["template"]["spec"]);
            object["spec"]["template"]["spec"] = pod;
        }
        match kind.as_str() {
            "Service" => {
                let selector = object["spec"]["selector"].clone();
                let ports = items(&object, "/spec/ports").map(|port| {
                    let mut rest = port.clone();
                    rest["targetPort"] = self.number(&port["targetPort"], &selector);
                    take(&mut rest, &["name", "port", "protocol"]);
                    (format!("{}/{}", port["port"], text(port, "/protocol")), rest)
                });
                object["spec"]["ports"] = ports.collect();
            }
            "NetworkPolicy" => {
                let selector = object["spec"]["podSelector"]["matchLabels"].clone();
                for rule in object["spec"]["ingress"].as_array_mut().into_iter().flatten() {
                    let Some(ports) = rule["ports"].as_array_mut() else { continue };
                    for port in ports.iter_mut() {
                        port["port"] = self.number(&port["port"], &selector);
                    }
                    ports.sort_by_key(Value::to_string);
                }
                for rule in object["spec"]["ingress"].as_array_mut().into_iter().flatten() {
                    if rule["ports"].is_null() {
                        take(rule, &["ports"]);
                    }
                }
            }
            "Ingress" => {
                for rule in object["spec"]["rules"].as_array_mut().into_iter().flatten() {
                    for path in rule["http"]["paths"].as_array_mut().into_iter().flatten() {
                        let service = &path["backend"]["service"];
                        let of = self.services.get(text(service, "/name"));
                        let named = of.and_then(|of| {
                            items(of, "/spec/ports").find(|port| port["name"] == service["port"]["name"])
                        });
                        if let Some(number) = named.map(|port| port["port"].clone()) {
                            path["backend"]["service"]["port"] = json!({"number": number});
                        }
                    }
                }
                let rule = &object["spec"]["rules"][0];
                key = format!("Ingress/{}{}", text(rule, "/host"), text(rule, "/http/paths/0/path"));
                take(&mut object["metadata"], &["name"]);
                take(&mut object["metadata"]["labels"], &["appstack.dev/route"]);
            }
            _ => {}
        }
        (key, object)
    }

    fn pod(&self, pod: &Value) -> Value {
        let mut changed = pod.clone();
        let volumes: BTreeMap<&str, &Value> = items(pod, "/volumes").map(|v| (text(v, "/name"), v)).collect();
        let mut used = Vec::new();
        for list in ["containers", "initContainers"] {
            let containers = pod[list].as_array().into_iter().flatten();
            used.extend(containers.clone().flat_map(|c| items(c, "/volumeMounts")).map(|m| text(m, "/name")));
            changed[list] = containers.map(|c| (text(c, "/name").to_owned(), self.container(c, &volumes))).collect();
        }
        let idle = volumes.iter().filter(|(name, _)| !used.contains(*name));
        changed["volumes"] = idle.map(|(name, volume)| ((*name).to_owned(), (*volume).clone())).collect();
        changed
    }

    fn container(&self, container: &Value, volumes: &BTreeMap<&str, &Value>) -> Value {
        let mut changed = container.clone();
        let ports: BTreeMap<&str, &Value> =
            items(container, "/ports").map(|port| (text(port, "/name"), &port["containerPort"])).collect();
        let mut numbers: Vec<String> = items(container, "/ports")
            .map(|port| format!("{}/{}", port["containerPort"], text(port, "/protocol")))
            .collect();
        numbers.sort();
        changed["ports"] = json!(numbers);
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            for way in ["httpGet", "tcpSocket"] {
                let number = text(container, &format!("/{probe}/{way}/port"));
                if let Some(number) = ports.get(number) {
                    changed[probe][way]["port"] = (*number).clone();
                }
            }
        }
        take(&mut changed, &["envFrom"]);
        if changed["securityContext"]["readOnlyRootFilesystem"] == false {
            take(&mut changed["securityContext"], &["readOnlyRootFilesystem"]); // what it is where nothing is said
        }
        changed["env"] = self.variables(container).into_iter().collect();
        let mounts = items(container, "/volumeMounts").map(|mount| {
            let volume = volumes.get(text(mount, "/name")).copied().unwrap_or(&Value::Null);
            (text(mount, "/mountPath").to_owned(), self.mount(mount, volume))
        });
        changed["volumeMounts"] = mounts.collect();
        changed
    }

    /// Values of variables; those with something of a Secret in them begin so.
    fn variables(&self, container: &Value) -> BTreeMap<String, Value> {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        for from in items(container, "/envFrom") {
            let config = self.configs.get(text(from, "/configMapRef/name")).map(|entries| (entries, ""));
            let secret = self.secrets.get(text(from, "/secretRef/name")).map(|entries| (entries, SECRET));
            for (name, value) in
                config.or(secret).into_iter().flat_map(|(all, how)| all.iter().map(move |(n, v)| (n, (v, how))))
            {
                let (value, how) = value;
                found.insert(
                    format!("{}{name}", text(from, "/prefix")),
                    format!("{how}{}", value.as_str().unwrap_or_default()),
                );
            }
        }
        for variable in items(container, "/env") {
            let name = text(variable, "/name").to_owned();
            let from = |kind: &str, all: &BTreeMap<&str, Map<String, Value>>| {
                let of = &variable["valueFrom"][kind];
                Some(all.get(text(of, "/name"))?.get(text(of, "/key"))?.as_str().unwrap_or_default().to_owned())
            };
            let optional = variable["valueFrom"]["secretKeyRef"]["optional"] == true;
            let secret = from("secretKeyRef", &self.secrets);
            let secret = secret.map(|value| format!("{}{SECRET}{value}", if optional { "optional " } else { "" }));
            let value = secret.or_else(|| from("configMapKeyRef", &self.configs));
            let value = value.unwrap_or_else(|| match &variable["valueFrom"] {
                Value::Null => expanded(text(variable, "/value"), &found),
                other => other.to_string(),
            });
            found.insert(name, value);
        }
        found.into_iter().map(|(name, value)| (name, json!(value))).collect()
    }

    fn mount(&self, mount: &Value, volume: &Value) -> Value {
        let mut meaning = self.volume(volume);
        let mut rest = mount.clone();
        take(&mut rest, &["name", "mountPath"]);
        let one = text(mount, "/subPath");
        let file = ["config", "secret"].into_iter().find_map(|kind| Some((kind, meaning[kind].get(one)?.clone())));
        if let Some((kind, file)) = file {
            meaning[kind] = file;
            take(&mut rest, &["subPath"]);
        }
        if let (Some(meaning), Some(rest)) = (meaning.as_object_mut(), rest.as_object()) {
            meaning.extend(rest.clone());
        }
        meaning
    }

    /// What a volume of a pod holds.
    fn volume(&self, volume: &Value) -> Value {
        for (field, named, kind, all) in
            [("configMap", "/name", "config", &self.configs), ("secret", "/secretName", "secret", &self.secrets)]
        {
            let source = &volume[field];
            let Some(entries) = all.get(text(source, named)) else { continue };
            let chosen = items(source, "/items").map(|item| {
                let content = entries.get(text(item, "/key")).cloned().unwrap_or_default();
                let mode = if item["mode"].is_null() { &source["defaultMode"] } else { &item["mode"] };
                (text(item, "/path").to_owned(), json!({"mode": mode, "content": content}))
            });
            let whole = || {
                entries
                    .iter()
                    .map(|(key, content)| (key.clone(), json!({"mode": source["defaultMode"], "content": content})))
            };
            let files: Map<String, Value> =
                if source["items"].is_array() { chosen.collect() } else { whole().collect() };
            return json!({kind: files});
        }
        let mut volume = volume.clone();
        take(&mut volume, &["name"]);
        volume
    }
}

/// Before a value that has something of a Secret in it.
const SECRET: &str = "secret: ";

/// `$(NAME)` as what came before says; if that is a Secret's, so is the whole.
fn expanded(value: &str, known: &BTreeMap<String, String>) -> String {
    let mut text = value.to_owned();
    let mut is_secret = false;
    for (name, value) in known {
        let reference = format!("$({name})");
        if text.contains(&reference) {
            let secret = value.split_once(SECRET).map(|(_, value)| value);
            is_secret |= secret.is_some();
            text = text.replace(&reference, secret.unwrap_or(value));
        }
    }
    if is_secret { format!("{SECRET}{text}") } else { text }
}

fn take(from: &mut Value, keys: &[&str]) {
    if let Some(map) = from.as_object_mut() {
        for key in keys {
            map.remove(*key);
        }
    }
}
