# kg2at. `make` lists the targets; Python 3.10 or later and make are all that's needed.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN    := $(VENV)/bin
INSTALL := -m pip install --quiet --disable-pip-version-check

# With a Spark of your own (SPARK_HOME set) none is installed; else a whole one, Java and Toree come with it.
ifdef SPARK_HOME
EXTRAS ?= dev
READY  := $(VENV)/.ready-own-spark
else
EXTRAS ?= dev,embedded
READY  := $(VENV)/.ready-embedded
endif

# Each process that a test starts would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run demo test test-unit test-integration test-e2e test-browser test-pythons test-lowest test-next coverage lint format bench dist clean
.SECONDARY:

help:  ## list the targets
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
	  printf '  make %-16s %s\n' "$$target" "$$text"; done
	@echo 'ARGS="..." goes to run, demo, coverage, the tests and bench; PYTHON=... is the Python to set up with (default: python3).'

setup: $(READY)  ## install everything into .venv; once, and again when setup.cfg changes

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo 'kg2at needs Python 3.10 or later; name one: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) can't make a virtual environment: it has no ensurepip. Install it (Debian, Ubuntu: the package" \
	    'python3-venv), or name another Python: make PYTHON=python3.12 ...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(READY): setup.cfg | $(BIN)/python
	$(BIN)/python $(INSTALL) --editable '.[$(EXTRAS)]'
ifdef SPARK_HOME
	@[ -n "$$TOREE_HOME" ] || $(BIN)/jupyter kernelspec list 2>/dev/null | grep -qi toree || \
	  $(BIN)/python $(INSTALL) 'toree==0.5.0'
endif
	@touch $@

# Without KG_AUTH_TOKEN kg2at makes a token, and prints the one it made; nobody gets in without.
run: $(READY)  ## serve Toree kernels; prints the URL, its token and how JupyterLab connects
	@exec $(BIN)/jupyter kernelgateway --KernelGatewayApp.api=kg2at_personality \
	  --KG2ATPersonality.allow_unauthenticated=False $(ARGS)

demo: $(READY)  ## run the notebooks of examples/ through a gateway on a Spark cluster of its own, then stop both
	@exec $(BIN)/python examples/demo.py $(ARGS)

test: $(READY)  ## all tests but those in a browser
	@exec $(BIN)/python -m pytest -m 'not browser' $(ARGS)

# Five at a time on two processors: they wait for processes longer than they compute.
SIDE_BY_SIDE := -p no:schemathesis -n 5 --dist worksteal
UNIT := -m pytest -m 'not integration and not e2e and not browser' $(SIDE_BY_SIDE)

test-unit: $(READY)  ## the tests that need neither a JVM nor programs of others
	@exec $(BIN)/python $(UNIT) $(ARGS)

test-integration: $(READY)  ## the tests with pip, JupyterHub, Jupyter Server, schemathesis, hundreds of websockets
	@exec $(BIN)/python -m pytest -m integration -n 3 --dist worksteal $(ARGS)

# Two files at a time: each has a gateway and a cluster of its own, and waits as often as it computes.
test-e2e: $(READY)  ## the tests with a real Spark and Toree
	@exec $(BIN)/python -m pytest -m e2e -n 2 --dist loadfile $(ARGS)

test-browser: $(VENV)/.ready-browser .venv-jupyterlab/.ready  ## JupyterLab on a real gateway, in Chromium
	@.ci/chromium install >/dev/null && exec $(BIN)/python -m pytest -m browser $(ARGS)

$(VENV)/.ready-browser: setup.cfg | $(READY)
	$(BIN)/python $(INSTALL) --editable '.[$(EXTRAS),browser]'
	@touch $@

# Apart from the gateway, as people have it; the release of the day.
.venv-jupyterlab/.ready:
	@[ -x .venv-jupyterlab/bin/python ] || $(PYTHON) -m venv .venv-jupyterlab
	.venv-jupyterlab/bin/python $(INSTALL) --upgrade 'jupyterlab<5'
	@touch $@

# The version of setup's Python is left out: test-unit has it.
# They try a fifth of the examples of hypothesis: what a Python does otherwise, test-unit's examples would not show more of.
test-pythons: $(READY)  ## the unit tests on the oldest and the newest supported Python that is at hand
	@main=$$($(BIN)/python -c 'import sys; print("{}.{}".format(*sys.version_info))'); \
	others=$$(.ci/pythons | sed -n '1p;$$p' | cut -d' ' -f1 | grep -vx "$$main" | uniq); \
	[ -n "$$others" ] || echo "No supported Python is at hand but $$main, which test-unit takes."; \
	for version in $$others; do echo "Python $$version:"; $(MAKE) --no-print-directory test-python-$$version || exit; done

test-python-%: .venv-%/.ready
	@KG2AT_TEST_EXAMPLES=$${KG2AT_TEST_EXAMPLES:-0.2} exec .venv-$*/bin/python $(UNIT) $(ARGS)

test-lowest: .venv-lowest/.ready  ## the unit tests on the lowest versions of the libraries that setup.cfg lets in
	@exec .venv-lowest/bin/python $(UNIT) $(ARGS)

# pip would keep to the bounds in setup.cfg if it installed kg2at in the same go.
test-next:  ## the unit tests on the newest versions of the libraries, pre-releases and next majors too
	@[ -x .venv-next/bin/python ] || $(PYTHON) -m venv .venv-next
	.venv-next/bin/python $(INSTALL) --editable '.[test]'
	.venv-next/bin/python $(INSTALL) --pre --upgrade $$(sed -n 's/==.*//p' tests/constraints-lowest.txt)
	@exec .venv-next/bin/python $(UNIT) $(ARGS)

.venv-lowest/.ready: setup.cfg tests/constraints-lowest.txt
	@rm -rf .venv-lowest; python=$$(.ci/pythons | sed -n '1s/[^ ]* //p'); "$${python:-$(PYTHON)}" -m venv .venv-lowest
	.venv-lowest/bin/python $(INSTALL) --constraint tests/constraints-lowest.txt --editable '.[test]'
	@touch $@

.venv-%/.ready: setup.cfg
	@[ -x .venv-$*/bin/python ] || "$$(.ci/pythons | sed -n 's/^$* //p')" -m venv .venv-$*
	.venv-$*/bin/python $(INSTALL) --editable '.[test]'
	@touch $@

coverage: $(READY)  ## the tests without a JVM, and which lines and branches of the package they leave out
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -m 'not e2e and not browser' $(SIDE_BY_SIDE) $(ARGS)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

lint: $(READY)  ## ruff, and mypy in strict mode
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## what kg2at costs beside the stock gateway
	@exec $(BIN)/python -m tests.bench $(ARGS)

dist: $(READY)  ## sdist and wheel, in dist/
	$(BIN)/python -m build

clean:  ## remove what the other targets made
	rm -rf $(VENV) .venv-* build dist *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
