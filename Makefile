# What one runs while working on HUP. `make` alone lists it. Another Python: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV ?= .venv
# Optional parts of HUP to install: make EXTRAS="dev spark" venv
EXTRAS ?= dev
ifneq ($(filter docs,$(MAKECMDGOALS)),)
override EXTRAS += docs
endif
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# Folder with appliances.txt and computers.txt, the public JD samples, for the report; without it, simulated data alone.
DATA ?= $(wildcard ../shared/data/jd)
# More or other tests: make test PYTEST="tests/nn -x"
PYTEST ?=
# How many mutants, which ones, and processes at a time: make mutants SEED=7 N=20 JOBS=2
N ?= 60
SEED ?= 0
JOBS ?= 1

# An environment works only where it was made. The mark holds that place, so that a copied tree makes its own, and the
# extras that are installed.
ifneq ($(shell sed -n 1p $(INSTALLED) 2>/dev/null),$(CURDIR))
.PHONY: $(INSTALLED)
endif
ifneq ($(filter-out $(shell sed -n 2p $(INSTALLED) 2>/dev/null),$(EXTRAS)),)
.PHONY: $(INSTALLED)
endif

.PHONY: help venv demo serve-demo report test test-slow mutants lint format types docs notebooks bench clean
.DEFAULT_GOAL := help

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS='	' read -r name what; do \
	    printf '  make %-10s %s\n' "$$name" "$$what"; done

venv: $(INSTALLED) ## make .venv and install HUP into it, for development
	@echo "$(VENV) is ready: source $(VENV)/bin/activate"

$(INSTALLED): pyproject.toml scripts/venv.sh
	@scripts/venv.sh "$(PYTHON)" "$(VENV)" "$(EXTRAS)"

demo: $(INSTALLED) ## the main job end to end on simulated data: prepare, train, evaluate, recommend
	@PATH="$(abspath $(VENV))/bin:$$PATH" scripts/demo.sh demo

serve-demo: $(INSTALLED) ## the simulated shop, live: the service, its page, and users that shop in it (Ctrl-C stops)
	@PATH="$(abspath $(VENV))/bin:$$PATH" scripts/serve-demo.sh demo/live

report: $(INSTALLED) ## every model on the JD samples in DATA and on a simulated shop, as report/report.html (hours)
	@PATH="$(abspath $(VENV))/bin:$$PATH" scripts/report.sh report $(DATA)

test: $(INSTALLED) ## all tests but the slow ones
	@$(RUN) -m pytest -n 2 --dist worksteal -m "not slow" $(PYTEST)

test-slow: $(INSTALLED) ## the slow tests: README and demo as written, proofs on whole samples
	@$(RUN) -m pytest -n 2 --dist worksteal -m slow $(PYTEST)

mutants: $(INSTALLED) ## change single lines and see whether tests fail: a sample of N drawn by SEED (an hour or more)
	@$(RUN) scripts/mutants.py --n $(N) --seed $(SEED) --jobs $(JOBS)

lint: $(INSTALLED) ## ruff: rules and format
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

format: $(INSTALLED) ## let ruff mend what it can
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

types: $(INSTALLED) ## mypy, strict
	@$(RUN) -m mypy

docs: $(INSTALLED) ## this documentation as a site: site/index.html, without a server or a network
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --clean --quiet
	@echo "site/index.html is ready"

notebooks: $(INSTALLED) ## run the notebooks, and keep what they print (some minutes)
	@$(RUN) scripts/notebooks.py

bench: $(INSTALLED) ## every benchmark at a small size
	@PATH="$(abspath $(VENV))/bin:$$PATH" scripts/bench.sh

clean: ## remove the environment, caches and what the demo made
	rm -rf "$(VENV)" demo build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
