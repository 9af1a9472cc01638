//! `appstack manifests`: what installs the operator.

use clap::Args;

use super::run::WhetherAs;
use crate::generate::{Install, NAMESPACE};

/// Print what installs the operator: `appstack manifests | kubectl apply --server-side -f -`
#[derive(Args, Clone, Debug)]
pub struct ManifestsArgs {
    /// Where the operator runs
    #[arg(long, short, value_name = "NAMESPACE", default_value = NAMESPACE)]
    namespace: String,
    /// The one namespace that it looks after, with rights there and nowhere else [default: all]
    #[arg(long, value_name = "NAMESPACE")]
    watch_namespace: Option<String>,
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
            apply_as: self.apply_as.rule(),
            image: self.image.unwrap_or(default.image),
        }
    }
}
