//! Variables of a container.

/// A variable of the container.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub value: Value,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Written in the stack.
    Literal(String),
    /// Put together from others by the kubelet: `$(NAME)` and `$$` mean something in it.
    Template(String),
    /// A key of a Secret of the namespace.
    Secret {
        /// The Secret's own name.
        secret_name: String,
        /// The key in it.
        key: String,
        /// The container starts without it.
        optional: bool,
    },
}

/// A whole ConfigMap or Secret as variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFrom {
    /// Of what.
    pub source: EnvSource,
    /// Before each key.
    pub prefix: Option<String>,
    /// The container starts without it.
    pub optional: bool,
}

/// What variables are taken from as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvSource {
    /// Our ConfigMap of this inline config.
    Config(String),
    /// Somebody else's ConfigMap.
    ConfigMap(String),
    /// A Secret.
    Secret(String),
}

impl EnvSource {
    /// The inline config that it is.
    pub fn config(&self) -> Option<&String> {
        if let EnvSource::Config(name) = self { Some(name) } else { None }
    }
}
