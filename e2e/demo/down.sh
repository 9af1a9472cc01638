#!/bin/sh
# `make demo-down`: removes what `make demo` made. A cluster of yours keeps the CustomResourceDefinition: other stacks may use it.
set -eu
cd "$(dirname "$0")/../.."
namespace=$(cat target/demo/namespace 2>/dev/null || true)
sh e2e/demo/stop-operator.sh
if [ "$namespace" = hello ]; then
  kubectl delete namespace hello --ignore-not-found
  printf "The CustomResourceDefinition stays (kubectl delete crd appstacks.appstack.dev removes it and every stack).\n" >&2
elif [ -x target/cluster/bin/appstack-cluster ]; then
  target/cluster/bin/appstack-cluster down --name demo
fi
rm -rf target/demo
