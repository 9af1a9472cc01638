//! After the live tests: what their operators were asked to be allowed, and what of it they used, by the audit log of the server that they ran on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::path::PathBuf;

use e2e::grant::{OPERATOR, printed_role};
use e2e::rights::{Right, told, told_of};

/// Admission asks for it, on behalf of a request for something else; the log does not tell.
const UNTOLD: [(&str, &str, &str); 1] = [("appstack.dev", "appstacks/finalizers", "update")];

// "the audit log of the live tests shows no unused rule"
#[test]
fn the_operators_of_the_live_tests_used_every_right_and_lacked_none() {
    let log = std::env::var_os("E2E_AUDIT_LOG")
        .map(PathBuf::from)
        .expect("E2E_AUDIT_LOG: the log of the server of the live tests");
    let told = told(&log, 0, OPERATOR);
    assert!(told.lacked.is_empty(), "requests outside of the role: {:#?}", told.lacked.values());
    let given = Right::given(printed_role()["rules"].as_array().expect("rules"));
    // Operators of the tests that take rights away run as accounts of their own, and use what they are left with.
    let limited =
        told_of(&log, 0, |user| user.starts_with("system:serviceaccount:e2e-rights-") && user.ends_with(":limited"));
    let untold = UNTOLD.map(|(group, resource, verb)| Right::new(group, resource, verb));
    let unused: Vec<String> = given
        .iter()
        .filter(|right| !told.used.contains(right) && !limited.used.contains(right) && !untold.contains(right))
        .map(ToString::to_string)
        .collect();
    println!("{} rights, {} of them used", given.len(), given.len() - unused.len());
    assert!(unused.is_empty(), "no live test needs these: {unused:#?}");
}
