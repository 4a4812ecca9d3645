# Every target sets itself up first; a machine needs Python 3.11 or newer, make and git.
# Without make: `python3 .ci/bootstrap.py`, then the commands below by hand.

PYTHON ?= python3
DIR ?= demo-site
ROWS ?= 1000000
PAIRS ?= 3
PEOPLE ?= 10000
SEEDS ?= 1-6
TESTS ?=

BIN := .venv/bin
# Tests write thousands of small stores and wait for the disk at each; in memory, where there is room
# for all of them, they take two thirds of the time.
ROOM := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 6000000 {print "/dev/shm"}')
IN_MEMORY := $(if $(ROOM),TMPDIR=$(ROOM))

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long lint bench mutate soak lock clean

help:
	@echo 'make demo    a synthetic site with three nights in ./$(DIR), and what to open there'
	@echo 'make test    the tests (TESTS="-k word" for some); make test-long: those that take minutes'
	@echo 'make lint    ruff, mypy and the style of every .sql file'
	@echo 'make bench   speed against a floor measured in the same run (ROWS=$(ROWS) PAIRS=$(PAIRS))'
	@echo 'make mutate  which change of the ruleset no test would notice (about an hour on two cores)'
	@echo 'make soak    generated people against the oracle (PEOPLE=$(PEOPLE) each of SEEDS=$(SEEDS))'
	@echo 'make setup   .venv from requirements.lock; every other target does it when needed'
	@echo 'make lock    requirements.lock from pyproject.toml'
	@echo 'make clean   removes what the other targets made'

setup:
	@$(PYTHON) .ci/bootstrap.py

demo: setup
	@$(BIN)/b12screen demo $(DIR)

test: setup
	@$(IN_MEMORY) $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m "not long" $(TESTS)

test-long: setup
	@$(IN_MEMORY) $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m long $(TESTS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q tests/house/test_sql_style.py

bench: setup
	@$(BIN)/python -m tests.bench --rows $(ROWS) --pairs $(PAIRS)

mutate: setup
	@$(BIN)/python -m tests.mutation

soak: setup
	@$(BIN)/python -m tests.oracle --people $(PEOPLE) --seeds $(SEEDS)

# No address of any index may get into the lock: it has to work behind any mirror.
lock: setup
	@$(BIN)/uv pip compile pyproject.toml --quiet --extra dev --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements.lock

clean:
	rm -rf .venv demo-site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
