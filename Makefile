# Every target does its own set-up: all that is needed beforehand is python3 (3.11 or newer, with venv) and make.
PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
SECONDS ?= 600

BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
PINNED  := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
TABLES  := baps_table1 baps_table2 baps_table3 vlsm_table1 vlsm_table2 lst_table floors_table refiner_table calls300_table \
           calls1600_table real300_table real1600_table hard_table calls_table
DATA    ?= ../shared/data
SUITES  := bbob bbob-mixint noisy largescale digits tasks shaky shaky-200 shaky-long more-wild real-record
CODE    := zoo_opt zoo_opt_seg tests benchmarks docs examples

.NOTPARALLEL:
.PHONY: help demo test test-all services soak lint format docs bench mutants results tables wheel clean

help:
	@echo "make demo    compare the optimizers, adapt a black-box SAM, and write HTML reports (2 to 7 minutes)"
	@echo "make test    run the tests, but for those that take long (about ten minutes)"
	@echo "make test-all run every test: kills, servers in processes of their own, trainings (about 45 minutes)"
	@echo "make services test against real servers and clients of others, each in an environment of its own (once: 2 GB)"
	@echo "make soak    kill, interrupt and starve kept runs for 10 minutes; nothing may be lost (SECONDS=60 for less)"
	@echo "make lint    ruff (rules and format), mypy --strict, and sentences that are too long"
	@echo "make docs    build the documentation, warnings are errors"
	@echo "make bench   the recorded benchmarks: overhead, failures, units, digits, bbob (about 25 minutes)"
	@echo "make mutants small changes of the code, and whether a test notices each (20 minutes; docs/mutants.md)"
	@echo "make results the study of benchmarks/*.toml, recorded in benchmarks/results (hours; goes on where it was)"
	@echo "make tables  the tables of zoo_opt_seg, recorded in benchmarks/results (hours; goes on where it was; DATA=folder)"
	@echo "make wheel   build the wheel and the source distribution into dist/, and check both"
	@echo "make clean   remove the environment and everything that was built"

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "zoo-opt needs Python 3.11 or newer; '$(PYTHON)' is older. Try: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV) \
	  || { echo "'$(PYTHON) -m venv' failed: install the venv module of this Python (Debian: python3-venv)"; exit 1; }
	@touch $@

$(VENV)/.ready-bench: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing zoo-opt with the bench extra into $(VENV) (once)"
	@$(INSTALL) '.[bench]'
	@touch $@

$(VENV)/.ready-demo: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing zoo-opt with the bench and seg extras into $(VENV) (once; torch is large)"
	@$(INSTALL) '.[bench,seg]'
	@touch $@ $(VENV)/.ready-bench

$(VENV)/.ready-dev: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing zoo-opt with what tests, lint and docs need into $(VENV) (once; torch is large)"
	@$(INSTALL) '.[aws,bench,coco,completion,dask,dev,docs,optuna,plot,remote,seg,serve,torch]'
	@touch $@ $(VENV)/.ready-bench $(VENV)/.ready-demo

demo: $(VENV)/.ready-demo
	@$(PINNED) $(BIN)/zoo-opt bench benchmarks/quick.toml
	@OMP_NUM_THREADS=$(JOBS) $(BIN)/zoo-opt-seg adapt --model tiny --data tool --prompt filter --method cma-es \
	  -o sigma0=0.1 -o popsize=12 --calls 300 --train-images 20 --validate 0 --refine --refine-networks 2 --out results/demo-seg
	@echo "Pictures and figures: results/demo-seg/index.html"

test: $(VENV)/.ready-dev
	@$(PINNED) $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m "not slow"

test-all: $(VENV)/.ready-dev
	@$(PINNED) $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

services: $(VENV)/.ready-dev
	@PYTHONPATH=tests $(BIN)/python -m services.harness
	@$(PINNED) $(BIN)/python -m pytest -q tests/services

soak: $(VENV)/.ready-dev
	@$(PINNED) $(BIN)/python -W ignore benchmarks/soak.py --seconds $(SECONDS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/python .ci/prose.py
	$(BIN)/mypy

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

docs: $(VENV)/.ready-dev
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "Documentation: docs/_build/html/index.html"

bench: $(VENV)/.ready-bench
	@for name in overhead failures scale_invariance digits_fzoo bbob_bipop; do \
	  echo "== benchmarks/$$name.py"; $(PINNED) $(BIN)/python benchmarks/$$name.py || exit 1; done

$(VENV)/.ready-mutants: $(VENV)/.ready-dev
	@echo "Installing cosmic-ray into $(VENV) (once)"
	@$(INSTALL) '.[mutants]'
	@touch $@

mutants: $(VENV)/.ready-mutants
	@$(PINNED) $(BIN)/python benchmarks/mutants.py --workers $(JOBS)

results: $(VENV)/.ready-bench
	@for suite in $(SUITES); do \
	  $(BIN)/zoo-opt bench benchmarks/$$suite.toml && \
	  $(BIN)/zoo-opt export results/$$suite --record benchmarks/results/$$suite.jsonl.xz && \
	  $(BIN)/zoo-opt report results/$$suite --markdown benchmarks/results/$$suite.md || exit 1; done

tables: $(VENV)/.ready-demo
	@for suite in $(TABLES); do \
	  case $$suite in baps_*|vlsm_*) out=results/$${suite%_*};; *) out=results/$$suite;; esac; \
	  $(PINNED) $(BIN)/zoo-opt-seg table benchmarks/$$suite.toml --out $$out --workers $(JOBS) --data-root $(DATA) \
	    --record benchmarks/results/$$suite.jsonl.xz --markdown benchmarks/results/$$suite.md || exit 1; done

$(VENV)/.ready-release: $(VENV)/.ready-dev
	@echo "Installing what checks the wheel into $(VENV) (once)"
	@$(INSTALL) '.[release]'
	@touch $@

wheel: $(VENV)/.ready-release
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist .
	@$(BIN)/twine check --strict dist/*
	@$(BIN)/check-wheel-contents dist/*.whl

clean:
	rm -rf $(VENV) .services dist build docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
