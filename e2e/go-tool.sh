#!/bin/sh
# go-tool.sh MODULE [PACKAGE]: builds a program that tests use, of the Go module in e2e/MODULE, if these sources have not
# been built yet, and makes target/tools/MODULE a link to it.
# The result is kept outside the repository, by the hash of the sources: checkouts and clean builds share it.
set -eu
module=$1
here=$(cd "$(dirname "$0")" && pwd)
link=$here/../target/tools/$module
cache=${XDG_CACHE_HOME:-$HOME/.cache}/appstack/$module
hash=$({ cat "$here/go-tool.sh" && cd "$here/$module" && find . -name 'go.*' -o -name '*.go' | sort | xargs cat; } | sha256sum | cut -c1-16)

if [ ! -x "$cache/$hash" ]; then
	echo "building $module: a minute or two the first time" >&2
	mkdir -p "$cache"
	new=$(mktemp "$cache/new.XXXXXX")
	trap 'rm -f "$new"' EXIT
	trap 'exit 130' INT TERM HUP
	(cd "$here/$module" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$new" "${2:-.}")
	chmod 755 "$new"
	mv "$new" "$cache/$hash"
fi
touch "$cache/$hash" # in use
mkdir -p "$(dirname "$link")"
ln -sfn "$cache/$hash" "$link"
find "$cache" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
