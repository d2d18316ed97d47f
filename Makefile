# setup builds .venv from constraints.txt; everything else runs inside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup demo test bench check clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "callfarm needs Python 3.11 or newer; run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing callfarm into $(VENV) (about a minute, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,providers]'
	@touch $@

setup: $(STAMP)  ## build .venv with everything pinned in constraints.txt

demo: $(STAMP)  ## a whole call on this machine: no key, no account
	@$(BIN)/callfarm demo

test: $(STAMP)  ## the test suite
	@$(BIN)/python -m pytest

bench: $(STAMP)  ## benchmarks, printed as medians and ratios
	@$(BIN)/python -m bench

check: $(STAMP)  ## format, lint, types, and the walls between the rooms
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@# A release imports its agents as modules of the top. What mypy knows of callfarm it knows here.
	@for folder in agents docs/examples/*/; do \
	  (cd $$folder && MYPYPATH=$(CURDIR):. $(CURDIR)/$(BIN)/mypy --cache-dir $(CURDIR)/.mypy_cache --config-file $(CURDIR)/pyproject.toml *.py) || exit 1; \
	done
	@$(BIN)/lint-imports

clean:  ## remove .venv, caches and var
	@rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis var
