# dits-server. `make help` explains the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOLDER ?=

.DEFAULT_GOAL := help
.PHONY: help up demo test retest soak check fix protos protos-accept schema bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# What runs needs; then, in a second step, what checks and tests need.
$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "Python's venv module is needed; on Debian: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

up: $(VENV)/.run ## Run the server here, in the foreground, on ports 50051-50054
	@$(BIN)/dits-server up

demo: $(VENV)/.run ## Push, edit, push again and clone FOLDER= with a throw-away server; print a table
	@$(BIN)/python -m benchmarks.demo $(if $(FOLDER),"$(FOLDER)")

test: $(VENV)/.dev ## Run the tests (real PostgreSQL, real channels; some eleven minutes)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2

retest: $(VENV)/.dev ## Run once more what failed in the last `make test`, one test at a time
	@$(BIN)/python -m tests.support.retest

soak: $(VENV)/.dev ## Run the long tests; FUZZ_CALLS= and FUZZ_SEED= say how many calls the fuzzer makes, and which
	@$(BIN)/pytest -m soak --timeout 3600

check: $(VENV)/.dev ## Lint, types, protos, imports, sizes, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/mypy --platform win32 --no-warn-unreachable --cache-dir .mypy_cache/win32 -p dits_client
	@$(BIN)/python -m tests.support.shape
	@$(BIN)/lint-imports --no-logo >.import-linter.log 2>&1 || { cat .import-linter.log; exit 1; }
	@rm -f .import-linter.log
	@$(BIN)/buf lint
	@$(BIN)/buf format --diff --exit-code protos >/dev/null || { echo "protos are not formatted: make fix" >&2; exit 1; }
	@$(BIN)/buf breaking --against protos/accepted.binpb
	@rm -rf build/protos && PYTHON=$(BIN)/python protos/generate.sh build/protos
	@diff -r -x __pycache__ build/protos/dits protos/gen/dits || { echo "stubs are out of date: make protos" >&2; exit 1; }
	@echo "all checks passed"

fix: $(VENV)/.dev ## Format, and mend what can be mended by itself
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .
	@$(BIN)/buf format --write protos

protos: $(VENV)/.dev ## Generate the stubs from the protos
	@PYTHON=$(BIN)/python protos/generate.sh

protos-accept: $(VENV)/.dev ## Make today's protos the contract that must not break
	@$(BIN)/buf build --exclude-source-info --output protos/accepted.binpb

schema: $(VENV)/.dev ## Write migrations/schema.sql from the migrations
	@$(BIN)/python -m migrations.dump

bench: $(VENV)/.dev ## Measure what docs/performance.md claims, on FOLDER=
	@$(BIN)/python -m benchmarks.media $(if $(FOLDER),"$(FOLDER)")

clean: ## Remove the virtual environment and caches; never data
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
