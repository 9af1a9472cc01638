#!/bin/sh
# `make e2e-kind [KIND_NODE=kindest/node:v1.35.0]`: the live tests, and those of real nodes that need no bench, on a kind cluster, with the
# operator's image loaded. Needs kind and a container engine. Without KIND_NODE, the Kubernetes that kind is made for.
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
kind create cluster --name $name ${KIND_NODE:+--image "$KIND_NODE"} --config kind-config.yaml --kubeconfig "$PWD/target/e2e/kind/kubeconfig" --wait 120s
make -s image IMAGE_PROFILE=dev IMAGE=appstack.test/operator:1
kind load image-archive target/image/appstack.tar --name $name
kind load image-archive "$(cargo run --quiet --package e2e --bin standins)" --name $name
E2E_KUBECONFIG="$PWD/target/e2e/kind/kubeconfig" E2E_AUDIT_LOG="$PWD/target/e2e/kind/audit.log" e2e/node/test.sh
