//! Which of the live tests stay on simulated nodes, and why: the one list of them, for `make e2e` and `make e2e-kind`.

/// A test, as `module::name`, and what of it no kubelet can play.
pub const ONLY_SIMULATED: [(&str, &str); 2] = [
    (
        "golden::every_golden_object_reads_back_as_it_was_sent",
        "dozens of stacks made to be read, with images, devices and nodes that nobody has; what it asks is the API server",
    ),
    (
        "drain::who_shares_a_volume_moves_to_another_node_together_when_theirs_is_drained",
        "it makes two nodes of its own, so that no other test's pods are drained; a real node is drained by the node test `data`",
    ),
];
