# The two that a newcomer needs: `make demo` and `make test`. Both build what they need first.
.PHONY: help demo demo-down test build generate golden laws lint lint-manifests bench-gate bench-render bench-compose fuzz-compose image image-program sbom

help:
	@echo "make demo          a stack rolled out before your eyes (CLUSTER=current: on your own cluster)"
	@echo "make demo-down     removes what the demo made"
	@echo "make test          all tests, live ones included (E2E_KUBECONFIG: on that cluster)"
	@echo "make e2e           live tests on real nodes, and what only those can show (Linux, root)"
	@echo "make build         target/release/appstack"
	@echo "make generate      files that come from the code: crds/appstack.yaml, manifests/*.yaml, charts/appstack/files, docs/x-appstack.schema.json, pages and tables of docs"
	@echo "make image         target/image/appstack.tar, the operator's image, made without a container engine"
	@echo "make sbom          target/appstack.cdx.json, what is in the program (cargo-cyclonedx)"
	@echo "make golden        writes the golden files anew; read the diff"
	@echo "make laws          10,000 histories of random stacks on a simulated cluster (LAWS_SEED=random: others than last time)"
	@echo "make fuzz-compose  100,000 Compose projects with random faults (COMPOSE_FUZZ: how many)"
	@echo "make lint          formatting and lints"
	@echo "make lint-manifests kube-score over what the samples become, and over the chart"
	@echo "make bench-gate    how fast a dependant follows its dependency"
	@echo "make bench-render  how long it takes to render a stack of 500 services in 50 networks"
	@echo "make bench-compose how long it takes to load a Compose file of 1,000 services, beside kompose"
	@echo "make cluster-up    a control plane with simulated nodes (NAME=dev); make cluster-down stops it"
	@echo "make node-up       two real nodes on this machine (Linux, root); make node-down ends them"

demo:
	@CLUSTER='$(CLUSTER)' e2e/demo/up.sh

demo-down:
	@e2e/demo/down.sh

test:
	@e2e/test.sh

build:
	cargo build --release --bin appstack

# A static program: the C library is in it, so it runs in an image that has nothing else. IMAGE_PROFILE=dev builds quicker.
IMAGE_PROFILE = release
IMAGE = ghcr.io/appstack-dev/appstack:$(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
MACHINE = $(patsubst aarch64,arm64,$(patsubst x86_64,amd64,$(shell uname -m)))

image-program:
	cargo rustc --profile $(IMAGE_PROFILE) --bin appstack -- -C target-feature=+crt-static -C strip=symbols
	mkdir -p target/image/$(MACHINE)
	cp target/$(patsubst dev,debug,$(IMAGE_PROFILE))/appstack target/image/$(MACHINE)/appstack

image: image-program
	@e2e/go-tool.sh pack
	target/tools/pack Containerfile $(IMAGE) target/image/appstack.tar

# What is in the program, as CycloneDX: cargo install --locked cargo-cyclonedx
sbom:
	cargo cyclonedx --manifest-path Cargo.toml --format json --target all --override-filename appstack.cdx
	mv appstack.cdx.json target/appstack.cdx.json
	rm -f e2e/appstack.cdx.json

generate:
	cargo run --quiet --bin appstack -- crd > target/appstack-crd.yaml
	mv target/appstack-crd.yaml crds/appstack.yaml
	cp crds/appstack.yaml charts/appstack/files/crd.yaml
	cargo run --quiet --bin appstack -- rbac --chart > target/appstack-rbac.yaml
	mv target/appstack-rbac.yaml charts/appstack/files/rbac.yaml
	cp manifests/monitoring/alerts.yaml manifests/monitoring/dashboard.json charts/appstack/files/
	cargo run --quiet --bin appstack -- rbac > target/appstack-rbac.yaml
	mv target/appstack-rbac.yaml manifests/rbac.yaml
	cargo run --quiet --bin appstack -- manifests > target/appstack-install.yaml
	mv target/appstack-install.yaml manifests/install.yaml
	cargo run --quiet --bin appstack -- manifests --namespace appstack --watch-namespace appstack > target/appstack-install.yaml
	mv target/appstack-install.yaml manifests/install-namespaced.yaml
	cargo run --quiet --bin appstack -- schema --x-appstack > target/x-appstack.schema.json
	mv target/x-appstack.schema.json docs/x-appstack.schema.json
	UPDATE_GOLDEN=1 cargo test --quiet --lib generate::

golden:
	UPDATE_GOLDEN=1 cargo test --quiet --lib golden

laws:
	LAWS_HISTORIES=$${LAWS_HISTORIES:-10000} cargo test --quiet --package appstack --lib simulated -- --nocapture

fuzz-compose:
	COMPOSE_FUZZ=$${COMPOSE_FUZZ:-100000} cargo test --quiet --package appstack --lib compose::hostile_tests

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@e2e/go-tool.sh actionlint github.com/rhysd/actionlint/cmd/actionlint
	target/tools/actionlint
	@test -z "$$(gofmt -l e2e)" || { gofmt -l e2e; echo "run gofmt -w on these"; exit 1; }

# kubectl builds the overlays.
lint-manifests: cluster-build
	cargo build --bin appstack
	cargo test --package e2e --test manifests -- --nocapture

bench-gate: cluster-build
	cargo build --release --bin appstack
	APPSTACK_BIN=target/release/appstack cargo run --release --package e2e --bin gate

bench-render:
	cargo bench --quiet --bench render

bench-compose:
	@e2e/go-tool.sh kompose github.com/kubernetes/kompose
	KOMPOSE=$(CURDIR)/target/tools/kompose cargo bench --quiet --bench compose

include e2e/cluster/cluster.mk
include e2e/node/node.mk
