# Every task of the project. `make help` lists them.
#
# Needs make and Python 3.11 or later; everything else goes into $(VENV). Another interpreter: make demo PYTHON=python3.13

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.NOTPARALLEL:
# Without bytecode, each process that imports litellm compiles it anew, for 10 seconds.
unexport PYTHONDONTWRITEBYTECODE

VENV ?= .venv
PYTHON ?=
BIN := $(VENV)/bin
# The pins are complete, so pip has nothing to resolve (--no-deps).
# Bytecode is compiled when a module is first imported, not for all of the dependencies at once: a third of the time.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile
TESTS ?= tests
WORKERS ?= 2

.PHONY: help demo test servers checks lint format types supply-chain sbom redteam pytest coverage test-integration test-pythons test-newest test-oldest bench \
	bench-tracing bench-tracing-load bench-collect bench-store bench-tracers bench-backends bench-calls bench-cache bench-faults bench-guardrails bench-caching bench-routing bench-traffic bench-evals bench-drift-data bench-ui \
	soak-faults docs picture ui-picture ui-vendor requirements clean

help: ## List the tasks.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.runtime ## Set up the runtime environment and run the demo offline.
	@$(BIN)/llmops demo

test: checks pytest ## Set up the development environment; run all checks and fast tests.

checks: lint types supply-chain

lint: $(VENV)/.development ## Check lint, formatting and the import layers.
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/.development ## Format, and apply the linter's fixes.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: $(VENV)/.development ## Check types: the package (strict), and the types that users see.
	@$(BIN)/basedpyright --level error
	@$(BIN)/mypy

supply-chain: $(VENV)/.development ## Check the installed packages: known-bad releases, code at start-up, pins.
	@$(BIN)/python .ci/supply_chain.py

sbom: $(VENV)/.runtime ## Write dist/sbom.json: what the runtime environment contains (CycloneDX).
	@[ -x $(VENV)/sbom/bin/cyclonedx-py ] || { $(BIN)/python -m venv $(VENV)/sbom; \
		$(VENV)/sbom/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes \
			-r .ci/requirements-sbom.txt; }
	@mkdir -p dist
	@$(VENV)/sbom/bin/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml \
		--output-file dist/sbom.json .ci/requirements.txt
	@echo dist/sbom.json

pytest: $(VENV)/.development ## Run the fast tests in random order.
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not thorough" $(TESTS)

coverage: $(VENV)/.development ## Run the fast tests with branch coverage, which takes half as long again.
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report=term $(TESTS)

redteam: $(VENV)/.development ## Run the security suite: canaries, consent, hostile stores, second users, SQL, amplification, network, erasure.
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m redteam tests

test-integration: $(VENV)/.development servers ## Test with real backends, instrumentors, servers, embedded Python (slow to install).
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m thorough tests
	@$(BIN)/python -m pytest -q -m integration tests/integration

servers: # The programs of the tests: each test starts its own, servers on a free port.
	@{ command -v redis-server || command -v valkey-server; } >/dev/null && \
		{ ls /usr/lib/postgresql/*/bin/postgres || command -v postgres; } >/dev/null 2>&1 && \
		command -v promtool >/dev/null && command -v amtool >/dev/null && command -v chromium >/dev/null || { \
		sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		$$sudo apt-get update -qq && $$sudo apt-get install -qq --yes redis-server postgresql prometheus prometheus-alertmanager chromium \
			>/dev/null || { echo "Install a Redis (or Valkey), a PostgreSQL, Prometheus, Alertmanager and Chromium." >&2; exit 1; }; }

test-pythons: $(VENV)/.development ## Install the wheel and run the fast tests on each other supported Python at hand (slow).
	@$(BIN)/python .ci/test_versions.py pythons

test-newest: $(VENV)/.development ## Install the wheel with the newest version of every dependency and run the fast tests (slow).
	@$(BIN)/python .ci/test_versions.py newest

test-oldest: $(VENV)/.development ## Install the wheel with the floors that pyproject.toml names and run the fast tests (slow).
	@$(BIN)/python .ci/test_versions.py oldest

bench: $(VENV)/.development ## Run the benchmarks that need no other packages (benchmarks/README.md).
	@for file in $(filter-out %/bench_tracers.py %/bench_backends.py %/bench_faults.py %/bench_calls.py %/bench_cache.py,$(wildcard benchmarks/bench_*.py)); do \
		echo "== $$file"; $(BIN)/python "$$file"; echo; done

bench-tracing: $(VENV)/.development ## Measure decorated calls, CPU per span and import, against OpenTelemetry.
	@$(BIN)/python benchmarks/bench_tracing.py

bench-tracing-load: $(VENV)/.development ## Measure many threads, an event loop and a long run (10 minutes).
	@$(BIN)/python benchmarks/bench_tracing_load.py

bench-store: $(VENV)/.development ## Measure writing, compaction and queries, up to 10M spans (25 minutes, 14 GB).
	@for part in writing compaction queries; do \
		echo "== $$part"; $(BIN)/python benchmarks/bench_store_$$part.py; echo; done

bench-collect: $(VENV)/.development ## Measure a collector with two senders.
	@$(BIN)/python benchmarks/bench_collect.py

bench-tracers: $(VENV)/.development ## Measure a decorated call under six other tracers (slow to install).
	@$(BIN)/python benchmarks/bench_tracers.py

bench-backends: $(VENV)/.development ## Measure the same spans in Phoenix, MLflow and our store (slow).
	@PYTHONPATH=tests/receivers $(BIN)/python benchmarks/bench_backends.py

bench-calls: $(VENV)/.development ## Measure the overhead of a call: ours, litellm and pydantic-ai.
	@$(BIN)/python benchmarks/bench_calls.py

bench-cache: $(VENV)/.development ## Measure an answer from the cache: ours, litellm's and LangChain's.
	@$(BIN)/python benchmarks/bench_cache.py

bench-faults: $(VENV)/.development ## Compare 16 provider faults with three other libraries (slow to install).
	@$(BIN)/python benchmarks/bench_faults.py

bench-guardrails: $(VENV)/.development ## Measure the guards beside four other libraries (slow to install, then 15 minutes).
	@$(BIN)/python benchmarks/guardrails.py --write

bench-caching: $(VENV)/.development ## Measure the semantic cache beside three others (slow to install, then 12 minutes).
	@$(BIN)/python benchmarks/caching.py --write

bench-routing: $(VENV)/.development ## Measure the router beside ParetoBandit and semantic-router (needs data; 15 minutes).
	@$(BIN)/python benchmarks/routing.py

bench-traffic: $(VENV)/.development ## Simulate outages, steps and tails; a load run beside litellm's Router (10 minutes).
	@$(BIN)/python benchmarks/traffic.py --write

bench-evals: $(VENV)/.development ## Measure evaluations beside DeepEval, ragas and Inspect (slow to install, then 20 minutes).
	@$(BIN)/python benchmarks/evals.py --write

bench-drift-data: $(VENV)/.development ## Measure data drift beside Evidently, and a check of 1M calls (slow to install, then 45 minutes).
	@$(BIN)/python benchmarks/drift_data.py --write

bench-ui: $(VENV)/.development ## Measure the local page over 1M spans beside a real Phoenix (an hour, 12 GB).
	@PYTHONPATH=tests/receivers $(BIN)/python benchmarks/ui.py --write

soak-faults: $(VENV)/.development ## Run 100,000 calls, one in five with a fault, and check for leaks (30 minutes).
	@$(BIN)/python benchmarks/soak_faults.py

docs: $(VENV)/.development ## Regenerate the generated pages in docs/.
	@$(BIN)/python tools/configuration_page.py > docs/configuration.md
	@$(BIN)/python tools/schema_page.py > docs/schema.md
	@$(BIN)/llmops export --clickhouse-views > docs/clickhouse.sql
	@$(BIN)/python tools/api_page.py > docs/api.md
	@$(BIN)/python tools/package_tree.py
	@$(BIN)/python tools/ui_tables.py

picture: $(VENV)/.development ## Draw docs/terminal.svg, the README's picture, from the real commands.
	@$(BIN)/python tools/terminal_picture.py

ui-vendor: $(VENV)/bin/python ## Renew the libraries of the local page in llmops_sdk/ui/static/vendor (needs npm).
	@$(BIN)/python tools/vendor_ui.py

ui-picture: $(VENV)/.development ## Draw docs/images/ui.png, the picture of the local page, in Chromium.
	@PYTHONPATH=tests/receivers:tests/integration $(BIN)/python tools/ui_picture.py

# The hashes of the public index and of nothing that this machine's pip may be told of besides.
PIP_COMPILE := env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND="make requirements" $(VENV)/pip-tools/bin/pip-compile --quiet --upgrade --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-annotate --strip-extras --allow-unsafe

requirements: $(VENV)/bin/python ## Pin the newest versions of all dependencies, with hashes (Python 3.11).
	@$(BIN)/python -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else "the pins are made with Python 3.11")'
	@[ -x $(VENV)/pip-tools/bin/pip-compile ] || { $(BIN)/python -m venv $(VENV)/pip-tools; \
		$(VENV)/pip-tools/bin/python -m pip install --quiet --disable-pip-version-check pip-tools; }
	@$(PIP_COMPILE) --build-deps-for editable --extra ui --output-file .ci/requirements.txt pyproject.toml
	@$(PIP_COMPILE) --output-file .ci/requirements-dev.txt .ci/requirements-dev.in
	@$(PIP_COMPILE) --output-file .ci/requirements-sbom.txt .ci/requirements-sbom.in
	@for name in browser instrumentors logfire models shared; do $(PIP_COMPILE) --output-file tests/integration/requirements-$$name.txt \
		tests/integration/requirements-$$name.in; done
	@for file in benchmarks/requirements-*/*.in; do $(PIP_COMPILE) --output-file "$${file%.in}.txt" "$$file"; done

clean: ## Remove everything that the tasks created.
	rm -rf $(VENV) build dist .coverage .coverage.* .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
		for name in python3.11 python3.12 python3.13 python3 python; do \
			if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
		done; \
	fi; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 or later was found. Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "$$python is $$("$$python" --version 2>&1 || true); Python 3.11 or later is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV) || { \
		echo "$$python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: .ci/requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the runtime dependencies"
	@$(PIP) --no-deps --require-hashes -r .ci/requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.development: .ci/requirements-dev.txt pyproject.toml $(VENV)/.runtime
	@echo "Installing the development dependencies"
	@$(PIP) --no-deps --require-hashes -r .ci/requirements-dev.txt
	@touch $@
