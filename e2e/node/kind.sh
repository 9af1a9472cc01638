#!/bin/sh
# `make e2e-kind`: the live tests, and those of real nodes that need no bench, on a kind cluster. Needs kind and a container engine.
set -eu
cd "$(dirname "$0")/../.."
for program in kind docker; do
  command -v $program > /dev/null || { echo "e2e-kind: $program is not on the PATH; \`make e2e\` needs neither kind nor Docker" >&2; exit 1; }
done
mkdir -p target/e2e/kind
printf '%s\n' 'apiVersion: audit.k8s.io/v1' 'kind: Policy' 'omitStages: [RequestReceived]' 'rules: [{level: Metadata}]' > target/e2e/kind/policy.yaml
: > target/e2e/kind/audit.log
e2e/cluster/build.sh target/cluster/bin # kubectl
e2e/node/build.sh
name=e2e-$$
stop() { kind delete cluster --name $name; }
trap stop EXIT
trap 'exit 1' INT TERM
kind create cluster --name $name --config kind-config.yaml --kubeconfig "$PWD/target/e2e/kind/kubeconfig" --wait 120s
kind load image-archive "$(cargo run --quiet --package e2e --bin standins)" --name $name
E2E_KUBECONFIG="$PWD/target/e2e/kind/kubeconfig" E2E_AUDIT_LOG="$PWD/target/e2e/kind/audit.log" e2e/node/test.sh
