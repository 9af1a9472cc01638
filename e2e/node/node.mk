# Real nodes on this machine, for tests that only they can run; see e2e/node/README.md. Included by the Makefile at the
# top of the repository.
#   make node-packages          get what is needed from the distribution (apt-get, root)
#   make node-build             build the nodes and their images (about 15 minutes the first time)
#   make node-up [NAME=dev]     start two nodes and a control plane (root); prints KUBECONFIG=... and more
#   make node-down [NAME=dev]   end them (NAME=all: all of this machine)
#   make e2e                    the live tests, and those that need real nodes, on a pair of their own
#   make e2e-kind               the same without what needs a bench, on kind (a container engine)
#   make node-selftest          check the nodes themselves, and that nothing is left of them

NODE_NAME = $(if $(findstring command,$(origin NAME)),$(NAME),dev)
NODE := target/tools/node

.PHONY: e2e e2e-kind node-packages node-build node-up node-down node-selftest

node-build: cluster-build
	@e2e/node/build.sh

node-packages:
	@e2e/go-tool.sh node
	apt-get update
	apt-get install --yes --no-install-recommends $$($(NODE) packages)

node-up: node-build
	@$(NODE) up --name $(NODE_NAME) --cluster target/cluster/bin/appstack-cluster --images target/node-images.tar

# Not worth a build: what has never been built has never been started.
node-down:
	@if [ -x $(NODE) ]; then \
		$(NODE) down $(if $(filter all,$(NODE_NAME)),--all,--name $(NODE_NAME)); \
	else \
		echo "node-down: no nodes were built here (make node-build)" >&2; \
	fi

e2e:
	@e2e/node/test.sh

e2e-kind:
	@KIND_NODE='$(KIND_NODE)' e2e/node/kind.sh

node-selftest: node-build
	@e2e/node/selftest.sh
