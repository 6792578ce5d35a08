# Meridian. `make` lists the targets.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)
# The test command of README.md; -timeout is for each package.
TEST := go test -race -shuffle=on -timeout 9m ./...
FUZZTIME ?= 20s
PGO ?= cmd/edge/edge.pgo
VOLUME ?= 10737418240

.DEFAULT_GOAL := help
.PHONY: help build run test test-norace check fuzz bench bench-http pgo sim siege volume faults soak conformance h2spec lint-full fmt clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# With a profile of the edge under load, which the compiler heeds. It is not called default.pgo, so that the tests don't
# have everything compiled once more.
build: ## Build bin/edge and bin/backend
	go build -trimpath -pgo=$(PGO) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/edge ./cmd/backend

run: build ## Bring up a whole fleet on this machine; Ctrl-C ends it
	bin/edge dev

# By default every program with the race detector waits a second at its end for more races: each package's tests do.
test: export GORACE ?= atexit_sleep_ms=0
test: ## The whole test suite: unit, race, end to end
	$(TEST)

test-norace: ## What the race detector turns off: counts of allocations, and sockets by raw calls of the system
	go test -shuffle=on ./proxy/... ./balancer/... ./dns/... ./health/... ./internal/loadgen

check: ## Formatting, vet, modules, architecture, cross-compilation: what must hold before a commit
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt: $$unformatted; run make fmt"; exit 1; }
	go mod verify >/dev/null
	go mod tidy -diff
	go vet ./...
	go test -count=1 ./internal/archtest
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null ./cmd/edge
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null ./cmd/backend
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null ./cmd/edge
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null ./cmd/backend
	@echo "check: all well"

fuzz: ## Fuzz every parser of strangers' bytes, FUZZTIME each (20s)
	scripts/fuzz.sh $(FUZZTIME)

bench: ## Run every benchmark, with allocations
	go test -run '^$$' -bench . -benchmem ./...

bench-http: build ## The edge beside nginx, HAProxy and Caddy, in rounds: BENCH='-only TLS -rounds 9' (installs them)
	scripts/bench-http.sh $(BENCH)

pgo: build ## Make cmd/edge/edge.pgo anew, the profile that build compiles by: two minutes of the benchmark's loads
	scripts/bench-http.sh -duration 8s -pgo cmd/edge/edge.pgo

siege: ## The edge under attack at full size, with the others' p99 asserted: about 20 minutes on a quiet machine; SIEGE_RUN='Slow'
	SIEGE=full go test -count=1 -v -timeout 60m -run '$(SIEGE_RUN)' ./internal/siege

volume: ## 10 GiB up and down through an edge by each protocol, and its memory (20 minutes or more; VOLUME=1073741824 for less)
	go test -count=1 -timeout 6h ./cmd/edge -run TestVolumeLeavesMemoryFlat -v -volume $(VOLUME)

faults: build ## Nodes killed, stopped, cut off, restarted: the edge beside HAProxy and nginx, docs/faults.md's table: FAULTS='-fault F2 -v' (installs them)
	scripts/faults.sh $(or $(FAULTS),-into docs/faults.md)

soak: build ## 1,000,000 requests at 5,000/s through each of the faults F1, F7, F22 and F23, before the edge
	scripts/faults.sh -proxy edge -fault F1,F7,F22,F23 -requests 1000000 -seeds 1 -rate 5000 $(FAULTS)

sim: ## Simulate every policy in every scenario and print docs/balancing.md's tables: SEED=1 SEEDS=5 LOAD=0.5,0.8,0.95,1.1
	go run ./internal/simulate -seed $(or $(SEED),1) -seeds $(or $(SEEDS),5) -load '$(LOAD)' $(SIM)

conformance: build ## The official MCP conformance suites through the edge (needs npm)
	scripts/conformance.sh

h2spec: ## h2spec --strict against the edge, in the clear and over TLS (needs the module proxy)
	scripts/h2spec.sh

lint-full: check ## check, and known vulnerabilities and static analysis by pinned tools (needs the module proxy)
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 $(if $(VULNDB),-db $(VULNDB)) ./...

fmt: ## Format the code
	gofmt -w $$(git ls-files '*.go')

clean: ## Remove what was built
	rm -rf bin results .cache
