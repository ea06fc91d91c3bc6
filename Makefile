SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO   ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
E2E  := ./internal/e2e

.PHONY: help
help: ## show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build ./moim
	$(GO) build -o moim .

.PHONY: test
test: services lint vuln race e2e ## everything that a change has to pass, installing what it lacks

.PHONY: services
services: ## install redis-server and PostgreSQL where they are missing (root on Debian)
	@tools/services.sh

.PHONY: lint
lint: ## vet (for Linux, Windows and macOS), golangci-lint, formatting, tidy modules; prints the sizes
	$(GO) vet ./...
	$(GO) -C bench vet ./...
	@for os in windows darwin; do \
		echo "GOOS=$$os $(GO) vet ./... (bench, too)"; \
		GOOS=$$os $(GO) vet ./...; GOOS=$$os $(GO) -C bench vet ./...; \
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

.PHONY: fmt
fmt: ## format the code and order its imports
	$(TOOL) golangci-lint fmt ./...
	$(GO) mod tidy
	$(GO) -C bench mod tidy

.PHONY: race
race: ## every test but the end-to-end ones, with the race detector; a thousand sockets that come back, too
	$(GO) test -race -timeout 8m $$($(GO) list ./... | grep -v '/internal/e2e$$')
	MOIM_RACE=1 $(GO) test -race -timeout 5m -count 1 -run '^TestT36' $(E2E)
	$(GO) -C bench test ./...

.PHONY: e2e
e2e: ## the end-to-end tests: real processes, real servers, the real socket.io-client
	$(GO) test -race -timeout 30m -count 1 $(E2E)

.PHONY: e2e-race
e2e-race: ## the same with nodes that tell of data races, too
	MOIM_RACE=1 $(GO) test -race -timeout 30m -count 1 $(E2E)

.PHONY: soak
soak: ## the fault tests with many more sessions, faults and minutes; prints what it measured
	MOIM_SOAK=1 $(GO) test -race -timeout 120m -count 1 -v -run '^TestT[0-9]' $(E2E) | grep -E '^(---|ok|FAIL|panic)|T[0-9]+: '

.PHONY: vuln
vuln: ## known vulnerabilities in what the code calls, if the Go vulnerability database can be had
	@tools/vuln.sh

.PHONY: bench
bench: bench-durable bench-delivery ## Moim beside its peers, as tables: docs/performance.md

.PHONY: bench-durable
bench-durable: ## Moim beside bare SQL (ROUNDS=10 and BENCH=. say how much)
	$(GO) -C bench test -run '^$$' -bench '$(or $(BENCH),.)' -benchtime $(or $(ROUNDS),10)x -timeout 60m ./... | $(GO) -C bench run .

.PHONY: bench-delivery
bench-delivery: ## Moim beside servers that deliver the same (ROWS='1x*' and PEERS=moim,naked say what)
	$(GO) -C bench run ./delivery -rows '$(or $(ROWS),*)' $(if $(PEERS),-peers $(PEERS))

.PHONY: microbench
microbench: ## the benchmarks of single packages, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf moim $(E2E)/node_modules
