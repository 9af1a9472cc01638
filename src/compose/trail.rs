//! Where a walk over a project stands.

use std::fmt;

/// A path of keys, its last step first. Items of lists are the step `[]` or `[3]`.
#[derive(Clone, Copy, Debug)]
pub struct Trail<'a> {
    above: Option<&'a Trail<'a>>,
    /// The last step.
    pub step: &'a str,
    /// How many steps.
    pub depth: usize,
}

impl<'a> Trail<'a> {
    /// Of the project itself.
    pub const TOP: Trail<'static> = Trail { above: None, step: "", depth: 0 };

    /// One step further.
    pub fn to(&'a self, step: &'a str) -> Trail<'a> {
        Trail { above: Some(self), step, depth: self.depth + 1 }
    }

    /// Whether it is as `pattern` says, in which `*` is any one step: `services.*.build.args`.
    pub fn is(&self, pattern: &str) -> bool {
        let mut at = Some(self);
        for wanted in pattern.rsplit('.') {
            match at {
                Some(here) if here.depth > 0 && (wanted == "*" || wanted == here.step) => at = here.above,
                _ => return false,
            }
        }
        at.is_some_and(|rest| rest.depth == 0)
    }
}

impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(above) = self.above else { return Ok(()) };
        above.fmt(f)?;
        if above.depth > 0 && !self.step.starts_with('[') {
            f.write_str(".")?;
        }
        f.write_str(shortened(self.step))
    }
}

/// A key for people: a path of keys of a megabyte each is none.
pub fn shortened(key: &str) -> &str {
    const LONGEST: usize = 200;
    if key.len() <= LONGEST {
        return key;
    }
    key.char_indices().nth(LONGEST).and_then(|(end, _)| key.get(..end)).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_step_and_a_dot_in_a_key_is_none() {
        let services = Trail::TOP.to("services");
        let web = services.to("web.api");
        let command = web.to("command");
        assert!(command.is("services.*.command"));
        assert!(!command.is("services.*.*.command") && !command.is("*.command") && !web.is("services.*.command"));
        assert!(Trail::TOP.to("name").is("name") && !Trail::TOP.is("name"));
        let port = Trail::TOP.to("services");
        let port = port.to("web");
        let port = port.to("ports");
        assert_eq!(port.to("[0]").to_string(), "services.web.ports[0]");
    }
}
