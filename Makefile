# `make quickstart` and `make test` are all that a newcomer needs: Python 3.11 or newer, make and a package index.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# Two test processes of one thread each, for two cores; tests are small.
TEST_ENV := OMP_NUM_THREADS=1 CUBLAS_WORKSPACE_CONFIG=:4096:8

.DEFAULT_GOAL := check
.PHONY: check help setup quickstart test test-slow test-slurm test-all lint types format bench schema wheel-test clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

check: lint types test ## lint, types and tests: what CI runs

setup: .venv/.dev ## create .venv with segkit and what its developers need

quickstart: .venv/.run ## train, evaluate and look: 3 minutes on 2 CPU cores
	$(BIN)/segkit-train +experiment=quickstart

test: .venv/.dev ## the tests, in 15 minutes or less
	$(TEST_ENV) $(BIN)/pytest -n 2

test-slow: .venv/.dev ## the tests that take longer: a quarter of an hour
	$(TEST_ENV) $(BIN)/pytest -n 2 -m slow

test-slurm: .venv/.dev ## sweeps on a SLURM that is started for them, where its packages are installed
	$(TEST_ENV) $(BIN)/pytest -m slurm

test-all: test test-slow test-slurm ## all three

lint: .venv/.dev ## style, and imports that point one way
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/.dev ## static types
	$(BIN)/mypy

format: .venv/.dev ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.run ## the figures of docs/benchmarks.md, measured here
	$(BIN)/segkit-benchmark all

schema: .venv/.run ## the JSON Schemas that the YAML files refer to
	$(BIN)/segkit-config schema --write conf/.schema

wheel-test: .venv/.dev ## build the wheel, install it in an empty environment elsewhere, train there
	tests/wheel.sh

clean: ## everything that the targets above made, but for runs/
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer with venv is needed; set PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv .venv

.venv/.run: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ .venv/.run
