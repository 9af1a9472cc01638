#!/bin/sh
# `make test`: everything, on a control plane of its own. The Go build runs beside the Rust build.
set -eu
cd "$(dirname "$0")/.."
began=$(date +%s)
say() { printf '== %s (%s s)\n' "$*" "$(($(date +%s) - began))" >&2; }

# One after the other: they have most packages in common.
build_go() {
  trap 'kill $building 2>/dev/null; exit 130' INT TERM
  build() {
    "$@" &
    building=$!
    wait $building
  }
  [ -n "${E2E_KUBECONFIG:-}" ] || build e2e/cluster/build.sh target/cluster/bin
  build e2e/go-tool.sh helm helm.sh/helm/v4/cmd/helm
  build e2e/go-tool.sh kustomize sigs.k8s.io/kustomize/kustomize/v5
  build e2e/go-tool.sh policy
  build e2e/go-tool.sh kstatus
  build e2e/go-tool.sh argocd
  build e2e/go-tool.sh prom
  build e2e/go-tool.sh compose
  build e2e/go-tool.sh lint github.com/zegl/kube-score/cmd/kube-score
}
build_go &
go=$!
trap 'kill $go 2>/dev/null || true' INT TERM
say "building the operator and the tests"
cargo test --workspace --no-run
cargo build --bin appstack
say "tests that need no cluster"
cargo test --package appstack
cargo test --package e2e --lib
say "laws: histories of random stacks on a simulated cluster"
LAWS_HISTORIES=${LAWS_HISTORIES:-10000} cargo test --package appstack --lib simulated -- --nocapture
wait $go
cargo test --package e2e --test oracle --test manifests --test argocd --test compose --test imported -- --nocapture

say "the chart: what it renders, and a release from install to uninstall on a control plane of its own"
cargo test --package e2e --test chart -- --nocapture

if [ -z "${E2E_KUBECONFIG:-}" ]; then
  name=test-$$
  stop() { target/cluster/bin/appstack-cluster down --name $name >&2; }
  trap stop EXIT
  trap 'exit 1' INT TERM
  say "starting a control plane"
  # It goes with this script, should that be killed.
  addresses=$(target/cluster/bin/appstack-cluster up --name $name --owner-pid $$)
  E2E_KUBECONFIG=$(printf '%s\n' "$addresses" | sed -n 's/^KUBECONFIG=//p')
  E2E_AUDIT_LOG=$(printf '%s\n' "$addresses" | sed -n 's/^AUDIT_LOG=//p')
  export E2E_KUBECONFIG E2E_AUDIT_LOG
fi
say "walls: what the model says, and what the policies let through"
cargo test --package e2e --test walls -- --nocapture
say "live tests on $E2E_KUBECONFIG"
cargo test --package e2e --test gateway
RUST_TEST_THREADS=${RUST_TEST_THREADS:-3} cargo test --package e2e --test live
[ -z "${E2E_AUDIT_LOG:-}" ] || {
  say "rights: what the audit log says of the operators"
  cargo test --package e2e --test used_rights -- --nocapture
}
say "all passed"
