# Every command a developer or user needs. `make help` lists them.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup
COMPILED := $(VENV)/compiled
AS_COMPILED = PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/$(COMPILED)/site:$(CURDIR)
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit test-compiled compiled test-integration test-browser test-alerts test-docker dashboards chaos conformance mutants bench bench-engine bench-bridge bench-contract bench-publish check format env-example model-docs reference lock clean

help: ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(SETUP) ## make .venv with the cdc command, the locked dependencies, the Kafka jars and Java

$(SETUP): requirements/dev.txt requirements/java.txt pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "error: Python 3.11 or newer is needed and none was found; set PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "setup: virtual environment in $(VENV) with $$($(PYTHON) --version)" >&2
	@$(PYTHON) -m venv $(VENV) || { echo "error: could not make $(VENV); on Debian and Ubuntu install python3-venv" >&2; exit 2; }
	@echo "setup: installing requirements/dev.txt" >&2
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt || { \
	  echo "error: could not install requirements/dev.txt (is a package registry reachable?)" >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . || exit 1
	@$(BIN)/python -m sandbox.kafka --setup
	@touch $@

compiled: $(COMPILED)/.made ## the product as the image runs it, its hot modules compiled by mypyc; needs a C compiler

$(COMPILED)/.made: $(SETUP) $(shell find models enrichers workers sandbox -type f -not -name '*.pyc')
	@command -v cc >/dev/null 2>&1 || { echo "error: a C compiler (cc) is needed and none was found; on Debian and Ubuntu install gcc and python3-dev" >&2; exit 2; }
	@echo "compiled: hot modules by mypyc, about a minute" >&2
	@rm -rf $(COMPILED) && mkdir -p $(COMPILED)/source
	@cp -R pyproject.toml README.md LICENSE models enrichers workers sandbox $(COMPILED)/source
	@HATCH_BUILD_HOOK_ENABLE_MYPYC=true $(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation \
	  -w $(COMPILED)/wheel $(COMPILED)/source
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --target $(COMPILED)/site $(COMPILED)/wheel/*.whl
	@rm -rf $(COMPILED)/source
	@touch $@

demo: setup ## run the main job: generator -> Kinesis -> Kafka -> EventBridge, on a sandbox of its own
	@$(BIN)/cdc demo

JOBS ?= 3

test: setup ## unit, contract, integration and journey tests, on real parts
	@$(PYTEST) -n $(JOBS) --dist loadfile tests

test-unit: setup ## unit and contract tests only
	@$(PYTEST) -n $(JOBS) --dist loadfile tests/unit tests/contract

test-compiled: compiled ## unit and contract tests over the compiled build
	@$(AS_COMPILED) $(PYTEST) -n $(JOBS) --dist loadfile tests/unit tests/contract

test-integration: setup ## tests against a real Kafka only
	@$(PYTEST) -n $(JOBS) --dist loadfile tests/integration tests/journey

test-browser: setup ## the page in Chromium, before a real worker
	@$(BIN)/python -m tests.browser $(BROWSER_TESTS)

SCENARIOS ?=
SEEDS ?=
SECONDS ?= 60

chaos: setup ## faults from seeds against the engine, resumable: SCENARIOS="table window" SEEDS=1-2 SECONDS=60
	@$(BIN)/cdc chaos run $(SCENARIOS) $(if $(SEEDS),--seeds $(SEEDS)) --seconds $(SECONDS) --out .chaos --resume

test-docker: setup ## the images and docker-compose.yml for real; needs Docker, and images that can be pulled or were made here
	@$(BIN)/python -m tests.docker $(DOCKER_TESTS)

conformance: setup ## the contract tests of the AWS stand-in over it, moto and kinesis-local (needs Node.js)
	@$(BIN)/python -m tests.conformance

test-alerts: setup ## alert rules, their tests and the queries of the dashboards, by promtool (Debian package prometheus)
	@$(BIN)/python -m tests.promtool

dashboards: setup ## write deploy/grafana/dashboards/ from workers/dashboards
	@$(BIN)/python -m workers.dashboards

mutants: setup ## apply each deliberately broken build and see its test fail
	@$(BIN)/python -m tests.mutants

PAIRS ?= 5
SOAK ?=

bench: bench-engine bench-bridge bench-contract bench-publish ## all benchmarks

bench-engine: setup ## the engine beside its peers, resumable, about 25 minutes: PAIRS=5 SOAK=600 (seconds, extra)
	@$(BIN)/python -m bench.engine --pairs $(PAIRS) $(if $(SOAK),--soak $(SOAK))

bench-bridge: setup ## the bridge beside its peers, resumable: PAIRS=5
	@$(BIN)/python -m bench.bridge --pairs $(PAIRS)

bench-contract: compiled ## raw record to event beside bare msgspec and pydantic: PAIRS=7 PYTHON=python3.13 VENV=.venv-3.13
	@$(AS_COMPILED) $(BIN)/python -m bench.contract --pairs $(PAIRS)

bench-publish: setup ## the publish stage beside plain boto3, resumable: PAIRS=5
	@$(BIN)/python -m bench.publish --pairs $(PAIRS)

check: setup ## formatting, linters, types and import rules
	@$(BIN)/ruff format --check -q . && $(BIN)/ruff check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>&1

format: setup ## format the code
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

env-example: setup ## write .env.example from workers/settings/worker.py
	@$(BIN)/python -m workers.reference.env_example > .env.example

model-docs: setup ## write docs/models.md and docs/models/ from the code
	@$(BIN)/python -m workers.reference.models

reference: setup ## write docs/commands.md, settings.md, findings.md and errors.md from the code
	@for m in commands settings findings errors; do $(BIN)/python -m workers.reference.$$m || exit 1; done

lock: ## renew requirements/*.txt from pyproject.toml
	@[ -x $(BIN)/uv ] || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q uv; }
	@for t in build:requirements/build.in "image:pyproject.toml --extra=postgres --extra=msk --extra=otel" \
	    "sandbox:pyproject.toml --extra=sandbox" "dev:pyproject.toml --extra=dev" \
	    java:requirements/java.in bench-quix:requirements/bench-quix.in bench-faust:requirements/bench-faust.in \
	    bench-uvloop:requirements/bench-uvloop.in bench-confluent:requirements/bench-confluent.in \
	    conformance:requirements/conformance.in browser:requirements/browser.in; do \
	  n=$${t%%:*}; echo "lock: requirements/$$n.txt" >&2; \
	  $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-annotate \
	    --custom-compile-command "make lock" $${t#*:} -o requirements/$$n.txt || exit 1; done

clean: ## stop the sandbox and remove everything that was made
	@[ ! -x $(BIN)/cdc ] || $(BIN)/cdc sandbox down >/dev/null 2>&1 || true
	@rm -rf .venv .venv-* .sandbox .bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
