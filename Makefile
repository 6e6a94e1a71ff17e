# Two commands on a fresh machine: make site, make test. Each installs what it needs, pinned.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: site pages fresh serve test check soak bench dataset clean help
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Noisebook needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# Planning and rendering: no torch.
$(VENV)/.pages: $(VENV)/bin/python constraints.txt pyproject.toml
	$(PIP) .
	@touch $@

# Computing.
$(VENV)/.compute: $(VENV)/.pages
	$(PIP) '.[compute]'
	@touch $@

$(VENV)/.test: $(VENV)/.compute
	$(PIP) '.[cluster,compute,dataset,test]'
	$(BIN)/python tests/ensure_browser.py
	$(BIN)/python tests/ensure_sshd.py
	@touch $@

site: $(VENV)/.pages ## build the report: site/index.html (computes what the cache lacks)
	@$(BIN)/noisebook build --frozen 2>/dev/null || { \
	  status=$$?; [ $$status -eq 1 ] || { $(BIN)/noisebook build --frozen; exit $$status; }; \
	  $(MAKE) --no-print-directory $(VENV)/.compute && $(BIN)/noisebook build; }

pages: $(VENV)/.pages ## build from the committed cache alone: never computes, needs no torch
	@$(BIN)/noisebook build --frozen

fresh: $(VENV)/.compute ## everything from nothing: an empty store in .noisebook/fresh-cache
	$(BIN)/noisebook build --store .noisebook/fresh-cache --yes

serve: $(VENV)/.compute ## preview with live reload
	@$(BIN)/noisebook serve

check: $(VENV)/.test ## format, lint, arrows between rooms, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

test: check ## everything that a change must pass
	$(BIN)/python -m pytest -m "not soak"

soak: $(VENV)/.test ## the long fault and fuzz runs
	$(BIN)/python -m pytest -m soak

bench: $(VENV)/.test ## measurements, as ratios taken in one run
	@for file in bench/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

dataset: $(VENV)/.test ## the embedded models' picture library, from its sources
	$(BIN)/python -m tools.dataset

clean: ## remove what can be made again (not the cache)
	rm -rf site .noisebook $(VENV)
