# The embedded control plane for end-to-end tests. Included by the Makefile at the top of the repository.
#   make cluster-build            build it and link it as target/cluster/bin (about 5 minutes the first time)
#   make cluster-up [NAME=dev]    start a cluster; prints KUBECONFIG=... and AUDIT_LOG=...
#   make cluster-down [NAME=dev]  stop it (NAME=all: all clusters of this user)
#   make cluster-selftest         check the control plane and the simulator themselves (20 s)

CLUSTER_BIN := target/cluster/bin
# Not from the environment, where NAME may mean anything.
CLUSTER_NAME = $(if $(findstring command,$(origin NAME)),$(NAME),dev)

.PHONY: cluster-build cluster-up cluster-down cluster-selftest

cluster-build:
	@e2e/cluster/build.sh $(CLUSTER_BIN)

cluster-up: cluster-build
	@$(CLUSTER_BIN)/appstack-cluster up --name $(CLUSTER_NAME)

# Not worth a build: what has never been built has never been started.
cluster-down:
	@if [ -x $(CLUSTER_BIN)/appstack-cluster ]; then \
		$(CLUSTER_BIN)/appstack-cluster down $(if $(filter all,$(CLUSTER_NAME)),--all,--name $(CLUSTER_NAME)); \
	else \
		echo "cluster-down: no control plane was built here (make cluster-build)" >&2; \
	fi

cluster-selftest: cluster-build
	@e2e/cluster/selftest.sh $(CLUSTER_BIN)
