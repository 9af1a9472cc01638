//! Prints the live tests that stay on simulated nodes, a line each: the test, a tab, and why.

fn main() {
    for (test, why) in e2e::simulated::ONLY_SIMULATED {
        println!("{test}\t{why}");
    }
}
