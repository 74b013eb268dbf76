# Needs Python 3.11 or newer, make and a package index, and nothing else: every target makes .venv by itself.
#   make demo              the tour, then a sandbox that stays up (ONCE=1: ends after the tour)
#   make test              lint and all tests (ARGS="-k copy": some of them)
#   make conformance kind=mlflow   (LIVE=1: on a registry of your own, see CONTRIBUTING.md)
MAKEFLAGS += --no-print-directory
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The first interpreter that is new enough; PYTHON=/path/to/python names another one.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
# Wheels only: nothing is compiled. Bytecode is written by the first import of what is really used.
# The pip of constraints.txt comes first: that of an older Python takes a minute longer to resolve it all.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
	--only-binary :all: --no-compile -c constraints.txt
# Some environments forbid it; every server of a test would then compile its packages anew.
export PYTHONDONTWRITEBYTECODE :=
kind ?= all
ARGS ?=
# Test processes at once: more than two cores have, for many tests wait. tests/conftest.py says which come first.
WORKERS ?= 3

.PHONY: help setup demo test lint format bench soak conformance docs clean

help:
	@echo "make demo | test | lint | format | bench | soak | conformance [kind=…] | docs | setup | clean"

setup: $(STAMP)

# hatchling comes first, too, so that the editable install needs no build environment of its own.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "fedreg needs Python 3.11 or newer: install it, or say PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) can't make virtual environments: install its venv module (Debian: python3-venv)"; exit 1; }
	@echo "installing into $(VENV): a minute or two the first time"
	@$(INSTALL) pip hatchling
	@$(INSTALL) --no-build-isolation -e ".[dev]"
	@touch $(STAMP)

demo: setup
	@$(BIN)/fedreg demo $(if $(filter-out 0,$(ONCE)),--once)

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

soak: setup
	$(BIN)/python -m pytest -m soak --timeout 3600 $(ARGS)

conformance: setup
ifneq ($(filter-out 0,$(LIVE)),)
	@FEDREG_LIVE_KIND=$(kind) $(BIN)/python -m pytest tests/live/conformance.py --timeout 1800 $(ARGS)
else
	$(BIN)/python -m pytest tests/adapters -m '' -k conformance $(if $(filter-out all,$(kind)),--kind $(kind)) $(ARGS)
endif

# The table of docs/errors.md is what the tests of bad input were answered; docs/translation.md what copies became.
docs: setup
	$(BIN)/python docs/generate.py
	FEDREG_WRITE_DOCS=1 $(BIN)/python -m pytest tests/errors tests/translation

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
