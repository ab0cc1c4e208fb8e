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

.PHONY: help run test fuzz test-faults test-batches test-pgbouncer failover test-rolling test-nginx test-releases test-previous test-migrations bench bench-images profile bench-logins test-cache bench-reads bench-paths bench-tasks bench-warming bench-backup test-coverage lint lint-migrations lint-workflows fmt build bump release release-check deploy test-terraform security dashboards docs migrate seed loadtest lock clean

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

test-batches: $(VENV)/dev.installed  ## Kill workers while batches run: make test-batches [BATCHES=1000] [SIZE=100]
	@FAULT_BATCHES=$(or $(BATCHES),1000) FAULT_BATCH_SIZE=$(or $(SIZE),100) $(BIN)/python -m pytest -p no:xdist \
		-k test_workers_killed_while_batches_run tests/faults/test_workflow_faults.py --timeout 7200

test-pgbouncer: $(VENV)/dev.installed  ## Run the end-to-end tests with PgBouncer in front of each database
	@POOLED=1 $(BIN)/python -m pytest $(BESIDE) tests/e2e

failover: $(VENV)/dev.installed  ## Fail the database over under load; writes docs/deployment.md: make failover ARGS=
	@$(BIN)/python -m loadtests.failover --page docs/deployment.md $(ARGS)

rehearsal: $(VENV)/dev.installed  ## An installation's life under load; writes docs/deployment.md: make rehearsal ARGS=
	@$(BIN)/python -m loadtests.rehearsal --page docs/deployment.md $(ARGS)

test-rolling: $(VENV)/dev.installed  ## Restart processes, instances and workers 20 times under load
	@ROLLING_RESTARTS=$(or $(RESTARTS),20) ROLLING_RATE=$(or $(RATE),50) $(BIN)/python -m pytest --timeout 900 -p no:xdist \
		tests/e2e/test_rolling_restarts.py tests/faults/test_worker_restarts.py

test-previous: $(VENV)/dev.installed  ## Run the e2e tests of the release before on this schema: make test-previous [REV=...]
	@$(BIN)/python -m deploy.schema previous $(if $(REV),--rev $(REV)) $(TESTS)

test-migrations: $(VENV)/dev.installed  ## Migrate under 200 requests a second; writes docs/deployment.md
	@MIGRATION_RATE=200 MIGRATION_ROWS=$(or $(ROWS),1000000) MIGRATION_REPORT=docs/deployment.md \
		$(BIN)/python -m pytest -p no:xdist --timeout 900 tests/e2e/test_migrations_under_load.py

test-releases: $(VENV)/dev.installed  ## Break releases at 5 % in each way; writes its table into docs/deployment.md
	@RELEASES_REPORT=docs/deployment.md $(BIN)/python -m pytest --timeout 900 -p no:xdist \
		tests/e2e/test_releases.py

test-nginx: $(VENV)/dev.installed  ## Reload nginx and end instances behind it, 20 times under load
	@NGINX_RELOADS=$(or $(RELOADS),20) NGINX_ENDS=$(or $(ENDS),10) NGINX_RATE=$(or $(RATE),200) \
		$(BIN)/python -m pytest -s --timeout 900 -p no:xdist tests/e2e/test_nginx_restarts.py

bench: $(VENV)/dev.installed  ## Measure us beside Sanic, FastAPI and Go: make bench ARGS=--quick
	@$(BIN)/python -m loadtests.bench.compare $(ARGS)

bench-images: $(VENV)/dev.installed  ## Measure ways to make the variants of an image
	@$(BIN)/python -m loadtests.bench.images
	@$(BIN)/python -m loadtests.bench.images.avif

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

bench-backup: $(VENV)/dev.installed  ## Measure backups, restores, RTO and RPO: make bench-backup ARGS='--gb 1'
	@$(BIN)/python -m loadtests.bench.backup $(ARGS)

bench-tasks: $(VENV)/dev.installed  ## Measure our tasks beside Celery, dramatiq, procrastinate, PgQueuer and chancy: make bench-tasks ARGS="--trap 100000"
	@$(BIN)/python -m loadtests.bench.tasks $(ARGS)

test-terraform: $(VENV)/dev.installed  ## Check deploy/terraform: format, properties, checkov, apply against moto
	@TERRAFORM_APPLY=1 $(BIN)/python -m pytest -p no:xdist tests/deploy/test_terraform.py \
		tests/deploy/test_checkov.py tests/deploy/test_moto.py

test-coverage: $(VENV)/dev.installed  ## Run all tests and report branch coverage
	@$(BIN)/python -m pytest $(BESIDE) --cov --cov-report=term-missing:skip-covered

lint: $(VENV)/dev.installed  ## Check style, types, imports and commit messages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m deploy.schema lint
	@$(BIN)/enroll slo rules --check
	@$(BIN)/python -m deploy.observe.dashboards --check
	@$(MAKE) --no-print-directory lint-workflows
	@! git rev-parse --verify --quiet HEAD >/dev/null || $(BIN)/cz check --rev-range HEAD

lint-migrations: $(VENV)/dev.installed  ## Check that the new migrations hurt no release that runs
	@$(BIN)/python -m deploy.schema lint

lint-workflows: $(VENV)/dev.installed  ## Check the workflows of GitHub: syntax, safety, time limits
	@$(BIN)/actionlint
	@$(BIN)/zizmor --offline --quiet --persona pedantic .github
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

fmt: $(VENV)/dev.installed  ## Format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

build: $(VENV)/dev.installed  ## Build the sdist and the wheel into dist/
	@$(BIN)/python -m build --no-isolation --outdir dist .

bump: $(VENV)/dev.installed  ## Set the next version by the commits, and draft its notes in CHANGELOG.md
	@$(BIN)/cz bump --changelog --version-files-only --yes

release: $(VENV)/dev.installed  ## Check, build and tag the version of pyproject.toml: make release [DRY_RUN=1]
	@$(BIN)/python -m deploy.tag $(if $(DRY_RUN),--dry-run)

release-check: $(VENV)/dev.installed  ## Verify the release checklist, each line by running something
	@$(BIN)/python -m deploy.checklist

deploy: $(VENV)/run.installed  ## Release an image on AWS: make deploy ENVIRONMENT=production DIGEST=sha256:...
	@$(BIN)/python -m deploy.aws.deploy "$(ENVIRONMENT)" "$(DIGEST)"

# Without a network the dependencies are NOT CHECKED, and that fails: OFFLINE=1 lets it be.
security: $(VENV)/dev.installed  ## Scan code and dependencies, write dist/sbom.cdx.json
	@$(BIN)/python -m deploy.security $(if $(OFFLINE),--offline)

dashboards: $(VENV)/dev.installed  ## Write Grafana's dashboards and Prometheus's consoles
	@$(BIN)/python -m deploy.observe.dashboards

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

# These need Python, and docker or podman, and install nothing.
.PHONY: image image-base image-sbom docker-up docker-down
image:  ## Build the container image: make image [BASE=image]
	@$(PYTHON) -m deploy.image image $(if $(BASE),--base $(BASE))

image-base:  ## Make the base of the image from Debian's packages by mmdebstrap, in some minutes
	@$(PYTHON) -m deploy.image base

image-sbom:  ## Write the image's bill of materials to dist/image.cdx.json, by trivy
	@$(PYTHON) -m deploy.image sbom

docker-up:  ## Start all containers of deploy/compose.yaml: make docker-up [LOGS=1]
	@$(PYTHON) -m deploy.compose up $(if $(LOGS),--logs)

docker-down:  ## Stop them; the volumes stay
	@$(PYTHON) -m deploy.compose down

clean:  ## Remove what was installed and built; the data in DATA_DIR stays
	rm -rf $(VENV) .venv-bench dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov .coverage
