# `make demo` and `make test` each do all the set-up on a machine that has only Python 3.11 to 3.13.
# Another Python, beside what is there: make test PYTHON=python3.13 VENV=.venv313
PYTHON ?= python3
VENV ?= .venv
# One test process a core, some gigabyte each; give PYTEST_ARGS= for one process alone.
PYTEST_ARGS ?= -n logical --maxprocesses 4 --dist loadfile
BIN := $(VENV)/bin

.PHONY: demo test lint docs format lock browser clean asked
.DEFAULT_GOAL := help

help:
	@echo "make demo    set up, then segment the packaged video with the packaged model"
	@echo "make test    set up, then run the tests"
	@echo "make lint    set up, then ruff and mypy"
	@echo "make docs    set up, then build the documentation's site: build/manual/site/index.html"

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
	@for linter in "zizmor --offline --quiet .github" "hadolint Dockerfile" "actionlint"; do \
		[ ! -x $(BIN)/$${linter%% *} ] || { echo "$$linter"; $(BIN)/$$linter; } || exit 1; \
	done

docs: $(VENV)/.ready-dev
	$(BIN)/python tools/manual/build.py

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo build/manual .pytest_cache .ruff_cache .mypy_cache

# Newer versions of what we use: run the tests with them, then commit both files.
lock:
	uv lock --upgrade
	uv export --quiet --frozen --extra dev --prune torch --prune torchvision \
		--no-hashes --no-emit-workspace --no-annotate --no-header \
		| sed "s/ ; sys_platform == 'darwin' or sys_platform == 'linux' or sys_platform == 'win32'$$//" > constraints.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else \
		f"ovvis needs Python 3.11 to 3.13, and $(PYTHON) is {v[0]}.{v[1]}; call make with PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

# An environment that is there keeps its Python: one that is asked for by name is not left aside without a word.
MINOR := 'import sys; print("Python %d.%d" % sys.version_info[:2])'
asked: | $(VENV)/bin/python
	@[ "$(origin PYTHON)" = file ] || [ "$$($(PYTHON) -c $(MINOR))" = "$$($(BIN)/python -c $(MINOR))" ] || { \
		echo "$(VENV) has $$($(BIN)/python -c $(MINOR)), and $(PYTHON) is $$($(PYTHON) -c $(MINOR)): name another folder (VENV=.venv-other), or make clean"; exit 1; }

# With the versions of uv.lock: what another project publishes today breaks nobody's tests. PyTorch alone is left to
# the machine, which may have an index of its own for it (CPU only, or another CUDA).
$(VENV)/.ready: pyproject.toml constraints.txt | asked
	@echo "Installing into $(VENV): some minutes and 5 GB the first time, most of it PyTorch."
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml constraints.txt | asked
	@echo "Installing into $(VENV): some minutes and 5 GB the first time, most of it PyTorch."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps trackeval==1.3.0 tabulate==0.10.0 || echo "No trackeval: its tests are skipped"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt trackers==2.6.1 pydeprecate || echo "No trackers: the test against its SORT is skipped"
	@touch $@ $(VENV)/.ready
