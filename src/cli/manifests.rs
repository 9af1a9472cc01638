//! `appstack manifests`: what installs the operator.

use clap::Args;

use super::run::{WhetherAs, selector};
use crate::generate::{Install, NAME, NAMESPACE};

/// Print what installs the operator: `appstack manifests | kubectl apply --server-side -f -`
#[derive(Args, Clone, Debug)]
pub struct ManifestsArgs {
    /// Where the operator runs
    #[arg(long, short, value_name = "NAMESPACE", default_value = NAMESPACE)]
    namespace: String,
    /// The one namespace that it looks after, with rights there and nowhere else [default: all]
    #[arg(long, value_name = "NAMESPACE")]
    watch_namespace: Option<String>,
    /// Look after stacks with these labels only, such as `shard=a` or `!shard`; another operator, by another --name, has to look after each of the others
    #[arg(long, value_name = "LABELS", value_parser = selector, requires = "name")]
    selector: Option<String>,
    /// What its objects are called: operators side by side need a name each
    #[arg(long, value_name = "NAME", default_value = NAME, value_parser = name)]
    name: String,
    /// Whether stacks may name a service account that the operator acts as (`spec.applyAs`): but for `off`, it may impersonate those of the namespaces that it looks after
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t = WhetherAs::Off)]
    apply_as: WhetherAs,
    /// The operator's image [default: that of this version]
    #[arg(long, value_name = "REFERENCE")]
    image: Option<String>,
}

impl ManifestsArgs {
    /// What is to be installed.
    pub fn install(self) -> Install {
        let default = Install::default();
        Install {
            namespace: self.namespace,
            watches: self.watch_namespace,
            selector: self.selector,
            name: self.name,
            apply_as: self.apply_as.rule(),
            image: self.image.unwrap_or(default.image),
        }
    }
}

/// Others are made of it, and labels hold it.
fn name(text: &str) -> Result<String, String> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty()
        || text.len() > 50
        || !text.chars().all(is_of_name)
        || text.starts_with('-')
        || text.ends_with('-')
    {
        return Err("at most 50 lower-case letters, digits and '-', such as appstack-a".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ManifestsArgs,
    }

    fn read(args: &[&str]) -> Result<Install, String> {
        let line = Line::try_parse_from([&["manifests"], args].concat());
        line.map(|line| line.args.install()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_operator_of_some_stacks_has_a_name_of_its_own() {
        let shard = read(&["--selector", "shard=a", "--name", "appstack-a"]).unwrap();
        assert_eq!((shard.name.as_str(), shard.selector.as_deref()), ("appstack-a", Some("shard=a")));
        // It would take the place of one that is there.
        assert!(read(&["--selector", "shard=a"]).unwrap_err().contains("--name"));
        assert!(read(&["--selector", "a;b", "--name", "x"]).unwrap_err().contains("labels as kubectl takes them"));
        for bad in ["", "Shop", "-a", "a-", "a.b", &"a".repeat(51)] {
            assert!(read(&["--name", bad]).is_err(), "{bad}");
        }
    }
}
