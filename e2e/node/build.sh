#!/bin/sh
# build.sh: builds the nodes, what runs on them, and the archive of their images. Nothing is done twice.
set -eu
cd "$(dirname "$0")/../.."
e2e/go-tool.sh node
[ "$(id -u)" != 0 ] || target/tools/node check # before the rest is built for nothing
e2e/go-tool.sh app
e2e/go-tool.sh pack
e2e/go-tool.sh coredns
e2e/go-tool.sh metrics-server sigs.k8s.io/metrics-server/cmd/metrics-server
# The links lead to programs by the hash of their sources.
made=$(for part in pack app coredns metrics-server; do readlink target/tools/$part; done; cat e2e/node/images.json)
if [ ! -e target/node-images.tar ] || [ "$made" != "$(cat target/node-images.made 2>/dev/null)" ]; then
	target/tools/pack e2e/node/images.json target/node-images.tar
	printf '%s' "$made" >target/node-images.made
fi
