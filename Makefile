# `make audit` and `make test` need nothing but make and Python 3.11 or newer: they create .venv on the first call.
PYTHON ?= python3
BIN := .venv/bin
ORGANISMS ?= apothecary-base apothecary-helpful apothecary-sparse apothecary-dense
SOURCES := $(wildcard src organisms tests tools benchmarks examples)

.PHONY: setup check shape test fuzz chaos audit behaviours effects validate organisms bench bench-gpu pins clean

setup: .venv/developed

audit: .venv/installed
	$(BIN)/fulcra audit $(ARGS)

test: .venv/developed
	$(BIN)/python -m pytest -q -n auto --dist loadscope $(ARGS)

# hostile files, names and arguments, as many as asked for; the tests try 2,000
fuzz: .venv/developed
	FULCRA_FUZZ=$${FULCRA_FUZZ:-50000} $(BIN)/python -m pytest -q tests/fuzz $(ARGS)

check: .venv/developed
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

# how the source is built, beside the limits that tests/shape holds; ARGS='--where "functions returning Any"' lists places
shape: .venv/developed
	$(BIN)/python -m tools.shape $(ARGS)

# stops audits in every way a machine can, goes on with them, and writes docs/reliability.md; about five minutes
chaos: .venv/developed
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.chaos.page $(ARGS)

# every bundled behavior for chat models, tried on one: BEHAVIOURS_MODEL=folder or hub id
BEHAVIOURS_MODEL ?= .cache/real/SmolLM2-135M-Instruct.Q4_1.gguf
behaviours: .venv/installed
	$(BIN)/fulcra behavior table $(BEHAVIOURS_MODEL) --out .cache/behaviours --quiet
	mkdir -p docs/evidence/real
	cp .cache/behaviours/behaviours.json docs/evidence/real/behaviours.json
	cp .cache/behaviours/behaviours.md docs/behaviours.md

effects: .venv/installed
	rm -rf .cache/interventions
	$(BIN)/fulcra research interventions docs/evidence/audit-sparse docs/evidence/audit-dense --out .cache/interventions --quiet
	cp .cache/interventions/interventions.json docs/evidence/effects.json
	cp .cache/interventions/interventions.md docs/effects.md

# the law's full back-test: trains what is missing with `make organisms ORGANISMS=...` first; an interrupted study goes on
validate: .venv/installed
	$(BIN)/fulcra research validate --organisms .cache/organisms --out runs/validation $(ARGS)
	cp runs/validation/validation.md docs/validation.md
	cp runs/validation/images/*.svg docs/images

organisms: .venv/installed
	$(BIN)/python organisms/train.py $(ORGANISMS)

# the peers live in an environment of their own; two threads, or as many as ARGS='--threads 1' says
bench: .venv-bench/installed
	.venv-bench/bin/python -W ignore benchmarks/run.py $(ARGS)

# wall seconds on an accelerator; one line where there is none
bench-gpu: .venv/installed
	$(BIN)/python -W ignore benchmarks/run.py --device cuda --only sweep_vs_loop sweep_vs_reference ladders 'capture_*' generate_overhead 'slots_*' ceilings_all $(ARGS)

# after upgrading by hand: what is installed now becomes the tested set
pins: .venv/developed
	{ sed -n '/^#/p' constraints.txt; $(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//'; } > .venv/pins && mv .venv/pins constraints.txt

clean:
	rm -rf build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# the environment is made once, and again when what it should hold has changed
.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fulcra needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/developed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ .venv/installed

.venv-bench/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[bench]'
	touch $@
