# `make demo` and `make test` each do all the set-up on a machine that has only Python 3.11 to 3.13.
PYTHON ?= python3
VENV ?= .venv
# One test process a core, some gigabyte each; give PYTEST_ARGS= for one process alone.
PYTEST_ARGS ?= -n logical --maxprocesses 4 --dist loadfile
BIN := $(VENV)/bin

.PHONY: demo test lint format benchmark browser clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    set up, then segment the packaged video with the packaged model"
	@echo "make test    set up, then run the tests"
	@echo "make lint    set up, then ruff and mypy"

demo: $(VENV)/.ready
	@$(BIN)/ovvis demo --output demo/result --overwrite

test: $(VENV)/.ready-dev browser
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Tests of pages run in chromium; where it cannot be had they are skipped.
browser:
	@{ command -v chromium && command -v chromedriver; } >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing chromium, in which the tests open pages."; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
			chromium chromium-driver fonts-dejavu-core >/dev/null || echo "chromium could not be installed: tests of pages are skipped"; \
	else \
		echo "No chromium: tests of pages are skipped (as root: apt-get install chromium chromium-driver)"; \
	fi

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@for linter in "zizmor --offline --quiet .github" "hadolint Dockerfile"; do \
		[ ! -x $(BIN)/$${linter%% *} ] || { echo "$$linter"; $(BIN)/$$linter; } || exit 1; \
	done

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo .pytest_cache .ruff_cache .mypy_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else \
		f"ovvis needs Python 3.11 to 3.13, and $(PYTHON) is {v[0]}.{v[1]}; call make with PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV): some minutes and 5 GB the first time, most of it PyTorch."
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV): some minutes and 5 GB the first time, most of it PyTorch."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'trackeval>=1.3' tabulate || echo "No trackeval: its tests are skipped"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'trackers>=2.6' 'pydeprecate>=0.8' || echo "No trackers: the test against its SORT is skipped"
	@touch $@ $(VENV)/.ready
