# Two commands on a fresh machine: make site, make test. Each installs what it needs, pinned.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The parts $(1) of constraints.txt, every file by its digest.
PINNED = sed -n $(foreach part,$(1),-e '/^\# $(part)$$/,/^\# /p') constraints.txt > $(VENV)/pinned.txt && $(PIP) --require-hashes --requirement $(VENV)/pinned.txt
# Linux without an NVIDIA card takes PyTorch's build for processors, a tenth of the size, if its index answers; it is
# pinned by version, since the digests are PyPI's. TORCH_INDEX= takes PyPI's build, TORCH_INDEX=URL another one.
TORCH_INDEX ?= $(if $(wildcard /proc/driver/nvidia),,$(if $(filter Linux,$(shell uname -s)),https://download.pytorch.org/whl/cpu))
TORCH := $(shell sed -n 's/^\(torch\|torchvision\)==\([^ ;]*\).*/\1==\2/p' constraints.txt)

.PHONY: site pages fresh serve test check soak bench dataset clean help
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Noisebook needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# Planning and rendering: no torch.
$(VENV)/.pages: $(VENV)/bin/python constraints.txt pyproject.toml setup.py
	@$(call PINNED,pages)
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Computing.
$(VENV)/.compute: $(VENV)/.pages
	@[ -z "$(TORCH_INDEX)" ] || $(PIP) --no-deps --retries 0 --timeout 15 --index-url "$(TORCH_INDEX)" $(TORCH) 2>/dev/null || true
	@if $(BIN)/python -m pip freeze | grep -q '^torch==.*+'; then $(call PINNED,compute); else $(call PINNED,compute torch); fi
	@touch $@

$(VENV)/.test: $(VENV)/.compute
	@$(call PINNED,test)
	$(BIN)/python tests/ensure_browser.py
	$(BIN)/python tests/ensure_actionlint.py
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
