# Lowland: set up, show, check.
#
#   make setup                a virtual environment in .venv, from constraints.txt
#   make demo                 train a small model through the whole server; DATASET=kmnist for another data set
#   make test                 every check: format, lint, types, import contracts, tests
#   make soak                 the fault tests at full size, about 10 minutes; prints a Markdown table
#   make check                the same without the tests
#   make format               put the code into its format
#   make clean                remove what the above has made

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

DATASET ?= digits
# Processes that run tests side by side.
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
# Written last, so that a set-up that was cut short does not count.
STAMP := $(VENV)/.set-up

# pyright comes with its own node; nothing of it is looked for, or put, outside of the environment.
export PYRIGHT_PYTHON_CACHE_DIR := $(CURDIR)/$(VENV)/cache/pyright
export PYRIGHT_PYTHON_GLOBAL_NODE := 0
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Else torch makes a folder in the temporary one as soon as it is imported, and leaves it there.
export TORCHINDUCTOR_CACHE_DIR := $(CURDIR)/$(VENV)/cache/inductor

# What the tests of the documents run, beside Python.
TOOLS := curl jq

.PHONY: help setup tools demo test soak check format clean

help:
	@sed -n '3,10s/^#  *//p' Makefile

setup: $(STAMP)
	@:

$(STAMP): pyproject.toml constraints.txt
	@python=
	for name in python3.13 python3.12 python3.11 python3; do
		# a name on the PATH may be a shim that does not run, or a Python without venv
		if $$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			python=$$name
			break
		fi
	done
	if [ -z "$$python" ]; then
		echo 'make setup: no Python >= 3.11 with its venv module was found; install one (Debian: python3 and python3-venv)' >&2
		exit 1
	fi
	rm -f $(STAMP)
	if ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
		echo "make setup: making $(VENV) with $$($$python -V)"
		$$python -m venv --clear $(VENV)
	fi
	echo 'make setup: installing the packages; the first time this takes some minutes and 6 GB'
	if ! $(BIN)/python -m pip install -qq -c constraints.txt -e '.[server,dev]'; then
		echo 'make setup: the packages could not be installed; see above, and try again' >&2
		exit 1
	fi
	$(BIN)/pyright --version
	touch $(STAMP)

# Without them the tests of pages that use them are left out.
tools:
	@missing=$$(for tool in $(TOOLS); do command -v $$tool >/dev/null || echo $$tool; done)
	if [ -z "$$missing" ]; then exit 0; fi
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "make test: installing $$missing"
		apt-get -qq update && apt-get -qq install --no-install-recommends -y $$missing >/dev/null && exit 0
	fi
	echo "make test: install $$missing, or the tests of some pages are left out" | tr '\n' ' ' >&2

demo: setup
	@exec $(BIN)/python examples/demo.py $(DATASET)

test: setup tools
	@failed=()
	run() { echo "== $$*"; "$(BIN)/$$1" "$${@:2}" || failed+=("$$1"); }
	run ruff format --check
	run ruff check
	run pyright
	run lint-imports
	run pytest -n $(JOBS)
	if [ $${#failed[@]} -gt 0 ]; then echo "make test: failed: $${failed[*]}" >&2; exit 1; fi

soak: setup
	@exec $(BIN)/python -m tests.faults.soak

check: setup
	@$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: setup
	@$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	@rm -rf $(VENV) build dist demo *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
