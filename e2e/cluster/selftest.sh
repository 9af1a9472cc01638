#!/bin/sh
# selftest.sh BIN_DIR: checks the control plane and the simulator against what their documentation promises.
set -eu
PATH=$(cd "$1" && pwd):$PATH
here=$(cd "$(dirname "$0")" && pwd)
one=selftest-$$-1 two=selftest-$$-2
trap 'status=$?; appstack-cluster down --name $one; appstack-cluster down --name $two; exit $status' EXIT
trap 'exit 130' INT TERM HUP

fail() {
	echo "FAILED: $*" >&2
	kubectl get pods,pvc,jobs,events -o wide >&2 || :
	exit 1
}
get() { kubectl get "$1" -o "jsonpath=$2"; }
# expect WHAT PATH VALUE: waits at most 10 s
expect() {
	tries=0
	until [ "$(get "$1" "$2" 2>/dev/null)" = "$3" ]; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || fail "$1 $2 is '$(get "$1" "$2")', not '$3'"
		sleep 0.1
	done
	echo "ok: $1 $2 = $3"
}
ready='{.status.conditions[?(@.type=="Ready")].status}'
waiting='{.status.containerStatuses[0].state.waiting.reason}'
message='{.status.containerStatuses[0].state.waiting.message}'
restarts='{.status.containerStatuses[0].restartCount}'
# event POD REASON MESSAGE: waits at most 10 s for it, from the kubelet
event() {
	tries=0
	until kubectl get events --field-selector "involvedObject.name=$1,reason=$2,type=Warning,reportingComponent=kubelet" \
		-o 'jsonpath={range .items[*]}{.message}{"\n"}{end}' | grep -qxF "$3"; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || fail "no event $2 of pod $1 with '$3'"
		sleep 0.1
	done
	echo "ok: event of pod/$1: $3"
}
processes() { cat "$1"/*.pid | cut -d' ' -f1; }
# gone DIR PROCESS...: the state and the processes; one that waits to be reaped has ended
gone() {
	[ ! -e "$1" ] || return 1
	shift
	for pid; do
		case $(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null) in
		'' | Z) ;;
		*) return 1 ;;
		esac
	done
}

echo "== two clusters side by side, started at once; one owned by a process"
sleep 600 &
owner=$!
output=$(mktemp)
appstack-cluster up --name $two --nodes 1 --owner-pid $owner >"$output" &
starting=$!
eval "export $(appstack-cluster up --name $one | tr '\n' ' ')"
wait $starting
other=$(sed -n 's/^KUBECONFIG=//p' "$output")
rm "$output"
[ "$(kubectl get nodes -o name | wc -l) $(kubectl --kubeconfig "$other" get nodes -o name | wc -l)" = "3 1" ] || fail "nodes"
[ "$(appstack-cluster up --name $one)" = "$(printf 'KUBECONFIG=%s\nAUDIT_LOG=%s' "$KUBECONFIG" "$AUDIT_LOG")" ] || fail "up again"
echo "ok: up again says the same"

echo "== the owner's end is the cluster's end"
started=$(processes "$(dirname "$other")")
kill $owner
tries=0
until gone "$(dirname "$other")" $started; do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || fail "cluster $two outlives its owner"
	sleep 0.1
done
echo "ok"

echo "== workloads, claims, jobs"
kubectl apply -f "$here/selftest.yaml" >/dev/null
kubectl wait --for=condition=Available --timeout=10s deployment/web >/dev/null || fail "deployment web"
echo "ok: deployment web Available"
expect statefulset/db '{.status.readyReplicas}' 2
expect pvc/data-db-1 '{.status.phase}' Bound
expect pvc/immediate '{.status.phase}' Bound
expect job/good '{.status.succeeded}' 2
expect job/bad '{.status.conditions[?(@.type=="Failed")].reason}' BackoffLimitExceeded
expect daemonset/agent '{.status.numberReady}' 3
expect pdb/web '{.status.disruptionsAllowed}' 1
expect pvc/ephemeral-scratch '{.status.phase}' Bound
expect pod/ephemeral "$ready" True
kubectl wait --for=delete --timeout=10s job/short-lived >/dev/null || fail "job short-lived is left"
expect pod/gpu "$ready" True
expect pod/gpu-elsewhere "$ready" True
[ "$(get pod/gpu '{.spec.nodeName}')" != "$(get pod/gpu-elsewhere '{.spec.nodeName}')" ] || fail "eight GPUs on one node"
expect pod/gpu-too-many '{.status.conditions[?(@.type=="PodScheduled")].reason}' Unschedulable
expect pod/code '{.status.containerStatuses[*].state.terminated.exitCode}' '3 3'
expect pod/code '{.status.phase}' Failed
expect pod/init "$ready" True
expect pod/init '{.status.initContainerStatuses[*].ready}' 'true true'
expect pod/image "$waiting" ImagePullBackOff
expect pod/config "$waiting" CreateContainerConfigError
expect pod/evicted '{.status.reason}' Evicted
expect pod/three-crashes "$restarts" 3
expect pod/three-crashes "$ready" True
expect pod/crashloop '{.status.containerStatuses[0].lastState.terminated.exitCode}' 137

echo "== Secrets and ConfigMaps that are missing, then not"
expect pod/refers "$ready" True
expect pod/no-secret "$waiting" CreateContainerConfigError
expect pod/no-secret "$message" 'secret "late" not found'
expect pod/no-secret '{.status.phase} {.status.containerStatuses[1].state.waiting}' 'Pending '
event no-secret Failed 'Error: secret "late" not found'
expect pod/no-config '{.status.initContainerStatuses[1].state.waiting.message}' 'configmap "late" not found'
expect pod/no-config '{.status.initContainerStatuses[0].state.terminated.reason}' Completed
expect pod/no-config "$waiting" PodInitializing
expect pod/no-volume "$waiting" ContainerCreating
expect pod/no-volume "$message" ''
event no-volume FailedMount 'MountVolume.SetUp failed for volume "one" : secret "late" not found'
kubectl create secret generic late --from-literal=other=x >/dev/null
expect pod/no-secret "$message" "couldn't find key password in Secret default/late"
event no-volume FailedMount 'MountVolume.SetUp failed for volume "one" : references non-existent secret key: password'
kubectl create configmap late --from-literal=other=x >/dev/null
expect pod/no-config "$message" "couldn't find key setting in ConfigMap default/late"
expect pod/no-config '{.status.conditions[?(@.type=="Initialized")].status}' True
kubectl delete configmap late >/dev/null
kubectl patch secret late -p '{"stringData":{"password":"x"}}' >/dev/null
expect pod/no-secret "$ready" True
event no-volume FailedMount 'MountVolume.SetUp failed for volume "all" : configmap "late" not found'
kubectl create configmap late --from-literal=setting=x >/dev/null
expect pod/no-config "$ready" True
expect pod/no-volume "$ready" True
kubectl delete secret/late configmap/late >/dev/null
expect pod/no-secret "$ready" True

echo "== what must not happen"
expect pod/never "$ready" False
expect pod/pending '{.status.phase}' Pending
expect pvc/unused '{.status.phase}' Pending
expect pvc/never-bind '{.status.phase}' Pending
expect pod/slow "$ready" True
# By its own times, so that a busy machine makes no difference. They are in whole seconds.
since=$(date -d "$(get pod/slow '{.status.startTime}')" +%s)
until=$(date -d "$(get pod/slow '{.status.conditions[?(@.type=="Ready")].lastTransitionTime}')" +%s)
[ $((until - since)) -ge 5 ] || fail "pod/slow is Ready after $((until - since)) s, not 6"
echo "ok: but not before 6 s"

echo "== a Job whose first pod fails: the second comes 10 s later"
expect job/fails-once '{.status.failed}' 1
kubectl wait --for=condition=Complete --timeout=20s job/fails-once >/dev/null || fail "job fails-once"
expect job/fails-once '{.status.failed} {.status.succeeded}' '1 1'

echo "== live steering"
annotate() { kubectl annotate --overwrite "$@" >/dev/null; }
annotate pod/never sim.appstack.dev/mode=
expect pod/never "$ready" True
annotate pod/never sim.appstack.dev/mode-
expect pod/never "$ready" False
annotate pod/image sim.appstack.dev/mode=none
expect pod/image "$ready" True
annotate pod/crashloop sim.appstack.dev/mode=none
expect pod/crashloop "$ready" True
annotate pod/init sim.appstack.dev/mode=unready
expect pod/init "$ready" False

echo "== growth of a claim"
kubectl patch pvc data-db-0 -p '{"spec":{"resources":{"requests":{"storage":"3072Mi"}}}}' >/dev/null
expect pvc/data-db-0 '{.status.capacity.storage}' 3Gi
expect "pv/$(get pvc/data-db-0 '{.spec.volumeName}')" '{.spec.capacity.storage}' 3Gi

echo "== deletion, and the volume with its claim"
volume=$(get pvc/immediate '{.spec.volumeName}')
kubectl delete pvc/immediate pod/init --timeout=10s >/dev/null || fail "delete"
kubectl wait --for=delete --timeout=10s "pv/$volume" >/dev/null || fail "pv $volume is left"
echo "ok"

echo "== audit log"
kubectl get configmaps --request-timeout=7s >/dev/null
grep -q '"userAgent":"kubectl/v1.35.*"resource":"configmaps"' "$AUDIT_LOG" || fail "no kubectl in $AUDIT_LOG"
! grep -q '"stage":"RequestReceived"' "$AUDIT_LOG" || fail "RequestReceived in $AUDIT_LOG"
echo "ok"

echo "== down leaves nothing"
started=$(processes "$(dirname "$KUBECONFIG")")
appstack-cluster down --name $one
gone "$(dirname "$KUBECONFIG")" $started || fail "something of $one is left"
appstack-cluster down --name $one # nothing to stop is no failure
echo "all passed"
