# Two commands are enough: `make up` runs the platform, `make test` passes the tests. Each sets up what it needs.

VENV ?= .venv
JOBS ?= auto
ARGS ?=
export VENV
# Where it is set (containers like to), every worker of the tests and every process that they start would compile again
# what it imports.
unexport PYTHONDONTWRITEBYTECODE

bin := $(VENV)/bin
# Tests of one kind of process share an xdist worker (see tests/conftest.py), the rest fill what is left.
pytest := -m pytest -q -n $(JOBS) --maxprocesses 8 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help up test check cover lint lock clean

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

up: ## Set up what is missing and run the platform (ARGS="-c holdfast.yaml" for your own file).
	@scripts/setup runtime && exec $(bin)/holdfast up $(ARGS)

test: ## Set up what is missing and run the tests (ARGS="tests/unit -k name" for some of them).
	@scripts/setup dev
	@$(bin)/python $(pytest) $(ARGS)

lint: ## Style, types and the import contracts, without the tests.
	@scripts/setup dev
	@echo "check: ruff" && $(bin)/ruff check -q && $(bin)/ruff format -q --check
	@echo "check: mypy" && $(bin)/mypy --num-workers auto
	@echo "check: import-linter" && $(bin)/lint-imports --no-logo >$(VENV)/.imports 2>&1 || { cat $(VENV)/.imports; exit 1; }

check: lint ## What CI runs: lint, then all tests.
	@echo "check: pytest" && $(bin)/python $(pytest)

cover: ## Which lines and branches the tests reach (a third slower; ARGS="tests/unit" for those of some).
	@scripts/setup dev
	@$(bin)/coverage erase && $(bin)/coverage run $(pytest) $(ARGS)
	@$(bin)/coverage combine -q && $(bin)/coverage report

lock: ## Renew requirements/*.txt after a change of a *.in (ARGS=--upgrade for newer versions).
	@scripts/setup dev
	@scripts/lock $(ARGS)

clean: ## Remove the environment, caches and build results; data stays.
	@rm -rf $(VENV) dist build .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
