# tcemu: `make stress` sets up and runs the main job, `make test` sets up and tests.
#
# Needed beforehand: python3 (3.11 or newer) with venv and pip, and make. Everything else goes into
# .venv. Another interpreter: `make PYTHON=python3.12 test`; options: `make stress ARGS="--kernel v6.12"`.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN    := $(VENV)/bin
SUDO   := $(shell test "$$(id -u)" = 0 || echo sudo)

.PHONY: help stress fuzz test test-slow test-wheel browser bench matrix docs lint types contracts check clean

help:                          ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

# Exit code 1 says that orders which break some kernel were found: that is the job, no error.
stress: $(VENV)/.run           ## Set up, and search teardown orders of everything built in
	@$(BIN)/tcemu stress $(ARGS) || test $$? -eq 1

fuzz: $(VENV)/.run             ## Set up, and fuzz for two minutes; reports for pipelines in .tcemu/ci
	@$(BIN)/tcemu fuzz --seconds 120 --ci $(ARGS) || test $$? -eq 1

test: $(VENV)/.test            ## Set up, and run the tests
	$(BIN)/python -m pytest -q -n auto -m "not slow and not wheel" $(ARGS)

test-slow: $(VENV)/.test       ## Run the longer searches
	$(BIN)/python -m pytest -q -m slow $(ARGS)

browser:                       ## Install Chromium (Debian, Ubuntu), in which `make test` tests drawn pages
	@command -v chromium >/dev/null || { $(SUDO) apt-get update && $(SUDO) apt-get install -y chromium; }

test-wheel: $(VENV)/.test      ## Build the wheel, and try it with every Python that is here
	$(BIN)/python -m pytest -q -m wheel $(ARGS)

bench: $(VENV)/.test           ## Measure, each figure beside its baseline
	$(BIN)/python -m tests.benchmarks $(ARGS)

matrix: $(VENV)/.run           ## Search every scenario, generation and defect anew, for some minutes
	$(BIN)/python -m docs.generate.matrix
	$(BIN)/python -m docs.generate docs/matrix.md

docs: $(VENV)/.test            ## Write the generated parts of the docs anew, and build the site in build/site
	$(BIN)/python -m docs.generate
	$(BIN)/python -m mkdocs build --quiet

lint: $(VENV)/.dev             ## Look for mistakes in style
	$(BIN)/ruff check .

types: $(VENV)/.dev            ## Check the types
	$(BIN)/mypy -p actors -p hw

contracts: $(VENV)/.dev        ## Check who may import whom
	$(BIN)/lint-imports

check: lint types contracts test   ## Everything that CI checks

clean:                         ## Remove the environment and everything generated
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis .tcemu *.egg-info

# The environment. A stamp says what has been installed since pyproject.toml last changed.

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[report]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $(VENV)/.run $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,dev]'
	@touch $(VENV)/.run $(VENV)/.test $@
