//! The `appstack` program.
fn main() {
    print!("{}", appstack::generate::crd_yaml().unwrap_or_default());
}
