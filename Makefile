# make demo [VIDEO=path]   everything from nothing: set-up, export, simulate on Lava and on the emulator
# make test                the tests; make test-all adds the slow ones
# make test-pythons        the tests on each of Python 3.11 to 3.14 that is on the PATH, and the runtime on each
# make wheels              the wheels and the sdist, into dist, each tried in a fresh environment; downloads torch again
# make lint typecheck bench ablations assets
# make docs                runs what the pages show and writes anew what has changed; make site builds them into build/site
#
# Set-up happens by itself, in .venv, when something it depends on changed, and not otherwise.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
SITE_READY := $(VENV)/site-ready
VIDEO ?=
LAVA := lava-nc==0.10.0 lava-dl==0.6.0
# Libraries whose neurons the partitioner knows, for the tests that compare with them; without what they ask for and do
# not import here (torchvision and torchaudio for another torch, tensorboard, …).
TEST_PEERS := spikingjelly==2.0.0 neurobench==2.3.0 norse==1.1.0 nir==1.0.8 nirtorch==2.6 loguru==0.7.3

.PHONY: setup demo test test-all test-pythons test-lava-stock wheels lint typecheck bench ablations docs site fuzz assets clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "hybridnet needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up $(VENV): about 400 MB of wheels with a CPU build of torch, gigabytes with CUDA"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[dev]'
	@echo "Installing Lava without its outdated pins (docs/lava.md says why)"
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-deps --ignore-requires-python $(LAVA)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-deps $(TEST_PEERS)
	@touch $@

demo: $(READY)
	$(BIN)/hybridnet demo $(if $(VIDEO),'$(VIDEO)')

# A process per core, each with whole files of tests, and with one thread: those of two processes would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test: $(READY)
	$(PYTEST) -m "not slow"

test-all: $(READY)
	$(PYTEST)

# Stock Lava's own tests of what is used here, on this Python; about a minute.
test-lava-stock: $(READY)
	$(BIN)/python tests/lava_stock/run.py

# Each in an environment of its own, with what PyPI has for it: of torch that is the build with CUDA, gigabytes, unless
# pip is set to find another one.
test-pythons: $(READY)
	$(BIN)/python runtime/pythons.py
	@for python in python3.11 python3.12 python3.13 python3.14; do \
	  if $$python -c '' 2>/dev/null; then $(MAKE) PYTHON=$$python VENV=.venv-$$python test || exit 1; \
	  else echo "$$python is not here"; fi; \
	done

wheels: $(READY)
	$(BIN)/python runtime/wheels.py dist

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python docs/check_prose.py

typecheck: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/main_job.py
	$(BIN)/python benchmarks/snn.py

# The paper's ablations on the motion set, three seeds each; about 20 minutes. Footage too: see the script.
ablations: $(READY)
	$(BIN)/python benchmarks/ablations.py --data motion

# Damaged files through the reader: each must end in views or in a clean error.
fuzz: $(READY)
	.venv/bin/python tests/video/fuzz.py --files 2000
	.venv/bin/python tests/helpers/file_fuzz.py --files 5000

docs: $(READY)
	$(BIN)/python docs/make_rules.py
	$(BIN)/python docs/make_model.py
	$(BIN)/python docs/make_prices.py
	$(BIN)/python docs/make_glossary.py
	$(BIN)/python docs/run_pages.py

site: docs $(SITE_READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

$(SITE_READY): $(READY)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[site]'
	@touch $@

# The shipped models and bundles, from nothing; about 30 minutes on 2 cores.
assets: $(READY)
	$(BIN)/hybridnet cache motion+gestures:208x160:180 runs/made-clips --config gesture --crop 56 -o runs/made-cache
	$(BIN)/torchrun --nproc-per-node 2 --no-python $(BIN)/hybridnet train --config gesture --data runs/made-cache -o runs/gestures \
	  --overwrite
	cp runs/gestures/record.json hybridnet/assets/gestures.json
	$(BIN)/hybridnet calibrate runs/gestures/best.pt -o hybridnet/assets/gestures.bundle --ann int8 --parity lava --overwrite
	$(BIN)/hybridnet train --config tiny --data motion -o runs/tiny-motion --overwrite
	cp runs/tiny-motion/record.json hybridnet/assets/tiny-motion.json
	$(BIN)/hybridnet calibrate runs/tiny-motion/best.pt -o hybridnet/assets/tiny-motion.bundle --ann int8 --parity lava --overwrite

clean:
	rm -rf $(VENV) .venv-* demo runs hybridnet-bundle build *.egg-info
