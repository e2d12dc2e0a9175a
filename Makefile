# make demo   the main job on a generated archive, from a bare clone (make demo ARCHIVE=path: on your own videos)
# make test   all tests, from a bare clone (make test-fast: what takes two minutes)
# make chaos  the main job through kills and failing storage, compared with a quiet run
# make check  format, lint and types
# make bench  the benchmarks of speed, on a machine that does nothing else (make bench OPTIONS='--data PED2 --archive VIDEO')

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools

# Processes that the tests run in. Those on the session's Ray cluster run in one of them, one after the other.
PROCESSES ?= 2

# On Linux without an NVIDIA GPU, torch is its CPU build: PyPI's brings several GB of CUDA. TORCH_INDEX= takes PyPI's.
ifeq ($(shell uname -s),Linux)
TORCH_INDEX ?= $(if $(shell command -v nvidia-smi),,https://download.pytorch.org/whl/cpu)
endif
TORCH = $(shell sed -n 's/^ *"\(torch[<>=].*\)",/\1/p' pyproject.toml)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export RAY_AUTH_MODE ?= token
# Where an environment forbids it, every process that a test starts would compile the package anew, and pytest the tests.
unexport PYTHONDONTWRITEBYTECODE

# Options of uv where versions are chosen for test-oldest and test-newest, and the Python of the latter.
UV_OPTIONS ?= $(if $(TORCH_INDEX),--torch-backend cpu)
NEWEST_PYTHON ?= 3.13

.PHONY: demo test test-fast test-oldest test-newest chaos check bench docs wheel format install lock audit clean help

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile

install: $(INSTALLED)  ## the virtual environment .venv, with what running needs; `make test` adds the tests' tools

$(INSTALLED): pyproject.toml
	@echo "1/3 A virtual environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	@echo "2/3 torch $(if $(TORCH_INDEX),(CPU build, some 200 MB to fetch),(PyPI's build))"
	$(BIN)/pip install $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX)) '$(TORCH)' || \
		{ echo "$(TORCH_INDEX) has none, or cannot be reached: PyPI's build is taken"; $(BIN)/pip install '$(TORCH)'; }
	@echo "3/3 hf2vad, and the other packages that it runs with"
	$(BIN)/pip install --editable .
	@touch $(INSTALLED)
	@echo "Installed, $$(du -sh $(VENV) | cut -f1). Next: $(BIN)/hf2vad run VIDEOS"

$(TOOLS): $(INSTALLED)
	@echo "What tests, checks and docs need besides"
	$(BIN)/pip install --editable '.[test]'
	@touch $(TOOLS)

demo: $(INSTALLED)  ## generate an archive, learn from it, score it, and write demo/report/index.html
	$(BIN)/hf2vad demo --out demo $(if $(ARCHIVE),--archive '$(ARCHIVE)')

test: $(TOOLS)  ## all tests
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadscope --no-loadscope-reorder

test-fast: $(TOOLS)  ## the unit tests but the slow ones, in two minutes: for the inner loop
	$(BIN)/python -m pytest -m 'not slow' tests/unit

test-oldest: $(INSTALLED)  ## the unit tests but the slow ones, and a demo, on the lowest versions that pyproject.toml allows
	$(call tested_with,oldest,3.11,lowest-direct)

test-newest: $(INSTALLED)  ## the same on the highest versions, and a newer Python
	$(call tested_with,newest,$(NEWEST_PYTHON),highest)

# An environment build/NAME with versions chosen by a rule of uv's, and the tests in it: NAME, Python, rule.
define tested_with
	mkdir -p build
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra detector --resolution $(3) --upgrade --python-version $(2) $(UV_OPTIONS) --quiet \
		--output-file build/$(1).txt
	$(BIN)/uv venv --quiet --clear --python $(2) build/$(1)
	$(BIN)/uv pip install --quiet --python build/$(1) $(UV_OPTIONS) --constraint build/$(1).txt --editable '.[test]'
	build/$(1)/bin/python -m pytest -m 'not slow' tests/unit
	build/$(1)/bin/hf2vad demo --out build/$(1)-demo --train-clips 2 --test-clips 2 --frames 40 --flow-epochs 1
endef

chaos: $(TOOLS)  ## score 200 videos through killed workers, nodes and drivers and failing storage; some ten minutes
	RAY_AUTH_MODE=disabled $(BIN)/python -m benchmarks chaos

check: $(TOOLS)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(TOOLS)  ## the benchmarks of speed; results in benchmarks/results, tables in docs
	$(BIN)/python -m benchmarks all $(OPTIONS)

docs: $(TOOLS)  ## the documentation as a site, in build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel: $(INSTALLED)  ## dist/hf2vad-*.whl
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

format: $(TOOLS)  ## format the code, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(INSTALLED)  ## requirements.lock anew: the newest versions that pyproject.toml allows, for the image
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra detector --extra aws --extra build --upgrade --python-version 3.12 \
		--python-platform x86_64-manylinux_2_28 --generate-hashes --no-annotate --quiet \
		--custom-compile-command 'make lock' --output-file requirements.lock

audit: $(INSTALLED)  ## known holes in what the image is built from (asks a database on the internet)
	$(BIN)/pip install --quiet pip-audit
	$(BIN)/pip-audit --requirement requirements.lock --disable-pip --require-hashes

clean:  ## remove the virtual environment and the demo
	rm -rf $(VENV) demo build dist
