# Two commands for a newcomer: `make demo` and `make test`. Both do all their own set-up and can be repeated.
SHELL := /bin/bash
CACHE ?= $(or $(SHARDYARD_CACHE),$(HOME)/.cache/shardyard)
export SHARDYARD_CACHE := $(CACHE)
PY := .venv/bin/python

.PHONY: demo test lint format unit docs testbed setup clean

setup: .venv/.ready

.venv/.ready: pyproject.toml runtime/pyproject.toml scripts/setup-venv.sh
	bash scripts/setup-venv.sh

testbed: setup
	bash scripts/setup-testbed.sh

demo: testbed
	$(PY) -m tests.testbed exec -- bash scripts/demo.sh

lint: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy toolkit/shardyard runtime/shardyard_runtime

format: setup
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

# The pages of the commands, from their definitions.
docs: setup
	$(PY) scripts/command_pages.py

unit: setup
	$(PY) -m pytest tests/unit -q

test: lint testbed
	$(PY) -m pytest tests/unit tests/integration -q

# A benchmark prints its figures, the last line as one JSON object: make bench-pipeline runs benchmarks/pipeline.
bench-%: testbed
	$(PY) -m benchmarks.$*

# What takes long is run by hand: make soak-engine runs tests/soak/test_engine.py.
soak-%: testbed
	$(PY) -m pytest tests/soak/test_$*.py -q

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis out dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
