PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := out/demo
DEMO_CLIPS := talker-with-second-talker talker-with-noise

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format samples clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## create .venv with the tested versions (redone when they change)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,dev]'
	touch $@

demo: setup ## clean the voice in the sample clips; scores before and after
	@mkdir -p $(DEMO)
	@set -e; for clip in $(DEMO_CLIPS); do \
		$(BIN)/avse enhance samples/$$clip.mp4 -o $(DEMO)/$$clip.mp4 --force \
			--reference samples/$$clip.reference.wav --report $(DEMO)/$$clip.json; \
	done
	@echo "Before: samples/  After: $(DEMO)/"

test: lint ## lint, then run the tests
	$(BIN)/pytest

lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## put the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

samples: setup ## make the sample clips anew
	$(BIN)/avse samples samples --force

clean: ## remove what the tools leave behind (not .venv)
	rm -rf build dist out *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find avse cli checkpoints tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
