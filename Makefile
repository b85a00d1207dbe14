PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := out/demo
DEMO_CLIPS := talker-with-second-talker talker-with-noise

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-browser lint format samples docs images check-wheel clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

test: lint ## lint, then run the tests, on up to four cores
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

test-browser: setup ## try the reports and the page in a real browser (needs chromium)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[browser,ui]'
	$(BIN)/pytest -m browser tests/browser

lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## put the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

samples: setup ## make the sample clips anew
	$(BIN)/avse samples samples --force

docs: setup ## build the documentation into site/ (Python 3.11 or 3.12)
	$(BIN)/python -c "import material, mkdocstrings" || $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

images: setup ## make the images of README and docs/examples.md anew (needs chromium)
	MPLBACKEND=agg $(BIN)/python benchmarks/picture.py samples/talker-with-noise.mp4 \
		samples/talker-with-noise.reference.wav -o docs/images/before-after.png --audio docs/examples/noise
	MPLBACKEND=agg $(BIN)/python benchmarks/picture.py samples/talker-with-second-talker.mp4 \
		samples/talker-with-second-talker.reference.wav -o docs/images/second-talker.png --audio docs/examples/second-talker
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[browser,ui]'
	$(BIN)/python benchmarks/ui_picture.py samples/talker-with-second-talker.mp4 -o docs/images/ui.png

check-wheel: setup ## build wheel and sdist; run the installed wheel outside the repository
	tests/check_wheel.sh $(BIN)/python

clean: ## remove what the tools leave behind (not .venv)
	rm -rf build dist out site *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find avse cli checkpoints tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
