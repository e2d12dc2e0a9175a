# make demo   the main job on a generated archive, from a bare clone (make demo ARCHIVE=path: on your own videos)
# make test   all tests, from a bare clone
# make check  format, lint and types

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The CPU build of torch is all that demo and tests need; on Linux, PyPI's default build brings several GB of CUDA.
# Set TORCH_INDEX= to take PyPI's build.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export RAY_AUTH_MODE ?= token

.PHONY: demo test check format docs wheel install clean help

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile

install: $(INSTALLED)  ## the virtual environment .venv, with everything that demo and tests need

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $(INSTALLED)

demo: $(INSTALLED)  ## generate an archive, learn from it, score it, and write demo/report/index.html
	$(BIN)/python jobs/demo.py --out demo $(if $(ARCHIVE),--archive '$(ARCHIVE)')

test: $(INSTALLED)  ## all tests
	$(BIN)/python -m pytest

check: $(INSTALLED)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(INSTALLED)  ## the documentation as a site, in build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel: $(INSTALLED)  ## dist/hf2vad-*.whl
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

format: $(INSTALLED)  ## format the code, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove the virtual environment and the demo
	rm -rf $(VENV) demo build dist
