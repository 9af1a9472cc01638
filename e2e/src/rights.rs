//! What an account may do by its rules, and what the API server's audit log tells that it did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use serde_json::Value;

use crate::json;

/// One verb on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// Empty for the core group.
    pub group: String,
    /// As in a URL, with the subresource: `deployments/scale`.
    pub resource: String,
    /// As in a rule: `get`, `patch`, ...
    pub verb: String,
}

impl Right {
    /// This verb on this resource.
    pub fn new(group: &str, resource: &str, verb: &str) -> Right {
        Right { group: group.into(), resource: resource.into(), verb: verb.into() }
    }

    /// Every one that these rules give.
    pub fn given(rules: &[Value]) -> BTreeSet<Right> {
        let mut all = BTreeSet::new();
        for rule in rules {
            for group in json::items(rule, "/apiGroups").filter_map(Value::as_str) {
                for resource in json::items(rule, "/resources").filter_map(Value::as_str) {
                    let verbs = json::items(rule, "/verbs").filter_map(Value::as_str);
                    all.extend(verbs.map(|verb| Right::new(group, resource, verb)));
                }
            }
        }
        all
    }

    /// These rules without this right.
    pub fn taken_from(&self, rules: &[Value]) -> Vec<Value> {
        let has = |rule: &Value, key: &str, word: &str| json::items(rule, key).any(|w| w == word);
        let mut left = Vec::new();
        for rule in rules {
            if !has(rule, "/apiGroups", &self.group) || !has(rule, "/resources", &self.resource) {
                left.push(rule.clone());
                continue;
            }
            let mut others = rule.clone();
            others["resources"].as_array_mut().unwrap().retain(|resource| *resource != self.resource);
            let mut this = rule.clone();
            this["resources"] = serde_json::json!([self.resource]);
            this["verbs"].as_array_mut().unwrap().retain(|verb| *verb != self.verb);
            let says = |rule: &Value| {
                let is_some = |key| rule[key].as_array().is_some_and(|words| !words.is_empty());
                is_some("resources") && is_some("verbs")
            };
            left.extend([others, this].into_iter().filter(says));
        }
        left
    }

    /// What a refusal of the authorizer, or of admission, says was lacking.
    fn lacking(message: &str) -> Option<Right> {
        if message.contains("cannot set blockOwnerDeletion") {
            return Some(Right::new("appstack.dev", "appstacks/finalizers", "update"));
        }
        let (_, said) = message.split_once("\" cannot ")?;
        let (verb, rest) = said.split_once(" resource \"")?;
        let (resource, rest) = rest.split_once("\" in API group \"")?;
        let (group, _) = rest.split_once('"')?;
        Some(Right::new(group, resource, verb))
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)
    }
}

/// What the audit log tells of an account.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Rights that it has used: a request was let through that needs them.
    pub used: BTreeSet<Right>,
    /// Rights that it lacked, with what the server said.
    pub lacked: BTreeMap<Right, String>,
}

/// Reads a part of an audit log, from this byte on. What an account did in the name of another one is not what it may do itself.
pub fn told(log: &Path, from: u64, account: &str) -> Told {
    told_of(log, from, |user| user == account)
}

/// The same of all accounts that are meant.
pub fn told_of(log: &Path, from: u64, is_meant: impl Fn(&str) -> bool) -> Told {
    let mut file = File::open(log).unwrap_or_else(|e| panic!("no audit log at {}: {e}", log.display()));
    file.seek(SeekFrom::Start(from)).expect("the audit log");
    let mut told = Told::default();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.expect("the audit log");
        let line = String::from_utf8_lossy(&line);
        if !line.contains("system:serviceaccount:") {
            continue;
        }
        // The last line may not be whole yet.
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        if is_meant(json::text(&event, "/user/username")) && event["impersonatedUser"].is_null() {
            told.take(&event);
        }
    }
    told
}

impl Told {
    fn take(&mut self, event: &Value) {
        let resource = match json::text(event, "/objectRef/subresource") {
            "" => json::text(event, "/objectRef/resource").to_owned(),
            sub => format!("{}/{sub}", json::text(event, "/objectRef/resource")),
        };
        let right = Right::new(json::text(event, "/objectRef/apiGroup"), &resource, json::text(event, "/verb"));
        if resource.is_empty() {
            return; // what everybody may ask: the version, discovery
        }
        let code = json::number(event, "/responseStatus/code");
        let message = json::text(event, "/responseStatus/message");
        // Of a request for metadata alone, the log keeps no message.
        let is_forbidden = json::text(event, "/annotations/authorization.k8s.io~1decision") == "forbid";
        let lacking = Right::lacking(message).or_else(|| is_forbidden.then(|| right.clone()));
        if let Some(lacking) = lacking.filter(|_| code == 403) {
            // Who may not create was let through as one who may patch.
            if lacking != right {
                self.used.insert(right);
            }
            self.lacked.insert(lacking, message.to_owned());
            return;
        }
        // An apply that has made an object was both.
        if right.verb == "patch" && code == 201 {
            self.used.insert(Right { verb: "create".into(), ..right.clone() });
        }
        self.used.insert(right);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_right_is_taken_from_its_rule_alone() {
        let rules = [
            json!({"apiGroups": ["apps"], "resources": ["deployments/scale", "statefulsets/scale"], "verbs": ["patch"]}),
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}),
        ];
        let all = Right::given(&rules);
        assert_eq!(all.len(), 4);
        for right in &all {
            let mut left = all.clone();
            left.remove(right);
            assert_eq!(Right::given(&right.taken_from(&rules)), left, "{right}");
        }
    }

    #[test]
    fn refusals_say_what_was_lacking() {
        let said = r#"deployments.apps "x" is forbidden: User "system:serviceaccount:n:a" cannot create resource "deployments" in API group "apps" in the namespace "n""#;
        assert_eq!(Right::lacking(said), Some(Right::new("apps", "deployments", "create")));
        assert_eq!(Right::lacking("pods \"x\" is forbidden: exceeded quota"), None);
    }
}
