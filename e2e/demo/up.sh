#!/bin/sh
# `make demo`: control plane, operator, and a stack rolled out before your eyes.
#   make demo                    an embedded control plane with simulated pods, and the Finity sample
#   make demo CLUSTER=current    the cluster of your current kubectl context, and the hello sample (asks first)
set -eu
cd "$(dirname "$0")/../.."
state=target/demo
mkdir -p "$state"
say() { printf '%s\n' "$*" >&2; }
fail() { say "demo: $*"; exit 1; }

# An operator of an earlier demo would hold the lease.
[ ! -e "$state/operator.pid" ] || sh e2e/demo/stop-operator.sh

if [ "${CLUSTER:-}" = current ]; then
  kubectl=kubectl
  command -v kubectl >/dev/null || fail "CLUSTER=current needs kubectl on the PATH"
  context=$(kubectl config current-context) || fail "there is no current kubectl context"
  server=$(kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}')
  say "This installs the AppStack CustomResourceDefinition and runs a stack in namespace 'hello' of"
  say "  context $context"
  say "  server  $server"
  [ -t 0 ] || fail "CLUSTER=current wants a yes from a terminal"
  printf 'Go on? [y/N] ' >&2
  read -r answer
  case $answer in y | Y | yes) ;; *) fail "nothing was done" ;; esac
  stack=hello
elif [ -n "${CLUSTER:-}" ]; then
  fail "CLUSTER=$CLUSTER: only 'current' is known"
else
  stack=finity
fi

say "Building the operator (Rust, about 2 minutes the first time)$([ $stack = hello ] || printf ' and beside it a control plane (Go, about 5 minutes the first time)')"
if [ $stack = finity ]; then
  e2e/cluster/build.sh target/cluster/bin &
  control_plane=$!
  trap 'kill $control_plane 2>/dev/null || true' INT TERM
fi
cargo build --bin appstack
if [ $stack = finity ]; then
  wait $control_plane || fail "the control plane could not be built; its messages are above"
  trap - INT TERM
  addresses=$(target/cluster/bin/appstack-cluster up --name demo)
  KUBECONFIG=$(printf '%s\n' "$addresses" | sed -n 's/^KUBECONFIG=//p')
  export KUBECONFIG
  kubectl=$PWD/target/cluster/bin/kubectl
fi
appstack=$PWD/target/debug/appstack

"$appstack" crd | $kubectl apply --server-side -f - >/dev/null
$kubectl wait --for=condition=Established crd/appstacks.appstack.dev --timeout=30s >/dev/null
# A demo run again starts from nothing.
$kubectl delete namespace $stack --ignore-not-found --wait >/dev/null 2>&1
$kubectl create namespace $stack >/dev/null

"$appstack" run --watch-namespace $stack --identity demo --log-format text >"$state/operator.log" 2>&1 &
echo $! >"$state/operator.pid"
echo "$stack" >"$state/namespace"

if [ $stack = finity ]; then
  $kubectl kustomize --load-restrictor=LoadRestrictionsNone e2e/demo | $kubectl apply --server-side -f - >/dev/null
else
  $kubectl apply --server-side -n $stack -f manifests/samples/hello.yaml >/dev/null
fi
say ""
"$appstack" status $stack -n $stack --until-ready --timeout 300 || fail "the stack did not become ready; the operator's log is $state/operator.log"
use=
[ $stack = hello ] || use="KUBECONFIG=$KUBECONFIG "
kubectl=${kubectl#"$PWD/"}
if [ $stack = hello ]; then
  service=web
  echo
  echo "The operator goes on running until 'make demo-down'. Three commands to try:"
else
  service=finity-db
  echo
  echo "pods are simulated; order, objects and status are real (for real pods, on your own cluster: make demo CLUSTER=current)"
  echo "The operator goes on running until 'make demo-down'."
  echo "KUBECONFIG=$KUBECONFIG"
  echo "Three commands to try:"
fi
cat <<EOF
  ${use}$kubectl -n $stack get astk,deploy,svc,pvc,netpol
  ${use}target/debug/appstack status $stack -n $stack --watch
  ${use}$kubectl -n $stack patch astk $stack --type merge -p '{"spec":{"services":{"$service":{"stopGracePeriod":"20s"}}}}'
EOF
