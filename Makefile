# The face of the build. Two commands are enough: `make run` and `make test`.
# Programs are in build/bin, the library in build/lib. Everything else: make help

BUILD ?= build
DATA ?= data
LISTEN ?= 127.0.0.1:7433
ROUNDS ?= 20
FUZZ_SECONDS ?= 60
PYTHON ?= /usr/bin/python3
JOBS ?= $(shell nproc)

.DEFAULT_GOAL := help
.PHONY: help build run test test-unit test-crash test-kill test-e2e test-recall check lint format bench bench-smoke fuzz coverage asan tsan clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

build: ## programs into build/bin, libjade into build/lib
	@scripts/bootstrap
	@test -f $(BUILD)/build.ninja || cmake --preset release -B $(BUILD) -DJADE_TESTS=OFF > /dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target jadevectordb jade-db jade_static jade_shared

run: build ## the server on 127.0.0.1:7433 with a sample of real text; Ctrl-C stops it
	@exec scripts/run-sample $(BUILD)/bin $(DATA) $(LISTEN)

test: ## every suite, with the time of each (about 15 minutes on 2 cores)
	@scripts/test-all

check: ## the quick ones: layers, requirements, unit tests
	@scripts/test-all --quick

test-unit: ## unit tests of the release build
	@scripts/test-all --only unit

test-crash: ## crash-state sweep: power cut at every I/O point of a seeded script
	@scripts/test-all --only crash

test-kill: ## kill -9 under load, ROUNDS=200 for the long form
	@ROUNDS=$(ROUNDS) scripts/test-all --only kill

test-e2e: ## end-to-end tests through the real server
	@scripts/test-all --only e2e

test-recall: ## recall on the whole of MNIST-784 through REST and through the library
	@scripts/test-all --only recall

lint: ## layers, formatting, static analysis, third-party inventory
	@scripts/lint

format: ## clang-format over all sources
	@git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i

bench: ## recall against speed beside hnswlib; CSV and SVG into bench/results
	@scripts/bootstrap --dev
	@bench/run full

bench-smoke: ## the one-minute form of it
	@scripts/bootstrap --dev
	@bench/run smoke

fuzz: ## every fuzz target for FUZZ_SECONDS (60) each
	@scripts/bootstrap --dev
	@scripts/fuzz $(FUZZ_SECONDS)

coverage: ## line coverage of the unit and crash tests by gcovr
	@scripts/coverage

asan: ## all tests under the address and undefined-behaviour sanitizers
	@scripts/test-all --preset asan

tsan: ## the concurrent tests under the thread sanitizer
	@scripts/test-all --preset tsan --only unit

clean: ## removes build/
	rm -rf $(BUILD)
