# Every target sets up .venv by itself; `make run` and `make test` are all a
# fresh machine needs. PYTHON picks the interpreter: make run PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
BACKENDS_VENV ?= .venv-backends
SITE_VENV ?= .venv-site
# as many as cores and memory allow, or a number
WORKERS ?= auto

ifeq ($(OS),Windows_NT)
  BIN := $(VENV)/Scripts
  BACKENDS_BIN := $(BACKENDS_VENV)/Scripts
  SITE_BIN := $(SITE_VENV)/Scripts
else
  BIN := $(VENV)/bin
  BACKENDS_BIN := $(BACKENDS_VENV)/bin
  SITE_BIN := $(SITE_VENV)/bin
endif

# Packages come by uv, in a fifth of pip's time; by pip if that fails. Compiled
# at once, as pip does: where Python may not write (PYTHONDONTWRITEBYTECODE, a
# folder of somebody else's) each process would compile TensorFlow anew, 12
# seconds of a processor instead of 5.
# $(call install,FOLDER OF PROGRAMS,ENVIRONMENT,WHAT)
PIP := pip install --quiet --disable-pip-version-check
UV := "uv>=0.9,<1"
install = ($(1)/python -m $(PIP) $(UV) && $(1)/python -m uv pip install --quiet --compile-bytecode --python $(2) $(3)) \
  || (echo "uv could not install the packages. pip tries next and takes minutes." && $(1)/python -m $(PIP) $(3))

STAMP := $(VENV)/.installed
BACKENDS_STAMP := $(BACKENDS_VENV)/.installed
SITE_STAMP := $(SITE_VENV)/.installed
# A worker that crashes ends the run and its test is named: with another in its
# place pytest-xdist waits for ever (seen on TensorFlow and on JAX).
PYTEST := -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder \
          --max-worker-restart=0
NBVAL := --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg \
         --nbval-cell-timeout 120
NBVAL_LAX := --nbval-lax --nbval-cell-timeout 300

.DEFAULT_GOAL := help
.PHONY: help setup setup-highest setup-lowest-direct run lab test unit test-notebooks test-backends \
        unit-backends test-chapters-jax pythons \
        notebooks full site messages playground slides assignments grade grade-demo wheelhouse bench robust lint format lock clean

help:
	@echo "make run            execute every chapter (quick profile) into build/"
	@echo "make lab            open JupyterLab on the chapters"
	@echo "make test           unit tests, and every notebook against its committed outputs"
	@echo "make test-backends  unit tests on JAX and PyTorch, chapters on JAX"
	@echo "make pythons        unit tests and a chapter on Python 3.11, 3.12 and 3.13"
	@echo "make notebooks      rebuild chapters/ and solutions/ from source/"
	@echo "make full           execute every chapter in both profiles, rewrite docs/results.md"
	@echo "make site           the course as web pages, build/site/index.html"
	@echo "make slides         the chapters as decks, build/slides/index.html"
	@echo "make messages       what a translator of the site needs, build/messages"
	@echo "make playground     train and export the site's live models"
	@echo "make assignments    the exercises as an nbgrader course, build/course"
	@echo "make grade          collect, grade and export what was handed in"
	@echo "make grade-demo     four made-up submissions, from release to table"
	@echo "make wheelhouse     course and packages on a stick, for a room without internet"
	@echo "make bench          training speed and time to quality, rewrite docs/benchmarks.md"
	@echo "make robust         chapters on other settings of the processor and other seeds"
	@echo "make lint           style of code and notebooks"
	@echo "make clean          remove .venv, caches and build/"

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else 'The course needs Python 3.11, 3.12 or 3.13; this is %d.%d. Try: make PYTHON=python3.12' % v)"
	$(PYTHON) -m venv $(VENV)
	$(call install,$(BIN),$(VENV),-r requirements.lock -e .)
	$(BIN)/python -c "import pathlib; pathlib.Path('$(STAMP)').touch()"

# The other versions within our bounds: make setup-lowest-direct, then make unit
setup-highest setup-lowest-direct:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m $(PIP) $(UV)
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(VENV) \
	  --resolution $(@:setup-%=%) -r requirements.txt
	$(BIN)/python -c "import pathlib; pathlib.Path('$(STAMP)').touch()"

run: $(STAMP)
	$(BIN)/python tools/run_course.py

# LAB holds options of JupyterLab: make lab LAB="--port=9000 --no-browser"
LAB ?=
lab: $(STAMP)
	$(BIN)/python tools/lab.py $(LAB)

# One run for both, so that no core waits for the other half.
test: $(STAMP)
	$(BIN)/python $(PYTEST) $(NBVAL) chapters solutions tests

unit: $(STAMP)
	$(BIN)/python $(PYTEST)

NOTEBOOKS ?= chapters solutions
test-notebooks: $(STAMP)
	$(BIN)/python $(PYTEST) $(NBVAL) $(NOTEBOOKS)

# A second environment: the two other backends are large and few need them.
# PyTorch comes by pip: uv would look for it on another index, and leaves
# alone what it finds installed. PIP_TORCH lets you name another build:
# make test-backends PIP_TORCH="torch==2.13.0 --index-url …"
PIP_TORCH ?= torch==2.13.0
$(BACKENDS_STAMP): requirements.lock requirements-backends.txt pyproject.toml
	$(PYTHON) -m venv $(BACKENDS_VENV)
	$(BACKENDS_BIN)/python -m $(PIP) $(PIP_TORCH)
	$(call install,$(BACKENDS_BIN),$(BACKENDS_VENV),-r requirements.lock -r requirements-backends.txt -e .)
	$(BACKENDS_BIN)/python -c "import pathlib; pathlib.Path('$(BACKENDS_STAMP)').touch()"

test-backends: unit-backends test-chapters-jax

BACKEND_TESTS ?= tests
# XLA's quick way of compiling: most of a test is the compilation of models
# that take a few steps.
unit-backends: export KERAS_BACKEND =
unit-backends: $(BACKENDS_STAMP)
	XLA_FLAGS="--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false" \
	KERAS_BACKEND=jax $(BACKENDS_BIN)/python $(PYTEST) $(BACKEND_TESTS)
	KERAS_BACKEND=torch $(BACKENDS_BIN)/python $(PYTEST) $(BACKEND_TESTS)

# Every assert of the chapters has to hold on JAX too; outputs are not compared.
test-chapters-jax: $(BACKENDS_STAMP)
	KERAS_BACKEND=jax $(BACKENDS_BIN)/python $(PYTEST) $(NBVAL_LAX) chapters

# Those on the PATH, or: make pythons PYTHONS="/opt/3.12/bin/python3 python3.13"
pythons:
	$(PYTHON) tools/check_pythons.py $(PYTHONS)

notebooks: $(STAMP)
	$(BIN)/python tools/build_notebooks.py

full: $(STAMP)
	$(BIN)/python tools/run_course.py --record
	$(BIN)/python tools/run_course.py --full --record

# From the notebooks as they are committed: nothing is executed.
$(SITE_STAMP): requirements.lock requirements-site.txt pyproject.toml
	$(PYTHON) -m venv $(SITE_VENV)
	$(call install,$(SITE_BIN),$(SITE_VENV),-r requirements.lock -r requirements-site.txt -e .)
	$(SITE_BIN)/python -c "import pathlib; pathlib.Path('$(SITE_STAMP)').touch()"

site: $(SITE_STAMP)
	$(SITE_BIN)/python tools/build_site.py

# SITTING is a part of a sitting's name: make slides SITTING=02a
SITTING ?=
# Also measured, if a Chromium is there: make slides SITTING="02a --measure"
slides: $(SITE_STAMP)
	$(SITE_BIN)/python tools/build_slides.py $(SITTING)

messages: $(SITE_STAMP)
	$(SITE_BIN)/python tools/build_site.py --messages

# a minute; what it writes is committed, so that `make site` trains nothing
playground: $(STAMP)
	$(BIN)/python tools/build_playground.py

# Graded on other numbers, for an exam: make assignments SITTING="04a --seed 7"
assignments: $(STAMP)
	$(BIN)/python tools/build_assignments.py $(SITTING)

grade: $(STAMP)
	$(BIN)/python tools/grade.py $(SITTING)

# One small sitting, or: make grade-demo SITTING=all
grade-demo: $(STAMP)
	$(BIN)/python tools/grade.py --demo $(SITTING)

wheelhouse: $(STAMP)
	$(BIN)/python tools/wheelhouse.py

# Also beside plain PyTorch loops, hence the second environment. About an hour
# on two free cores, with COURSE_DATA naming a folder that has MNIST.
bench: $(BACKENDS_STAMP)
	$(BACKENDS_BIN)/python benchmarks/bench.py
	$(BACKENDS_BIN)/python benchmarks/to_quality.py

# Hours; or a part of it: make robust ROBUST="--only seeds 04a"
ROBUST ?=
robust: $(STAMP)
	$(BIN)/python tools/robust.py $(ROBUST)

PYTHON_FILES := conftest.py utils tests tools benchmarks site source
lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check $(PYTHON_FILES)
	$(BIN)/python tools/build_notebooks.py --check

format: $(STAMP)
	$(BIN)/python -m ruff check --fix $(PYTHON_FILES)
	$(BIN)/python -m ruff format $(PYTHON_FILES)

# Rewrites requirements.lock for all supported Pythons and systems.
lock: $(STAMP)
	$(BIN)/python -m $(PIP) $(UV)
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --upgrade \
	  --no-emit-index-url --no-header --no-annotate --no-emit-package deep-unsupervised-course \
	  requirements.txt -o requirements.lock

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(p, ignore_errors=True) for p in ('$(VENV)', '$(BACKENDS_VENV)', '$(SITE_VENV)', 'build', '.pytest_cache', '.ruff_cache')]"
