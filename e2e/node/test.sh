#!/bin/sh
# `make e2e`: the tests that only real nodes can show, and all live tests, on a bench of its own; or on the one of E2E_KUBECONFIG
# and E2E_NODES; or on any cluster of E2E_KUBECONFIG that has the stand-ins, without what needs a bench. Ends with a table.
#   e2e/node/test.sh [FILTER...]
set -eu
cd "$(dirname "$0")/../.."
make -s image IMAGE_PROFILE=dev IMAGE=appstack.test/operator:1
cargo build --bin appstack
cargo test --package e2e --test node --test live --no-run
cargo build --package e2e --bin simulated
if [ -z "${E2E_KUBECONFIG:-}" ]; then
  e2e/cluster/build.sh target/cluster/bin
  e2e/node/build.sh
  name=e2e-$$
  stop() { target/tools/node down --name $name; }
  trap stop EXIT
  trap 'exit 1' INT TERM
  # It goes with this script, should that be killed. Says what is missing, if it cannot start.
  made=$(target/tools/node up --name $name --owner-pid $$ --cluster target/cluster/bin/appstack-cluster --images target/node-images.tar)
  E2E_KUBECONFIG=$(printf '%s\n' "$made" | sed -n 's/^KUBECONFIG=//p')
  E2E_AUDIT_LOG=$(printf '%s\n' "$made" | sed -n 's/^AUDIT_LOG=//p')
  E2E_NODES=$(printf '%s\n' "$made" | sed -n 's/^STATE=//p')
  export E2E_KUBECONFIG E2E_AUDIT_LOG E2E_NODES
fi
mkdir -p target/e2e
export E2E_TABLE="$PWD/target/e2e/table.tsv"
: > "$E2E_TABLE"
failed=0
tests() { RUST_TEST_THREADS=${RUST_TEST_THREADS:-2} cargo test --package e2e "$@" || failed=1; }
target/debug/simulated > target/e2e/simulated.tsv
# What a live test waits for is mostly a kubelet that waits as well.
live() {
  RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} tests --test live -- "$@" $(sed 's/^/--skip /; s/\t.*//' target/e2e/simulated.tsv)
}
if [ $# -gt 0 ]; then
  tests --test node -- "$@"
  live "$@"
elif [ -z "${E2E_NODES:-}" ]; then
  # No bench: nobody switches nodes off, dials from outside or has storage classes of its own there.
  tests --test node -- --skip trouble:: --skip data::a_seeded
  live
else
  # What takes a node or the cluster's DNS away has the bench to itself.
  tests --test node -- --skip trouble::
  tests --test node -- trouble::
  live
fi
awk -f e2e/node/table.awk "$E2E_TABLE" target/e2e/simulated.tsv
exit $failed
