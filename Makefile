# What a person types; `make help` lists it. The virtual environment is made by the first target that needs it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench core-3.10 soak clean

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip -qq --disable-pip-version-check

help:  ## this list
	@sed -n 's/^\([a-z][a-z0-9.-]*\):.*##/make \1\t/p' Makefile | expand -t 18

demo: $(VENV)/.installed  ## run a training job here, with nothing to set up
	@./examples/demo.sh

test: lint types core-3.10  ## lint, types, and all tests; what the machine lacks is skipped loudly
	@$(PY) -m pytest -n logical --dist worksteal

lint: $(VENV)/.installed-test  ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: $(VENV)/.installed-test  ## mypy, strict
	@$(PY) -m mypy

core-3.10: $(VENV)/.installed-test  ## the core's tests on the oldest Python of a host
	@$(PY) -m tests.support.older

bench: $(VENV)/.installed-bench  ## measure what a person waits for
	@$(PY) -m benchmarks.config
	@$(PY) -m benchmarks.submit
	@$(PY) -m benchmarks.launch
	@$(PY) -m benchmarks.sandbox
	@$(PY) -m benchmarks.queue

soak: $(VENV)/.installed-test  ## the numbered proofs in their long forms, about an hour; N="4 7" takes some
	@$(PY) -m tests.support.soak $(N)

clean:  ## remove the virtual environments and caches
	rm -rf $(VENV) .venv-3.10 demo-results .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Installed again only when what is to be installed has changed.
$(VENV)/.installed: pyproject.toml | $(PY)
	@echo "installing fetchml in $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(PY)
	@echo "installing fetchml and its test tools in $(VENV)"
	@$(PIP) install --editable '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml | $(PY)
	@echo "installing fetchml, its test tools and the queues it is compared with in $(VENV)"
	@$(PIP) install --editable '.[test,bench]'
	@touch $@ $(VENV)/.installed-test $(VENV)/.installed

# Debian splits venv from python3, and a pyenv shim may stand for a version that is not installed: each one is tried.
$(PY):
	@command -v git >/dev/null || { echo "error: git is missing; type: apt-get install -y git" >&2; exit 1; }; \
	check='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'; \
	for python in python3 python3.11 python3.12 python3.13 python3.14 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.1[1-9]*/bin/python3; do \
	  if "$$python" -c "$$check" 2>/dev/null; then exec "$$python" -m venv $(VENV); fi; \
	done; \
	if ! command -v python3 >/dev/null; then echo "error: python3 is missing; type: apt-get install -y python3 python3-venv" >&2; \
	elif python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  echo "error: python3 has no venv module; type: apt-get install -y python3-venv" >&2; \
	else echo "error: $$(python3 --version) is too old: Python 3.11 or newer is needed; type: apt-get install -y python3.11 python3.11-venv" >&2; fi; \
	exit 1
