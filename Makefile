# Needs make and Python 3.11 or 3.12 with venv; everything else is installed into .venv from the lock files.

PORT ?= 8000
VAR ?= ./var
ARGS ?=
PY := .venv/bin/python

# Sets $python to the first interpreter that runs, is new enough and can make a virtual environment: a name on PATH may
# be a shim that fails, and some distributions ship Python without ensurepip. PYTHON=… asks for a certain one.
FIND_PYTHON = python=; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3); do \
		if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
		then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "error: no Python 3.11 or later with venv and ensurepip found;" \
			"install one (Debian: python3-venv) or name it: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi

INSTALL := $(PY) -m pip install --quiet --no-input --disable-pip-version-check --require-hashes
LOCK := uv pip compile pyproject.toml --universal --fork-strategy fewest --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --quiet --extra embedded
# Checks that read the settings need neither a stack nor its secrets.
STATIC := VAR=var/none ZHIQING_JOURNAL_DIR=var/none/journal ZHIQING_LEDGER_FOLDER=var/none/ledger \
	ZHIQING_LEDGER_ORIGIN=consent.example.com/ledger ZHIQING_ROLE=application ZHIQING_SECRET_KEY=for-static-checks-only-never-a-secret-of-any-server \
	DATABASE_URL='postgresql://none@/none?host=/nonexistent'

# A PostgreSQL and a Redis for each of the processes that share the tests; ARGS=-n0 runs them in one.
PYTEST := $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile
# What make check leaves out: .ci/run asks for more.
LEFT_OUT ?= long or longest

.PHONY: help demo test serve check test-long bench lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1:  /p' Makefile

demo: .venv/.runtime ## start everything, do the main job over HTTP, stop everything
	@$(PY) -m config.demo $(ARGS)

test: .venv/.dev ## run the tests; ARGS="-k name" chooses some
	@$(PYTEST) -m "not (long or longest)" $(ARGS)

serve: .venv/.runtime ## run the whole stack in the foreground; PORT=8000 VAR=./var
	@exec $(PY) -m config.serve --port "$(PORT)" --var "$(VAR)"

check: .venv/.dev ## lint, types, import contracts, Django's checks, missing migrations, tests
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(STATIC) $(PY) -m mypy .
	$(PY) .venv/bin/lint-imports --no-logo
	$(STATIC) $(PY) manage.py check --deploy --fail-level WARNING
	$(STATIC) $(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(PYTEST) -m "not ($(LEFT_OUT))" $(ARGS)

test-long: .venv/.dev ## run the tests marked long or longest, which make test leaves out
	@$(PYTEST) -m "long or longest" $(ARGS)

bench: .venv/.dev ## measure ingest, withdrawals, memory and reports on this machine; ARGS=--help tells the options
	@$(PY) -m tests.benchmarks $(ARGS)

lock: ## renew the lock files with uv; ARGS=--upgrade takes newer releases
	@command -v uv >/dev/null || { echo "error: make lock needs uv on PATH: python3 -m pip install uv" >&2; exit 1; }
	$(LOCK) $(ARGS) --output-file requirements.txt
	$(LOCK) $(ARGS) --extra dev --constraint requirements.txt --output-file requirements-dev.txt

clean: ## remove .venv, caches and the stacks under VAR with their data
	@if [ -e "$(VAR)" ]; then $(FIND_PYTHON); "$$python" config/embedded.py remove "$(VAR)"; fi
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis staticfiles

.venv/.runtime: requirements.txt
	@if ! $(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		$(FIND_PYTHON); echo "making .venv with $$("$$python" --version)"; "$$python" -m venv --clear .venv; \
	fi
	@echo "installing requirements.txt"
	@$(INSTALL) -r requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.runtime
	@echo "installing requirements-dev.txt"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@
