//! Which of the live tests stay on simulated nodes, and why: the one list of them, for `make e2e` and `make e2e-kind`.

/// A test, as `module::name`, and what of it no kubelet can play.
pub const ONLY_SIMULATED: [(&str, &str); 1] = [(
    "golden::every_golden_object_reads_back_as_it_was_sent",
    "dozens of stacks made to be read, with images, devices and nodes that nobody has; what it asks is the API server",
)];
