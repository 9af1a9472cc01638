#!/bin/sh
# build.sh LINK: builds the control plane if these sources have not been built yet, and makes LINK
# a link to the directory with the result (appstack-cluster, kubectl).
# The result is kept outside the repository, by the hash of the sources: checkouts and clean builds share it.
set -eu
link=$1
here=$(dirname "$0")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/appstack/cluster
hash=$(cd "$here" && cat build.sh go.mod go.sum ./*.go sim/* | sha256sum | cut -c1-16)

point() {
	mkdir -p "$(dirname "$link")"
	ln -sfn "$cache/$hash" "$link"
}

if [ -x "$cache/$hash/appstack-cluster" ]; then
	touch "$cache/$hash" # in use: see the end
	point
	exit 0
fi

echo "building the control plane (etcd, Kubernetes 1.35, kwok): about 5 minutes the first time" >&2
mkdir -p "$cache"
new=$(mktemp -d "$cache/new.XXXXXX")
go=
trap 'status=$?; [ -z "$go" ] || kill "$go" 2>/dev/null || :; rm -rf "$new"; exit $status' EXIT
trap 'exit 130' INT TERM HUP

# The components compute what they emulate from their version, so it must be the real one.
version=$(sed -n 's/^	k8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' "$here/go.mod")
major=${version#v} major=${major%%.*}
minor=${version#v*.} minor=${minor%%.*}
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
done

(cd "$here" && CGO_ENABLED=0 exec go build -v -trimpath -tags grpcnotrace,notest -ldflags "$flags" -o "$new/appstack-cluster" .) >"$new/log" 2>&1 &
go=$!
seconds=0
while kill -0 $go 2>/dev/null; do
	sleep 1
	seconds=$((seconds + 1))
	[ $((seconds % 30)) -ne 0 ] ||
		printf '  %d:%02d  %d packages, now %s\n' $((seconds / 60)) $((seconds % 60)) "$(wc -l <"$new/log")" "$(tail -n 1 "$new/log")" >&2
done
status=0
wait $go || status=$?
go=
if [ $status -ne 0 ]; then
	echo "building the control plane failed; the last lines of the go tool:" >&2
	tail -n 20 "$new/log" >&2
	exit 1
fi
rm "$new/log"
ln -s appstack-cluster "$new/kubectl"
chmod 755 "$new"
mv -T "$new" "$cache/$hash" 2>/dev/null || [ -x "$cache/$hash/appstack-cluster" ] # another build was faster
point
find "$cache" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
