#!/bin/sh
# go-tool.sh MODULE [PACKAGE]: builds a program that tests use, of the Go module in e2e/MODULE, if these sources have not
# been built yet, and makes target/tools/MODULE a link to it.
# The result is kept outside the repository, by the hash of the sources: checkouts and clean builds share it.
set -eu
module=$1
here=$(cd "$(dirname "$0")" && pwd)
link=$here/../target/tools/$module
cache=${XDG_CACHE_HOME:-$HOME/.cache}/appstack/$module
hash=$({ cat "$here/go-tool.sh" && cd "$here/$module" && find . -name 'go.*' -o -name '*.go' -o -name '*.yaml' | sort | xargs cat; } | sha256sum | cut -c1-16)

if [ ! -x "$cache/$hash" ]; then
	echo "building $module: a minute or two the first time" >&2
	mkdir -p "$cache"
	new=$(mktemp "$cache/new.XXXXXX")
	trap 'rm -f "$new"' EXIT
	trap 'exit 130' INT TERM HUP
	flags="-s -w"
	tags=
	# Kubernetes components compute what they emulate from their version, so it must be the real one.
	version=$(sed -n 's/^	k8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' "$here/$module/go.mod")
	if [ -n "$version" ]; then
		tags=grpcnotrace,notest # they hold more than is needed
		minor=${version#v*.} minor=${minor%%.*} major=${version#v} major=${major%%.*}
		for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
			flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
		done
	fi
	(cd "$here/$module" && CGO_ENABLED=0 go build -trimpath -tags "$tags" -ldflags "$flags" -o "$new" "${2:-.}")
	chmod 755 "$new"
	mv "$new" "$cache/$hash"
fi
touch "$cache/$hash" # in use
mkdir -p "$(dirname "$link")"
ln -sfn "$cache/$hash" "$link"
find "$cache" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
