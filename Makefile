# Everything runs in .venv, which the scripts make when it is missing or out of date.
# Only relative paths are used, so that the folder may have spaces in its name.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test lint docs torture soak bench clean
MINUTES ?= 60
STORE ?= both

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: ## Install what is missing, show jobs at work, serve at http://127.0.0.1:PORT (8000) until Ctrl-C
	@python="$$(sh scripts/find_python.sh)" && "$$python" scripts/setup_venv.py
	@.venv/bin/python examples/quickstart/main.py

test: ## Install what is missing and run every check and every test
	@python="$$(sh scripts/find_python.sh)" && "$$python" scripts/check.py test

lint: ## Run the static checks alone: format, rules, types, import walls
	@python="$$(sh scripts/find_python.sh)" && "$$python" scripts/check.py lint

docs: ## Write the generated parts of the docs anew (settings, command line, states, sums)
	@python="$$(sh scripts/find_python.sh)" && "$$python" scripts/setup_venv.py --dev
	@for part in settings cli state reliability performance; do .venv/bin/python scripts/write_$${part}_docs.py; done

torture: ## Do harm for MINUTES=60 to STORE=both by SEED=n, and note what came of it (reliability/)
	@python="$$(sh scripts/find_python.sh)" && "$$python" scripts/setup_venv.py --dev
	@.venv/bin/python scripts/torture.py --minutes $(MINUTES) --store $(STORE) $(if $(SEED),--seed $(SEED))

soak: ## Do the JOBS=720000 of a long day at once on STORE=sqlite, and see whether memory grows
	@python="$$(sh scripts/find_python.sh)" && "$$python" scripts/setup_venv.py --dev
	@.venv/bin/python scripts/soak.py --jobs $(or $(JOBS),720000) --store $(or $(filter-out both,$(STORE)),sqlite)

bench: ## Measure Jobpipe beside its peers (QUICK=1 in five minutes; CASES, SYSTEMS, ROUNDS, OUT, PLOTS, ADD=1)
	@python="$$(sh scripts/find_python.sh)" && "$$python" -m bench.harness.venvs
	@.bench/harness/bin/python -m bench $(if $(QUICK),--quick) $(if $(ADD),--add) \
	  $(if $(CASES),--cases "$(CASES)") $(if $(SYSTEMS),--systems "$(SYSTEMS)") \
	  $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(OUT),--out "$(OUT)") $(if $(PLOTS),--plots "$(PLOTS)")

clean: ## Remove .venv, caches and built files
	@rm -rf .venv .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find src tests examples scripts bench -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
