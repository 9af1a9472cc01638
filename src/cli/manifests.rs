//! `appstack manifests`: what installs the operator.

use clap::Args;

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
    /// The operator's image [default: that of this version]
    #[arg(long, value_name = "REFERENCE")]
    image: Option<String>,
}

impl ManifestsArgs {
    /// What is to be installed.
    pub fn install(self) -> Install {
        let default = Install::default();
        Install { namespace: self.namespace, watches: self.watch_namespace, image: self.image.unwrap_or(default.image) }
    }
}
