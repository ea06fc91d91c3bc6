SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO   ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
E2E  := ./internal/e2e
# make lint vets the tests, and no debugger runs their programs: neither is worth the time.
QUICK := -vet=off -ldflags='-s -w'
# go vet compiles all dependencies. Here it is for another system, so nothing runs the code, and
# code without optimizations takes 60 % of the time.
UNRUN := -gcflags='all=-N -l'
# Tests that take very many calls or rows: see childtest.Bulk.
BULK := ^(TestGrow|TestInvariants|TestSearchOfManyGroups|TestPermissions)$$
# The race detector does not watch SQLite, which is C in the form of Go: its statements
# would take ten times as long, and miss the deadlines that a busy machine has to meet.
RACE := GOFLAGS="$${GOFLAGS:-} -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false"

.PHONY: help
help: ## show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./moim
	$(GO) build -o moim .

.PHONY: test
test: services lint vuln race e2e ## run every check that a change has to pass; installs what is missing

.PHONY: services
services: ## install redis-server, PostgreSQL, PgBouncer, nginx and Chromium where they are missing (root on Debian)
	@tools/services.sh

.PHONY: lint
lint: lint-js ## run vet (Linux, Windows, macOS) and golangci-lint, check formatting and modules; print the sizes
	$(GO) vet ./...
	$(GO) -C bench vet ./...
	@for os in windows darwin; do \
		echo "GOOS=$$os $(GO) vet $(UNRUN) ./..."; GOOS=$$os $(GO) vet $(UNRUN) ./...; \
	done
	@if $(TOOL) golangci-lint version >/dev/null; then \
		echo '$(TOOL) golangci-lint run ./...'; $(TOOL) golangci-lint run ./...; \
		cd bench && $(GO) tool -modfile=../tools/go.mod golangci-lint run ./...; \
	else \
		echo 'golangci-lint cannot be built here: nothing is linted' >&2; [ -z "$${CI:-}" ]; \
	fi
	@unformatted="$$($(TOOL) gofumpt -l .)"; \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) mod tidy -diff
	$(GO) -C bench mod tidy -diff
	@tools/sizes.sh

.PHONY: lint-js
lint-js: ## lint, format-check and type-check client/js, client/nest and examples/web
	@tools/npm-ci.sh client/js
	npm --prefix client/js run --silent lint
	@tools/npm-ci.sh client/nest
	npm --prefix client/nest run --silent lint
	npm --prefix client/js run --silent build
	@tools/npm-ci.sh examples/web
	@cp -r client/js/dist examples/web/node_modules/moim-client/
	npm --prefix examples/web run --silent lint

.PHONY: generate-js
generate-js: build ## write client/js/src/generated from the API of this node
	@tools/npm-ci.sh client/js
	@tools/generate-js.sh

.PHONY: fmt
fmt: ## format the code and order its imports
	$(TOOL) golangci-lint fmt ./...
	$(GO) mod tidy
	$(GO) -C bench mod tidy
	$(GO) -C deploy mod tidy

.PHONY: race
race: ## run all tests except the end-to-end tests with the race detector, and the test of 1,000 reconnecting sockets
	$(RACE) $(GO) test -race $(QUICK) -p 3 -timeout 8m $$($(GO) list ./... | grep -v '/internal/e2e$$')
	$(GO) test $(QUICK) -timeout 5m -count 1 -run '$(BULK)' ./app ./modules/group ./modules/group/sqlstore
	MOIM_RACE=1 $(RACE) $(GO) test -race $(QUICK) -timeout 5m -count 1 -run '^TestT36' $(E2E)
	$(GO) -C bench test ./...

.PHONY: e2e
e2e: ## run the end-to-end tests: real processes, real servers, the real socket.io-client
	$(GO) test $(QUICK) -timeout 30m -count 1 -parallel 3 $(E2E)

.PHONY: e2e-race
e2e-race: ## the same, with the race detector in the nodes and in the tests
	MOIM_RACE=1 $(RACE) $(GO) test -race -timeout 30m -count 1 $(E2E)

.PHONY: soak
soak: ## run the fault tests for longer, and what takes long; print the measurements (T=36 for TestT36…, SOAK_MINUTES=20)
	MOIM_SOAK=1 MOIM_SOAK_MINUTES='$(SOAK_MINUTES)' $(RACE) $(GO) test $(if $(T),,-race) -timeout 180m -count 1 -v -run '^TestT$(or $(T),[0-9])' $(E2E) | grep -E '^(---|ok|FAIL|panic)|T[0-9]+: '

.PHONY: hook-load
hook-load: ## measure a webhook on two nodes: how late 2,000 events/s arrive (LASTS=2m for longer), and how fast it catches up
	MOIM_HOOK_LOAD=$(or $(LASTS),30s) $(GO) test -timeout 60m -count 1 -v -run '^TestHook(Load|CatchesUp)$$' $(E2E)

.PHONY: deploy-check
deploy-check: ## check the Helm chart, the alerts and the dashboard with Helm's, Kubernetes' and Prometheus' own code
	$(GO) -C deploy vet ./...
	$(GO) -C deploy mod tidy -diff
	cd deploy && $(GO) tool -modfile=../tools/go.mod golangci-lint run ./...
	$(GO) -C deploy test -timeout 15m -count 1 ./...

# Newer versions need a module that proxy.golang.org does not serve.
GORELEASER := $(GO) run github.com/goreleaser/goreleaser/v2@v2.14.0

.PHONY: release-check
release-check: ## check .goreleaser.yaml and build the program of this machine as a release does
	$(GORELEASER) check
	$(GORELEASER) build --snapshot --single-target --clean
	dist/moim_*/moim version

.PHONY: vuln
vuln: ## report known vulnerabilities in called code, if the Go vulnerability database is reachable
	@tools/vuln.sh

.PHONY: bench
bench: bench-durable bench-delivery ## compare Moim with others: docs/benchmarks.md

.PHONY: bench-durable
bench-durable: ## compare Moim with bare SQL (ROUNDS=10, BENCH=.)
	$(GO) -C bench test -run '^$$' -bench '$(or $(BENCH),.)' -benchtime $(or $(ROUNDS),10)x -timeout 60m ./... | $(GO) -C bench run .

.PHONY: bench-delivery
bench-delivery: ## compare Moim with other servers (ROWS='1x*', PEERS=moim,naked)
	$(GO) -C bench run ./delivery -rows '$(or $(ROWS),*)' $(if $(PEERS),-peers $(PEERS))

.PHONY: microbench
microbench: ## run the benchmarks of single packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: grow
grow: ## fill databases with many groups; print what each call and each page of the console takes (GROW='1000 100000 1000000')
	MOIM_GROW='$(or $(GROW),1000 100000)' MOIM_GROW_ROUNDS=100 $(GO) test -v -count 1 -timeout 4h -run '^TestGrow$$' ./modules/group/sqlstore
	MOIM_GROW='$(or $(GROW),1000 100000)' $(GO) test -v -count 1 -timeout 4h -run '^TestConsoleOfManyGroups$$' $(E2E)

.PHONY: clean
clean: ## remove the files that the other targets made
	rm -rf moim $(E2E)/node_modules client/js/node_modules client/js/dist client/js/build \
		client/nest/node_modules client/nest/dist client/nest/build client/nest/src/contract client/nest/nest12/node_modules client/nest/nest12/build \
		examples/web/node_modules examples/web/dist
