//! What became of an HTTPRoute, by its controllers' words.

use serde_json::Value;

/// What is kept of an HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteFacts {
    /// Some controller has looked at it.
    pub taken_up: bool,
    /// What a controller has against it: reason and message.
    pub trouble: Option<(String, String)>,
    /// Which requests it asks for.
    pub requests: Vec<Requests>,
    /// When it was made, as the API server writes it: later ones sort after earlier ones.
    pub since: String,
    /// Who of the other stacks gets these requests, in words. Not the object's own word: whoever sees all routes fills it in.
    pub rival: Option<String>,
}

/// Requests that come in by a Gateway, for a host and all below a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// Its namespace and name.
    pub gateway: (String, String),
    /// One of its listeners; none: all of them.
    pub section: Option<String>,
    /// Empty: any.
    pub host: String,
    /// Without a `/` at its end, but for the root.
    pub path: String,
}

impl Requests {
    /// Whether some request is among both, as far as exactly this host and path go: one listener or all of them, some request meets both.
    pub fn meet(&self, other: &Requests) -> bool {
        let listens = self.section.is_none() || other.section.is_none() || self.section == other.section;
        listens && self.gateway == other.gateway && self.host == other.host && self.path == other.path
    }

    /// Of rules by path alone: others tell requests apart by more than a stack can say.
    fn of(object: &Value) -> Vec<Requests> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let spec = &object["spec"];
        let hosts = list(&spec["hostnames"]);
        let hosts = if hosts.is_empty() { vec![Value::Null] } else { hosts };
        let mut all = Vec::new();
        for parent in list(&spec["parentRefs"]).iter().filter(|p| p["kind"].is_null() || p["kind"] == "Gateway") {
            let namespace = parent["namespace"].as_str().or(object["metadata"]["namespace"].as_str());
            for path in list(&spec["rules"]).iter().flat_map(|rule| list(&rule["matches"])).filter_map(|one| path(&one))
            {
                all.extend(hosts.iter().map(|host| Requests {
                    gateway: (namespace.unwrap_or_default().to_owned(), text(&parent["name"])),
                    section: parent["sectionName"].as_str().map(str::to_owned),
                    host: text(host),
                    path: path.clone(),
                }));
            }
        }
        all
    }
}

fn path(of: &Value) -> Option<String> {
    let is_by_path = of.as_object().is_some_and(|keys| keys.len() == 1) && of["path"]["type"] == "PathPrefix";
    let path = of["path"]["value"].as_str().filter(|_| is_by_path)?.trim_end_matches('/');
    Some(if path.is_empty() { "/".to_owned() } else { path.to_owned() })
}

impl RouteFacts {
    /// One parent has one entry for each controller that looks after it. `Accepted` and `ResolvedRefs` are good when true, and so is their absence;
    /// `PartiallyInvalid` is there only when something was dropped. <https://gateway-api.sigs.k8s.io/geps/gep-1364/>
    pub(super) fn read(object: &Value) -> Self {
        // A controller that looks after it no more may leave its entry for an earlier parent behind.
        let wanted = object["spec"]["parentRefs"].as_array();
        let is_wanted =
            |entry: &&Value| wanted.is_some_and(|all| all.iter().any(|one| is_same(one, &entry["parentRef"])));
        let parents = || object["status"]["parents"].as_array().into_iter().flatten().filter(is_wanted);
        let conditions = parents().filter_map(|parent| parent["conditions"].as_array()).flatten();
        let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
        let is_new = |c: &&Value| c["observedGeneration"].as_i64().is_none_or(|seen| seen >= generation);
        let bad = conditions.filter(is_new).find(|c| match c["type"].as_str() {
            Some("Accepted" | "ResolvedRefs") => c["status"] == "False",
            Some("PartiallyInvalid") => c["status"] == "True",
            _ => false,
        });
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        RouteFacts {
            taken_up: parents().next().is_some(),
            trouble: bad.map(|c| (text(&c["reason"]), text(&c["message"]))),
            since: if wanted.is_some() { text(&object["metadata"]["creationTimestamp"]) } else { String::new() },
            requests: Requests::of(object),
            rival: None,
        }
    }
}

/// Whether two references mean one parent, as far as both say: controllers may fill in what was left out.
fn is_same(one: &Value, other: &Value) -> bool {
    let agree = |field: &str| one[field].is_null() || other[field].is_null() || one[field] == other[field];
    one["name"] == other["name"] && agree("namespace") && agree("sectionName")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn which_requests_a_route_asks_for_is_read_from_its_spec() {
        let read = |spec: Value| Requests::of(&json!({"metadata": {"namespace": "n"}, "spec": spec}));
        let parent = json!({"kind": "Gateway", "name": "public", "namespace": "g", "sectionName": "https"});
        let matching = |path: &str| json!([{"matches": [{"path": {"type": "PathPrefix", "value": path}}]}]);
        let asked = |section: Option<&str>, namespace: &str, host: &str, path: &str| Requests {
            gateway: (namespace.into(), "public".into()),
            section: section.map(str::to_owned),
            host: host.into(),
            path: path.into(),
        };
        let full =
            read(json!({"parentRefs": [parent], "hostnames": ["a.example", "b.example"], "rules": matching("/x/")}));
        let expected = [asked(Some("https"), "g", "a.example", "/x"), asked(Some("https"), "g", "b.example", "/x")];
        assert_eq!(full, expected);
        let short = read(json!({"parentRefs": [{"name": "public"}], "rules": matching("/")}));
        assert_eq!(short, [asked(None, "n", "", "/")]);
        let by_header = json!([{"matches": [{"path": {"type": "PathPrefix", "value": "/"}, "headers": [{"name": "x", "value": "y"}]}]}]);
        assert!(read(json!({"parentRefs": [{"name": "public"}], "rules": by_header})).is_empty());
        assert!(read(json!({"parentRefs": [{"name": "s", "kind": "Service"}], "rules": matching("/")})).is_empty());
        assert!(read(json!({"ports": []})).is_empty());

        let all = asked(None, "g", "a.example", "/x");
        assert!(all.meet(&expected[0]) && expected[0].meet(&all) && all.meet(&all));
        assert!(!all.meet(&expected[1]) && !all.meet(&asked(None, "n", "a.example", "/x")));
        assert!(!asked(Some("http"), "g", "a.example", "/x").meet(&expected[0]), "another listener");
    }

    #[test]
    fn of_a_route_only_what_is_said_now_and_of_its_parent_counts() {
        let route = |parent: Value, condition: (&str, &str), generation: i64| {
            let condition = json!({"type": condition.0, "status": condition.1, "reason": "Why", "message": "m", "observedGeneration": generation});
            let object = json!({"metadata": {"generation": 3}, "spec": {"parentRefs": [{"name": "public", "sectionName": "https"}]},
                "status": {"parents": [{"parentRef": parent, "conditions": [condition]}]}});
            let facts = RouteFacts::read(&object);
            (facts.taken_up, facts.trouble.is_some())
        };
        let public = || json!({"name": "public", "namespace": "filled-in", "sectionName": "https"});
        for (condition, trouble) in [
            (("Accepted", "False"), true),
            (("Accepted", "True"), false),
            (("ResolvedRefs", "False"), true),
            (("PartiallyInvalid", "True"), true),
            (("PartiallyInvalid", "False"), false),
            (("Programmed", "False"), false),
        ] {
            assert_eq!(route(public(), condition, 3), (true, trouble), "{condition:?}");
            assert_eq!(route(public(), condition, 2), (true, false), "{condition:?} of an earlier generation");
            assert_eq!(
                route(json!({"name": "former"}), condition, 3),
                (false, false),
                "{condition:?} of a former parent"
            );
        }
    }
}
