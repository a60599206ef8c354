# `make` says what there is. Everything runs in .venv, which `make setup` makes.
SHELL := bash
BIN := .venv/bin
PYTEST := $(BIN)/pytest
JOBS ?= logical
MINUTES ?= 30

.PHONY: help setup servers lint check test faults soak thousand demo docs spec bench lock

help: ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: ## make .venv from requirements.lock; quick when nothing changed
	@tools/set-up

servers: ## install RabbitMQ, Redis, PostgreSQL and qemu for the tests (Debian, as root)
	@tools/install-servers

lint: setup
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint ## the gate of every commit: format, rules, types, floors, unit tests
	$(PYTEST) -n $(JOBS) tests/unit

test: setup servers ## set everything up and run all tests, on real brokers and databases
	$(PYTEST) -n $(JOBS) --dist worksteal tests

faults: setup servers ## run the whole fault suite, with what is too long for `make test`
	$(PYTEST) -n $(JOBS) -m "long or not long" tests/faults
	$(PYTEST) -n $(JOBS) -m long tests/contract tests/integration tests/unit

soak: setup servers ## break fleets at random for MINUTES=30; SEED=n begins with that history
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

thousand: setup servers ## 1000 jobs on 20 nodes while every program is killed, for MINUTES=10
	$(BIN)/python -m tests.faults.thousand $(if $(filter command line environment,$(origin MINUTES)),--minutes $(MINUTES))

demo: setup ## start a fleet of three nodes and let it do something
	@tools/demo

docs: setup ## write the parts of docs/ that are made from the code
	$(BIN)/python docs/make_schemas.py
	$(BIN)/python docs/make_reference.py
	UPDATE_DOCS=1 $(PYTEST) -q tests/unit/api/test_reference.py
	$(BIN)/python -m tests.spec_table

spec: setup ## write docs/spec.md: what is promised, and which test holds it
	$(BIN)/python -m tests.spec_table

bench: setup ## measure everything, shortly; docs/benchmarks.md tells what
	@$(BIN)/python -m benchmarks

lock: setup ## resolve the dependencies anew; the lock names no package index
	$$(command -v uv || echo .uv/bin/uv) pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --all-extras --no-emit-index-url --no-annotate --no-header --upgrade \
	  pyproject.toml --output-file requirements.lock
