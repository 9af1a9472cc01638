//! What the operator's flags say about rendering.

/// What a cluster's administrator decides for all stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Labels of the cluster's DNS pods, in `kube-system`.
    pub dns_selector: Vec<(String, String)>,
    /// Ports they listen on: policies see a port after translation, so the pods' own count too.
    pub dns_ports: Vec<u16>,
    /// Addresses of resolvers that are no pods, such as the node-local one.
    pub dns_cidrs: Vec<String>,
    /// Put on every pod template; plays a new version of the operator in tests.
    #[cfg(debug_assertions)]
    pub test_salt: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            dns_selector: vec![("k8s-app".into(), "kube-dns".into())],
            dns_ports: vec![53, 5353, 8053],
            dns_cidrs: vec!["169.254.20.10/32".into()],
            #[cfg(debug_assertions)]
            test_salt: None,
        }
    }
}
