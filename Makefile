# Everything goes through these targets, CI too. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
export PYTHONDONTWRITEBYTECODE :=
# A file a process, in the order of the folders: the faults mostly wait, the others compute.
BESIDE := --numprocesses 3 --dist loadfile --no-loadscope-reorder

.PHONY: help run test fuzz test-faults bench bench-images profile bench-logins test-cache bench-reads bench-paths bench-tasks bench-warming test-coverage lint fmt build release security docs migrate seed loadtest lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

# A marker a lock: what is installed is what the lock says, and nothing is installed twice.
$(VENV)/run.installed: requirements.lock pyproject.toml
	@echo "setting up: installing what the service needs into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.installed: requirements-dev.lock $(VENV)/run.installed
	@echo "setting up: installing what the tests and checks need into $(VENV)"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

run: $(VENV)/run.installed  ## Run the whole service on this machine; Ctrl-C stops all
	@exec $(BIN)/python -m deploy.embedded

test: $(VENV)/dev.installed  ## Run all tests, on real servers
	@$(BIN)/python -m pytest $(BESIDE) --durations 20

fuzz: $(VENV)/dev.installed  ## Fuzz the whole API as either role: make fuzz EXAMPLES=2000
	@FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) STATES=$(or $(STATES),200) \
		FUZZ_REPORT=$(or $(FUZZ_REPORT),loadtests/results/fuzz-$(shell date -u +%F).md) \
		$(BIN)/python -m pytest -s tests/security/test_fuzz.py tests/security/test_state_machine.py

test-faults: $(VENV)/dev.installed  ## Pull every plug under 500 tasks each; writes docs/faults.md
	@FAULT_TASKS=500 FAULT_REPORT=docs/faults.md $(BIN)/python -m pytest tests/faults --timeout 900

bench: $(VENV)/dev.installed  ## Measure us beside Sanic, FastAPI and Go: make bench ARGS=--quick
	@$(BIN)/python -m loadtests.bench.compare $(ARGS)

bench-images: $(VENV)/dev.installed  ## Measure ways to make the variants of an image
	@$(BIN)/python -m loadtests.bench.images

test-cache: $(VENV)/dev.installed  ## Look for a stale read in 10,000 writes while Redis is mistreated
	@CACHE_WRITES=$(or $(CACHE_WRITES),10000) CACHE_REPORT=loadtests/results \
		$(BIN)/python -m pytest tests/e2e/test_cache_stress.py tests/e2e/test_database_late.py -p no:xdist

profile: $(VENV)/dev.installed  ## Draw flame graphs of a cached read, and price its parts
	@$(BIN)/python -m loadtests.bench.profile

bench-logins: $(VENV)/dev.installed  ## Measure what logins give away, and what a storm of them does
	@$(BIN)/python -m loadtests.bench.logins $(ARGS)

bench-reads: $(VENV)/dev.installed  ## Measure ways from rows to JSON
	@$(BIN)/python -m loadtests.bench.reads

bench-paths: $(VENV)/dev.installed  ## Measure what a request costs by its path: make bench-paths ARGS=--dry
	@$(BIN)/python -m loadtests.bench.paths $(ARGS)

bench-warming: $(VENV)/dev.installed  ## Measure what warming gains after a restart
	@$(BIN)/python -m loadtests.bench.warming

bench-tasks: $(VENV)/dev.installed  ## Measure our tasks beside Celery, procrastinate and dramatiq
	@$(BIN)/python -m loadtests.bench.tasks $(ARGS)

test-coverage: $(VENV)/dev.installed  ## Run all tests and report branch coverage
	@$(BIN)/python -m pytest $(BESIDE) --cov --cov-report=term-missing:skip-covered

lint: $(VENV)/dev.installed  ## Check style, types, imports and commit messages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@! git rev-parse --verify --quiet HEAD >/dev/null || $(BIN)/cz check --rev-range HEAD

fmt: $(VENV)/dev.installed  ## Format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

build: $(VENV)/dev.installed  ## Build the sdist and the wheel into dist/
	@$(BIN)/python -m build --no-isolation --outdir dist .

release: $(VENV)/dev.installed  ## Check, build and tag the version of pyproject.toml: make release [DRY_RUN=1]
	@$(BIN)/python -m deploy.release $(if $(DRY_RUN),--dry-run)

# Without a network the dependencies are NOT CHECKED, and that fails: OFFLINE=1 lets it be.
security: $(VENV)/dev.installed  ## Scan code and dependencies, write dist/sbom.cdx.json
	@$(BIN)/python -m deploy.security $(if $(OFFLINE),--offline)

docs: $(VENV)/run.installed  ## Write the OpenAPI document to docs/openapi.json
	@$(BIN)/enroll openapi > docs/openapi.json

migrate: $(VENV)/run.installed  ## Bring the database of the settings up to date
	@$(BIN)/enroll migrate

seed: $(VENV)/run.installed  ## Fill the database: make seed COURSES=10000 ENROLLMENTS=1000000
	@$(BIN)/enroll seed --courses $(or $(COURSES),1000) --enrollments $(or $(ENROLLMENTS),10000)

loadtest: $(VENV)/dev.installed  ## Prove the SLOs: make loadtest SHAPE=sustained [HOST=http://...]
	@$(BIN)/python -m loadtests.load $(or $(SHAPE),smoke) $(if $(HOST),--host $(HOST)) $(ARGS)

lock: $(VENV)/dev.installed  ## Pin the newest versions that pyproject.toml allows, with hashes
	@$(BIN)/python deploy/lock.py

clean:  ## Remove what was installed and built; the data in DATA_DIR stays
	rm -rf $(VENV) .venv-bench dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov .coverage
