//! Whether a stack may, or has to, name the service account that it is applied as.

use super::model::{Problem, Problems};
use crate::api::AppStack;

/// What the operator is told of `spec.applyAs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApplyAs {
    /// It acts as itself, always.
    #[default]
    Off,
    /// As the account that a stack names, else as itself.
    Allowed,
    /// As the account that a stack names, and not otherwise: no author of a stack gets more than an account of the namespace may.
    Required,
}

/// What is wrong with the account of a stack: of all of it, since in the name of another one nothing may be written. `own` is the operator's user: in whose name an author
/// of a stack of the operator's own namespace would get all that the operator may.
pub fn problem_of_account(written: &AppStack, rule: ApplyAs, own: Option<&str>) -> Option<Problems> {
    let namespace = written.metadata.namespace.as_deref().unwrap_or("default");
    let is_own = |name: &String| own.is_some_and(|own| own == format!("system:serviceaccount:{namespace}:{name}"));
    let message = match (rule, &written.spec.apply_as) {
        (ApplyAs::Allowed | ApplyAs::Required, Some(name)) if is_own(name) => {
            "this is the operator's own account: name another one of this namespace"
        }
        (ApplyAs::Off, Some(_)) => {
            "this operator acts as itself only: leave the field out, or have it run with `--apply-as allowed` and the right to impersonate service accounts"
        }
        (ApplyAs::Required, None) => {
            "this operator acts in the name of service accounts only (`--apply-as required`): name one of this namespace that may do what the stack needs"
        }
        _ => return None,
    };
    Some(Problems { all: vec![Problem::new("spec.applyAs", message)], cycle: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AppStackSpec;

    #[test]
    fn an_account_is_named_where_it_may_and_has_to_be() {
        let mut named = AppStack::new("shop", AppStackSpec::default());
        named.spec.apply_as = Some("deployer".into());
        let without = AppStack::new("shop", AppStackSpec::default());
        let own = Some("system:serviceaccount:default:appstack");
        for (rule, with, none) in
            [(ApplyAs::Off, false, true), (ApplyAs::Allowed, true, true), (ApplyAs::Required, true, false)]
        {
            assert_eq!(problem_of_account(&named, rule, own).is_none(), with, "{rule:?}");
            assert_eq!(problem_of_account(&without, rule, own).is_none(), none, "{rule:?}");
        }
        named.spec.apply_as = Some("appstack".into());
        assert!(problem_of_account(&named, ApplyAs::Allowed, own).is_some(), "the operator itself");
        named.metadata.namespace = Some("other".into());
        assert!(problem_of_account(&named, ApplyAs::Allowed, own).is_none(), "another one of that name");
    }
}
