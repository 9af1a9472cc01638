#!/bin/sh
# selftest.sh: checks the nodes against what README.md promises, and that nothing is left of them, whatever ends them.
set -eu
cd "$(dirname "$0")/../.."
name=selftest
node() {
	command=$1
	shift
	target/tools/node "$command" --name $name "$@"
}
up() { node up --cluster target/cluster/bin/appstack-cluster --images target/node-images.tar "$@"; }
kubectl() { target/cluster/bin/kubectl "$@"; }
work=$(mktemp -d)
trap 'status=$?; node down; rm -rf "$work"; exit $status' EXIT
trap 'exit 130' INT TERM HUP
fail() {
	echo "FAILED: $*" >&2
	if [ -n "${KUBECONFIG:-}" ]; then
		kubectl get pods,pvc -A >&2 || :
		kubectl get events -A --sort-by=.lastTimestamp 2>&1 | tail -15 | cut -c1-300 >&2
	fi
	exit 1
}
# expect WHAT COMMAND...: waits at most 30 s until it succeeds
expect() {
	what=$1
	shift
	tries=0
	until "$@" >"$work/said" 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 150 ] || fail "$what: $(cat "$work/said")"
		sleep 0.2
	done
	echo "ok: $what"
}

# snapshot: all that a bench could leave on a machine. Numbers that change by themselves are left out.
snapshot() {
	echo "== mounts"
	cut -d' ' -f1-4 /proc/mounts | sort
	echo "== namespaces"
	for process in /proc/[0-9]*; do
		grep -q '^State:.[ZX]' "$process/status" && continue # it only waits to be reaped
		for kind in net mnt pid uts ipc; do readlink "$process/ns/$kind" || :; done
	done 2>/dev/null | sort -u
	ls /run/netns 2>/dev/null || :
	echo "== network"
	ip -o link | cut -d: -f2
	ip -o address | awk '{print $2, $4}'
	ip route
	echo "== firewall"
	nft list ruleset
	iptables-save | grep -v '^#' || :
	ipset list -name
	echo "== cgroups"
	find /sys/fs/cgroup -type d | sort
	echo "== sysctls"
	find /proc/sys/vm /proc/sys/kernel /proc/sys/net /proc/sys/fs -type f ! -path '*random*' ! -name ns_last_pid ! -name '*_count' ! -name nr ! -path '*inode*' \
		! -name file-nr ! -name 'dentry*' ! -name aio-nr ! -name '*max_sample*' ! -name 'perf_*' ! -path '*/neigh/*' ! -name stat_refresh \
		! -name '*flush*' ! -name '*drop_caches*' ! -path '*binfmt*' ! -name 'compact_memory' | sort | while read -r file; do
		echo "$file $(cat "$file" 2>/dev/null | tr '\0\n' '  ')"
	done
	echo "== files"
	ls -d /dev/shm/appstack-nodes /run/containerd /var/lib/kubelet /var/lib/cni /var/lib/containerd /var/lib/volumes /var/log/pods /var/log/containers \
		/etc/cni /usr/libexec/kubernetes 2>/dev/null || :
	find / /dev /etc /opt /usr /srv /mnt -maxdepth 1 | sort
	echo "== processes"
	for process in /proc/[0-9]*; do
		case $(readlink "$process/cwd" 2>/dev/null || :) in */appstack-nodes/*) echo "$process $(cat "$process/comm")" ;; esac
		case $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null || :) in
		'appstack-node '* | 'kubelet '* | 'kube-proxy '* | containerd* | runc*) echo "$process $(tr '\0' ' ' <"$process/cmdline")" ;;
		esac
	done
}
# nothing_left AFTER_WHAT
nothing_left() {
	snapshot >"$work/after" 2>/dev/null
	diff "$work/before" "$work/after" >"$work/left" || fail "after $1 the machine is not as it was (< before, > after):
$(head -50 "$work/left")"
	echo "ok: nothing is left after $1"
}

echo "== before"
node down
snapshot >"$work/before" 2>/dev/null
[ "$(grep -c . "$work/before")" -gt 100 ] || fail "the snapshot sees nothing"

echo "== up"
began=$(date +%s)
eval "export $(up | tr '\n' ' ')"
took=$(($(date +%s) - began))
[ $took -lt 30 ] || fail "up took $took s"
echo "ok: up in $took s"
[ "$(up | head -1)" = "KUBECONFIG=$KUBECONFIG" ] || fail "up again says something else"
echo "ok: up again says the same"
[ "$(kubectl get nodes -o name | wc -l)" = 2 ] || fail "not two nodes"

echo "== what pods do"
kubectl apply -f e2e/node/selftest.yaml >/dev/null
expect "a pod is ready on each node, by its probes" kubectl wait --for=condition=Ready --timeout=1s pod/server pod/client pod/far
dial() { # dial FROM HOST PORT
	echo "[{\"host\":\"$2\",\"port\":$3}]" | kubectl exec -i "$1" -- app dial | sed 's/.*"outcome":"\([^"]*\)".*/\1/'
}
is() { # is WANT COMMAND...
	want=$1
	shift
	got=$("$@") || :
	[ "$got" = "$want" ] || { echo "'$got', not '$want'"; return 1; }
}
address=$(kubectl get pod server -o 'jsonpath={.status.podIP}')
expect "by name, from the same node" is answered dial client server 80
expect "by name, from the other node" is answered dial far server 80
expect "by address" is answered dial far "$address" 8080
expect "the world outside" is connected dial client outside.example 80
expect "a name that is none" is 'no such name' dial client nobody 80
kubectl apply -f e2e/node/selftest-wall.yaml >/dev/null
expect "a policy shuts out a pod of the same node" is refused dial client "$address" 8080
expect "and one of the other node" is refused dial far "$address" 8080
expect "and lets through whom it names" is answered dial friend "$address" 8080
expect "outside is a place to run things" is outside node exec outside hostname
echo "== volumes"
kubectl exec client -- app append /data/log -count 3 >/dev/null
kubectl exec far -- app append /data/log -count 2 >/dev/null
expect "one volume is the same on both nodes, and fsGroup may write" is 5 sh -c "target/cluster/bin/kubectl exec client -- app verify /data/log | sed 's/.*\"last\":\([0-9]*\).*/\1/'"
full() { ! kubectl exec client -- dd if=/dev/zero of=/small/file bs=1M count=4; }
expect "a volume is full when it is" full
kubectl delete -f e2e/node/selftest.yaml --wait=true >/dev/null
expect "volumes go with their claims" is '' ls "$STATE/volumes"
echo "== trouble"
node daemon restart node-0 kubelet
expect "the kubelet comes back" kubectl wait --for=condition=Ready --timeout=1s nodes --all
node node stop node-1
expect "a node that is off is missed" kubectl wait --for=condition=Ready=Unknown --timeout=1s node/node-1
node node start node-1
expect "it comes back" kubectl wait --for=condition=Ready --timeout=1s node/node-1
expect "pod metrics" kubectl top pods -n kube-system
node down
unset KUBECONFIG
nothing_left "down"

echo "== ends of all kinds"
for after in 0.1 0.5 2 4 6 8; do
	for victim in up serve site; do
		[ $victim = up ] || [ $after = 0.5 ] || [ $after = 6 ] || continue
		up >/dev/null 2>&1 &
		launcher=$!
		sleep $after
		case $victim in
		up) kill -9 $(pgrep -P $launcher) $launcher 2>/dev/null || : ;; # the shell of this function, and the program
		*) kill -9 "$(pgrep -f "^appstack-node $victim --name $name")" 2>/dev/null || : ;;
		esac
		wait $launcher 2>/dev/null || :
		node down 2>/dev/null
		nothing_left "the end of $victim after $after s, and down"
	done
done
sleep 600 &
owner=$!
up --owner-pid $owner >/dev/null 2>&1
kill $owner
expect "the owner's end is the bench's end" sh -c "! [ -e $STATE ]"
sleep 0.5
nothing_left "that"
echo "all passed"
