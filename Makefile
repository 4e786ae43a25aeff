# make test, make demo and make bench need Python 3.11 to 3.13, make and a package index; everything else they
# install themselves, once, into .venv. Another Python: make test PYTHON=python3.12

.DEFAULT_GOAL := help
# Whatever environment is active stays out of ours.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

# A name on PATH is not enough: it may be a launcher without a Python behind it, or lack venv.
SUITABLE := import ensurepip, sys, venv; assert (3, 11) <= sys.version_info < (3, 14); print("%d.%d" % sys.version_info[:2])
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c '$(SUITABLE)' >/dev/null 2>&1 && echo $$p && break; done)
VERSION := $(if $(PYTHON),$(shell $(PYTHON) -c '$(SUITABLE)' 2>/dev/null))
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed-$(VERSION)
PEERS_INSTALLED := $(VENV)/.installed-peers-$(VERSION)

# make bench ROWS="1_000_000 10_000_000" REPEAT=3; BENCH_ARGS="--data /mnt/big" where /tmp is small
ROWS ?= 1_000_000 10_000_000 30_000_000
REPEAT ?= 1

.PHONY: help demo test bench databases lint types clean

help:
	@echo "make demo   run an example DAG through Airflow and show the customer table"
	@echo "make test   run the test suite"
	@echo "make bench  measure against the floor and the peers: the table, and benchmarks/figures.svg"
	@echo "make databases  install what the tests of MariaDB and Firebird need (as root or with sudo)"
	@echo "make lint   ruff, linter and formatter"
	@echo "make types  mypy"
	@echo "make clean  remove everything that these made"

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(VERSION)" || { echo "No Python 3.11 to 3.13 with venv found; name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Setting up $(VENV) with Python $(VERSION) (once, a minute or two) ..."
	@$(BIN)/python -c 'import sys; assert "%d.%d" % sys.version_info[:2] == "$(VERSION)"' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --no-compile --no-input --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/python tools/demo.py

test: $(INSTALLED)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

$(PEERS_INSTALLED): $(INSTALLED)
	@echo "Installing the peers of the benchmark into $(VENV) (once) ..."
	@$(BIN)/python -m pip install -qq --no-compile --no-input --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@

bench: $(PEERS_INSTALLED)
	@$(BIN)/python -m benchmarks.run --rows $(ROWS) --repeat $(REPEAT) --out benchmarks/figures.json $(BENCH_ARGS)

databases: $(INSTALLED)
	@tools/install_databases.sh $(BIN)/python

lint: $(INSTALLED)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(INSTALLED)
	@$(BIN)/mypy

clean:
	rm -rf $(VENV) .airflow .hypothesis .mypy_cache .pytest_cache .ruff_cache
