# Gemba: every target says what it does. Needs Python 3.11 and make; the rest is fetched once into .venv and node_modules.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
PY := .venv/bin/python
SPEED ?= 1
TESTS ?= tests
WORKERS ?= 3  # many tests wait for something; two cores have room for three

.PHONY: help setup web services demo test test-full bench lint build screenshots clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## .venv from the lock file, and the web apps built
	@$(PYTHON) .ci/prepare.py venv
	@$(PY) .ci/prepare.py web

services:
	@$(PY) .ci/prepare.py services

demo: setup ## a living plant in the browser: PLCs, meters, edges, broker, server, ERP, operators (Ctrl-C ends it)
	@$(PY) -m simulators run --scenario demo --speed $(SPEED)

test: setup services ## every test but the long ones (under 15 minutes on 2 cores)
	@echo "» testing (PostgreSQL, Mosquitto and Chromium are started by the tests themselves)"
	@GEMBA_TEST_FLOOR=1 $(PY) -m pytest $(TESTS) -m "not full" -n $(WORKERS) --dist loadfile --no-loadscope-reorder -q

test-full: setup services ## all tests in slices (5 to 7 hours; SLICE=edge runs one): 8-hour plants, every seed, 500 kills, fault sweeps
	@$(PY) -m tests.full --workers $(WORKERS) $(if $(SLICE),--slice $(SLICE))

bench: setup ## benchmarks in turn, each with a peer or a limit beside it, and at the end the goals (half an hour)
	@$(PY) .ci/prepare.py peers
	@$(PY) -m benchmarks

lint: setup ## ruff, mypy strict, import contracts
	@echo "» ruff"; $(PY) -m ruff check . && $(PY) -m ruff format --check .
	@echo "» mypy"; $(PY) -m mypy
	@echo "» import contracts"; .venv/bin/lint-imports

build: setup ## a wheel with the built web apps inside; it installs and runs without Node
	@echo "» building dist/"; $(PY) -m hatchling build -t wheel -d dist && ls -l dist/*.whl

screenshots: setup services ## every screen in zh and en into docs/screens/
	@$(PY) -m tests.browser.screenshots

clean: ## removes what was built and the demo's data; keeps .venv and node_modules
	@echo "» removing build results and .demo"; rm -rf dist build mes_server/static .demo .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -not -path './node_modules/*' -prune -exec rm -rf {} +
