//! Tables of docs/security.md: what the operator may do.

use std::fmt::Write as _;

use serde_json::Value;

use super::hold_part;
use crate::generate::rbac;

fn words(rule: &Value, key: &str) -> String {
    let words = rule[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn table() -> String {
    let mut text = "| group | what | verbs |\n|---|---|---|\n".to_owned();
    for rule in rbac()["rules"].as_array().unwrap() {
        let group = match rule["apiGroups"][0].as_str().unwrap() {
            "" => "core".to_owned(),
            group => format!("`{group}`"),
        };
        let only = words(rule, "resourceNames");
        let only = if only.is_empty() { only } else { format!(" (only {only})") };
        writeln!(text, "| {group} | {}{only} | {} |", words(rule, "resources"), words(rule, "verbs")).unwrap();
    }
    text
}

#[test]
fn the_rights_of_the_operator_are_in_the_page_about_security() {
    hold_part("docs/security.md", "rights", &table());
}
