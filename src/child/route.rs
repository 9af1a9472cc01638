//! What became of an HTTPRoute, by its controllers' words.

use serde_json::Value;

/// What is kept of an HTTPRoute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteFacts {
    /// Some controller has looked at it.
    pub taken_up: bool,
    /// What a controller has against it: reason and message.
    pub trouble: Option<(String, String)>,
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
