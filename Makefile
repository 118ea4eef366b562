# Tandem's few everyday commands. `make` alone lists them.
#   make PYTHON=/path/to/python3.11 …   another interpreter
#   make demo DATA=movielens-1m         the demo on real data
#   make test ARGS="-k index"           arguments for pytest
#   make test WORKERS=0                 tests one after the other, in one process
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-cluster flink-jars spark-jar lint format locks console-runtime clean

PYTHON ?=
DATA ?= synthetic
ARGS ?=
WORKERS ?= 2
BIN := .venv/bin
FLINK := $(CURDIR)/.cache/flink
SPARK := $(CURDIR)/.cache/spark
export PYTHON

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv from the hashed lock (does nothing when it is up to date)
	@requirements/install.sh all

demo: setup ## Run the whole loop once: ingest, train, federate, evaluate, serve
	@echo "[demo] tandem demo --data $(DATA)" >&2
	@$(BIN)/tandem demo --data $(DATA) $(ARGS)

test: setup ## Run all tests, the style and type checks and the import contracts among them
	@echo "[test] pytest in $(WORKERS) processes; 5 to 15 minutes ..." >&2
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-cluster: setup flink-jars spark-jar ## Run the tests on a Flink cluster and on Spark, on this machine (needs java and mvn)
	@echo "[test-cluster] one job manager, two task managers; 5 to 15 minutes ..." >&2
	@TANDEM_FLINK=$(FLINK) TANDEM_SPARK=$(SPARK) $(BIN)/python -m pytest tests/cluster $(ARGS)

flink-jars: $(FLINK)/job-server.jar $(FLINK)/lib ## Fetch Flink, and Beam's job server for it, into .cache/flink (needs mvn)

$(FLINK)/job-server.jar: pipelines/flink/job_server.xml
	@echo "[flink-jars] assembling $@ with mvn (about 160 MB) ..." >&2
	@mvn --batch-mode --quiet --file $< -Dbuild.folder=$(FLINK)/build package
	@mv $(FLINK)/build/job-server.jar $@ && rm -rf $(FLINK)/build

$(FLINK)/lib: pipelines/flink/cluster.xml
	@echo "[flink-jars] gathering $@ with mvn (about 60 MB) ..." >&2
	@rm -rf $@ && mvn --batch-mode --quiet --file $< -Dbuild.folder=$(FLINK)/build package
	@mv $(FLINK)/build/lib $@ && rm -rf $(FLINK)/build && touch $@

spark-jar: $(SPARK)/job-server.jar ## Fetch Spark with Beam's job server for it into .cache/spark (needs mvn)

$(SPARK)/job-server.jar: pipelines/spark/job_server.xml
	@echo "[spark-jar] assembling $@ with mvn ..." >&2
	@mvn --batch-mode --quiet --file $< -Dbuild.folder=$(SPARK)/build package
	@mv $(SPARK)/build/job-server.jar $@ && rm -rf $(SPARK)/build

lint: setup ## Run only ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

locks: ## Recompile the hashed locks from setup.cfg (needs uv)
	requirements/compile.sh

console-runtime: ## Fetch LiteRT for the browser and Swagger UI anew, byte for byte as committed (needs npm)
	serving/console/vendor/vendor.sh --keep-checksums
	serving/reference/vendor/vendor.sh --keep-checksums

clean: ## Remove .venv, caches and build products (workspaces such as .tandem stay)
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
