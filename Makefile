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

# Small images, and a small network that learns from scratch, in half of the preset's samples: docs/train.md.
BRIEF := --config presets/small.json --batch_size 16 --num_steps 1400 --beta2 0.98 --early_share 0.2
DEMO := --task_name sim_transfer_cube_scripted --dataset_dir data/sim_transfer_cube_scripted
DEMO_TRAIN := $(DEMO) --ckpt_dir runs/demo $(BRIEF)

demo: setup ## record 50 demonstrations, train on them, evaluate from 50 unseen starts
	$(RUN) record_sim_episodes.py $(DEMO) --num_episodes 50
	$(RUN) imitate_episodes.py $(DEMO_TRAIN) --resume
	$(RUN) imitate_episodes.py $(DEMO_TRAIN) --eval --num_rollouts 50

# One policy that looks which place is free, on the stand-in of the real arm.
TWIN_TASK := --task_name sim_mycobot320_choose_scripted
TWIN_DATA := $(TWIN_TASK) --dataset_dir data/sim_mycobot320_choose_scripted

demo-twin: setup ## teach a myCobot 320 where to put a cube, and run it on a stand-in of the real arm
	$(RUN) record_sim_episodes.py $(TWIN_DATA) --num_episodes 50
	$(RUN) imitate_episodes.py $(TWIN_DATA) --ckpt_dir runs/demo_twin $(BRIEF) --resume
	$(RUN) model_runs.py --robot twin $(TWIN_TASK) --ckpt_dir runs/demo_twin --num_rollouts 10

test: setup lint ## lint and tests
	$(RUN) -m pytest -n 2

test-slow: setup ## the tests that take minutes each
	$(RUN) -m pytest -m slow -o faulthandler_timeout=3600

lint: setup ## ruff alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

setup: $(VENV)/.complete ## the environment alone

# The list is complete, so nothing is resolved; uv installs it many times faster than pip.
$(VENV)/.complete: requirements.txt
	@if [ -z "$(PYTHON)" ]; then echo "error: no Python 3.10, 3.11 or 3.12 found; install one, or: make PYTHON=/path/to/python3.11"; exit 1; fi
	@$(PYTHON) -m venv $(VENV) || (echo "error: $(PYTHON) cannot make environments; on Debian or Ubuntu: apt-get install python3-venv"; exit 1)
	$(RUN) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --python $(RUN) --no-deps -r requirements.txt
	@touch $@

# After a change of the ranges in pyproject.toml: pin every package anew.
lock: setup ## pin every package anew, after a change in pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.10 --extra dev --no-annotate \
		--custom-compile-command "make lock" pyproject.toml -o requirements.txt

clean: ## remove the environment
	rm -rf $(VENV)
