# `make help` lists the commands, as `make` alone does. Each sets up its own environment in .venv.

PYTHON ?= $(shell for p in python3.12 python3.11 python3.10 python3; do \
	if $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null; then echo $$p; break; fi; done)
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help demo demo-twin test test-slow lint setup lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1#\2/p' $(MAKEFILE_LIST) | awk -F'#' '{ printf "%-16s %s\n", $$1, $$2 }'

demo: setup ## record 50 demonstrations, train on them, evaluate from 50 unseen starts
	$(RUN) demo.py

demo-twin: setup ## teach a myCobot 320 where to put a cube, and run it on the arm's twin
	$(RUN) demo.py --twin

# Two workers, also on more cores: tests of the arm run in real time, and kill and time processes.
test: setup lint ## lint and tests
	$(RUN) -m pytest -n 2

test-slow: setup ## the tests that take minutes each
	$(RUN) -m pytest -m slow -o faulthandler_timeout=3600

lint: setup ## ruff alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

setup: $(VENV)/.complete ## the environment alone; with CPU=1 one without CUDA: docs/install.md

# The list is complete, so nothing is resolved; uv installs it many times faster than pip.
$(VENV)/.complete: requirements.txt requirements-cpu.txt
	@if [ -z "$(PYTHON)" ]; then echo "error: no Python 3.10, 3.11 or 3.12 found; install one, or: make PYTHON=/path/to/python3.11"; exit 1; fi
	@$(PYTHON) -m venv $(VENV) || (echo "error: $(PYTHON) cannot make environments; on Debian or Ubuntu: apt-get install python3-venv"; exit 1)
	$(RUN) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(RUN) --no-deps $(if $(CPU),--torch-backend cpu) -r requirements$(if $(CPU),-cpu).txt
	@touch $@

# After a change of the ranges in pyproject.toml: pin every package anew.
LOCKED := $(VENV)/locked.txt
CUDA := ^nvidia-|^cuda-|^triton=
lock: setup ## pin every package anew, after a change in pyproject.toml
	grep -hEv '^(#|-r)' requirements.txt requirements-cpu.txt > $(LOCKED)
	$(BIN)/uv pip compile --universal --python-version 3.10 --extra dev --no-annotate --no-header \
		pyproject.toml -o $(LOCKED)
	sed -i.old -n '/^#/p' requirements-cpu.txt && grep -Ev '$(CUDA)' $(LOCKED) >> requirements-cpu.txt
	sed -i.old -n '/^#/p;/^-r/p' requirements.txt && grep -E '$(CUDA)' $(LOCKED) >> requirements.txt
	$(BIN)/uv pip compile --universal --python-version 3.10 --group arm --no-annotate --no-header \
		-c requirements-cpu.txt -o $(LOCKED)
	sed -i.old -n '/^#/p' requirements-arm.txt && cat $(LOCKED) >> requirements-arm.txt
	rm requirements*.txt.old

clean: ## remove the environment
	rm -rf $(VENV)
