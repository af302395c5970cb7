# Every target makes what it needs, also on a fresh machine: `make test`, `make demo`.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV ?= .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
DISPLAYED := scripts/with_display.sh
# Two at a time, with one thread each; tests of a file share what is slow to start.
PYTEST := env OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile
# Small runs are faster without one thread per core in each library.
export OMP_NUM_THREADS ?= 2
# No settings of the machine's owner in tests, and none of ours left behind.
export MPLBACKEND = Agg
export NO_MKDOCS_2_WARNING = 1

.PHONY: help demo test test-all test-lower-bounds lint format types manifest \
	release-check monkey soak pytest docs docs-serve screenshots wheel pins clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt scripts/make_environment.sh
	@scripts/system_packages.sh
	@scripts/make_environment.sh $(VENV)
	@touch $@

demo: $(READY) ## Open napari on a sample, train a U-Net, show the segmentation
	@$(PY) -m napari_unet demo

test: lint types manifest docs pytest ## Everything that every change must pass

test-all: lint types manifest docs $(READY) ## The same with the tests that take minutes
	$(DISPLAYED) $(PYTEST) $(ARGS)

lint: $(READY) ## Format and style
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

format: $(READY) ## Mend what ruff can mend
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

types: $(READY) ## Static types
	$(PY) -m mypy

manifest: $(READY) ## The plugin's manifest, and that every name in it can be imported
	$(DISPLAYED) $(PY) -m npe2 validate src/napari_unet/napari.yaml
	$(DISPLAYED) $(PY) -m npe2 validate --imports napari-unet-live

pytest: $(READY) ## The tests; choose with ARGS="-k engine"
	$(DISPLAYED) $(PYTEST) -m "not slow" $(ARGS)

test-lower-bounds: ## The tests with the oldest versions that pyproject.toml allows
	@scripts/system_packages.sh
	@scripts/lower_bounds.sh $(ARGS)

monkey: $(READY) ## Random actions in a real viewer; ARGS="--actions 3000 --seed 5"
	$(DISPLAYED) $(PY) tests/e2e/monkey.py $(ARGS)

soak: $(READY) ## An hour of work in a real viewer: does memory stay flat?
	$(DISPLAYED) $(PY) benchmarks/soak.py $(ARGS)

release-check: $(READY) ## What is released, in fresh environments; model files in the Zoo's library
	scripts/release_check.sh $(PY)
	scripts/check_bioimageio.sh $(PY) $(ARGS)

docs: $(READY) ## Build the documentation into site/
	$(PY) -m mkdocs build --strict

docs-serve: $(READY) ## Show the documentation while writing it
	$(PY) -m mkdocs serve

screenshots: $(READY) ## Renew the pictures of the documentation
	$(DISPLAYED) $(PY) scripts/screenshots.py

wheel: $(READY) ## Build wheel and source distribution into dist/
	$(PY) -m build

pins: $(READY) ## Write the versions of this environment into constraints.txt
	@scripts/pin.sh $(PY)
	@touch $(READY)

clean: ## Remove what was built, the environment too
	rm -rf $(VENV) .venv-lower-bounds build dist site demo-output .coverage \
		.mypy_cache .pytest_cache .ruff_cache
