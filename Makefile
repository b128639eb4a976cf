# Two commands on a fresh machine: `make demo` and `make test`. Both set themselves up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

# Compiled bytecode halves the start of every kernel and command.
unexport PYTHONDONTWRITEBYTECODE

VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
# CW_REQUIRE_ALL=1 (set by .ci/run) turns "skipped, because … is missing" into a failure.
export CW_REQUIRE_ALL ?=

.PHONY: help demo test quick bench campaign lint format clean

help:  ## say what there is
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(PY):
	@found=""
	for candidate in $${PYTHON:-} python3 python3.13 python3.12 python3.11; do
	  if command -v "$$candidate" >/dev/null && "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found="$$candidate"; break; fi
	done
	[ -n "$$found" ] || { echo "Python 3.11 or newer is needed: apt-get install python3" >&2; exit 1; }
	echo "setting up $(VENV) with $$($$found --version)" >&2
	if ! "$$found" -m venv "$(VENV)" 2>/dev/null; then
	  rm -rf "$(VENV)"
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	    apt-get install -y -qq python3-venv >/dev/null 2>&1 || { apt-get update -qq >/dev/null && apt-get install -y -qq python3-venv >/dev/null; }
	    "$$found" -m venv "$(VENV)"
	  else
	    echo "Python's venv module is missing: sudo apt-get install python3-venv" >&2; exit 1
	  fi
	fi

$(VENV)/.demo: $(PY) pyproject.toml
	@echo "installing clockwork-nb (first run only, about a minute)" >&2
	$(PIP) install -e . 'ipykernel>=7.4,<8'
	touch $@

$(VENV)/.test: $(PY) pyproject.toml
	@echo "installing the test tools (first run only, a few minutes)" >&2
	$(PIP) install -e '.[test]'
	touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## run the quickstart runbook headless, approve, resume, verify its evidence
	@$(PY) -m clockwork_nb.cli demo

lint: $(VENV)/.test  ## formatting, lint, types
	@$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(VENV)/.test  ## rewrite the files as the formatter likes them
	@$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

test: $(VENV)/.test  ## the whole suite
	@bash .ci/system-packages
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(PY) -m pytest -n 2 --dist loadfile -m "not slow" -q

quick: $(VENV)/.test  ## lint and the fast tests, for the inner loop
	@$(VENV)/bin/ruff check .
	$(PY) -m pytest -n 2 --dist loadfile -m "not slow and not notebook and not browser" -q tests/unit tests/property tests/contract tests/conformance

bench: $(VENV)/.test  ## plan, apply and start-up figures beside terraform, as a table and JSON
	@$(PY) -m tests.bench

campaign: $(VENV)/.test  ## the long campaigns (kill sweeps, every byte flipped)
	@$(PY) -m pytest -n 2 --dist loadfile -m slow -q --timeout 3600

clean:  ## remove what running left behind, not the environment
	@rm -rf clockwork-out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
