.DEFAULT_GOAL := help
.PHONY: help demo test storm check docs release-check format lock browser
# Tests start many programs; without compiled modules each would need seconds more to import torch.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
PYTHONS ?= 3.11 3.12 3.13
BIN := .venv/bin
# All extras but the programs fiftyone and napari, which bring a hundred packages: `make release-check` tries them.
LOCKED := $(addprefix --extra ,cvat export geo heif hub onnx ray studio tables track)
FIND_UV := if uv --version >/dev/null 2>&1; then uv=uv; \
	elif $(PYTHON) -m pip install --quiet uv 2>/dev/null; then uv="$(PYTHON) -m uv"; \
	else $(PYTHON) -m venv .venv-uv && .venv-uv/bin/pip install --quiet uv && uv=.venv-uv/bin/uv; fi

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile

demo: .venv/.ready  ## train, score and predict on generated scenes: runs/demo
	$(BIN)/picie demo --out runs/demo --overwrite

test: .venv/.ready node_modules/.ready browser  ## all tests, and every example in docstrings, README and docs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

storm: .venv/.ready  ## kills, full disks, crowds and hostile files, for minutes: STORM="--seed 1 --count 3"
	$(BIN)/python -m tests.storm.run $(STORM)

check: .venv/.ready node_modules/.ready  ## format, lint, types, direction of imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_layers.py
	@if test -x node_modules/.bin/tsc; then node_modules/.bin/tsc -p tsconfig.json; fi

docs: .venv/.ready  ## the documentation as a site: site/index.html
	$(BIN)/python docs/reference.py
	NO_COLOR=1 $(BIN)/zensical build --clean --strict
	$(BIN)/python docs/make_search.py site
	$(BIN)/python docs/check_site.py site

release-check:  ## build, and install what a release would publish: PYTHONS="3.11 3.12 3.13"
	@$(FIND_UV); UV="$$uv" $(PYTHON) release/check.py --pythons $(PYTHONS)

format: .venv/.ready  ## rewrite the code in the one format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock:  ## renew requirements.lock from pyproject.toml
	@$(FIND_UV); $$uv pip compile pyproject.toml --group dev $(LOCKED) --universal --python-version 3.11 \
		--no-annotate --no-header --quiet -o requirements.lock

.venv/.ready: requirements.lock pyproject.toml
	@set -e; $(FIND_UV); \
	test -x $(BIN)/python || $$uv venv --python '>=3.11' .venv; \
	$$uv pip install --python $(BIN)/python -r requirements.lock; \
	$$uv pip install --python $(BIN)/python --no-deps --editable .
	@touch $@

# For the studio's page: its types and its accessibility are checked where there is npm.
node_modules/.ready: package-lock.json
	@if npm --version >/dev/null 2>&1; then npm ci --no-audit --no-fund --silent && touch $@; \
	else echo "no npm: the types and the accessibility of the studio's page are not checked"; fi

# For the tests of pages, which are skipped without.
browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || test "$$(id -u)" != 0 || \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 || \
	echo "no Chromium could be installed: the tests of pages are skipped"
