# Freehold. `make help` lists what there is to do, what it needs and how long it takes.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Programs are pinned in hack/tools and built once into the cache (~/.cache/freehold); see hack/tools/build.sh.
TOOL = $$(hack/tools/build.sh $(1))

NAMESPACE ?= freehold-system
HELM_ARGS ?=
BENCH ?= .

##@ Try it

.PHONY: demo
demo: ## A real cluster, the operator and two customers on this machine | Linux, root, Go, Debian or Ubuntu | first time about 25 min, then some minutes
	@hack/demo.sh

.PHONY: demo-down
demo-down: ## Remove everything that the demo made, except the caches | root | 10 s
	@hack/demo-down.sh

.PHONY: build
build: ## The operator's binary: bin/freehold | Go | 2 min, then seconds
	CGO_ENABLED=0 go build -trimpath -o bin/freehold .

.PHONY: install
install: ## Install the operator into the cluster of KUBECONFIG from the chart (NAMESPACE, HELM_ARGS) | a cluster, an image it can pull | 1 min
	"$(call TOOL,helm)/helm" upgrade --install freehold charts/freehold \
	  --namespace $(NAMESPACE) --create-namespace --wait $(HELM_ARGS)

##@ Generate

.PHONY: generate
generate: ## Deep copies and apply configurations from the API types | Go | 10 s
	rm -rf api/v1alpha1/applyconfiguration
	"$(call TOOL,codegen)/controller-gen" paths=./api/v1alpha1 \
	  object:headerFile=hack/boilerplate.go.txt applyconfiguration:headerFile=hack/boilerplate.go.txt

.PHONY: manifests
manifests: ## CRDs and the operator's role, from the markers in the code, into config/ and the chart | Go | 20 s
	rm -rf config/crd/bases
	"$(call TOOL,codegen)/controller-gen" paths=./api/v1alpha1 crd output:crd:dir=config/crd/bases
	"$(call TOOL,codegen)/controller-gen" paths=./controllers/... rbac:roleName=freehold-manager output:rbac:dir=config/rbac
	hack/chart-crds.sh config/crd/bases charts/freehold/templates/crds
	hack/chart-manifests.sh charts/freehold/templates/generated config/rbac/*role*.yaml config/admission/{deletion_protection,operator,protection,restores}.yaml

.PHONY: docs
docs: ## The reference of the API from the types: docs/reference/api.md | Go | 10 s
	mkdir -p docs/reference
	"$(call TOOL,docs)/crd-ref-docs" --source-path=api/v1alpha1 --config=hack/tools/docs/config.yaml \
	  --renderer=markdown --output-path=docs/reference/api.md --log-level=WARN

##@ Check

.PHONY: test
test: ## Unit tests, tests against a real API server (envtest), tests of the local cluster | Go, gcc; root for the packet tests | 10 to 20 min on two cores
	@hack/test.sh

.PHONY: e2e
e2e: ## User stories on a real cluster: the local one, or the one of KUBECONFIG | Linux, root, Debian or Ubuntu (local cluster) | first time about 65 min, then 45 min
	@hack/e2e.sh

.PHONY: bench
bench: ## Benchmarks (BENCH=regexp, sizes: docs/performance.md) | Go; root for those of backups | 30 min on a quiet machine
	@hack/bench.sh '$(BENCH)'

.PHONY: bench-start
bench-start: ## From a Tenant applied to its first answer, against the same objects applied by hand | the cluster of make demo, root | 6 min
	@test/bench/start.sh

.PHONY: lint
lint: ## Go, API, import directions, chart and kustomization | Go | 10 min the first time, then 2 min
	@hack/lint.sh

.PHONY: verify
verify: ## Generated files and go.mod files are what their sources say | Go, network | 2 min
	@hack/verify.sh

.PHONY: vuln
vuln: ## Known vulnerabilities in what the binary really calls | Go, network (vulnerability database) | 2 min
	"$(call TOOL,vuln)/govulncheck" ./...
	"$(call TOOL,vuln)/govulncheck" -C hack/devcluster ./...

##@ Help

.PHONY: help
help: ## This list
	@awk -F ' *## *' '\
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { name = $$1; sub(/:.*/, "", name); n = split($$2, part, / *\| */); \
	    printf "  make %-11s %s\n", name, part[1]; \
	    if (n > 2) printf "  %-16s needs: %s; takes: %s\n", "", part[2], part[3] }' $(MAKEFILE_LIST)
	@echo
	@echo "Everything that is built or downloaded is kept in \$${FREEHOLD_CACHE:-\$${XDG_CACHE_HOME:-~/.cache}/freehold}."
