PYTHON ?= python
.DEFAULT_GOAL := help
.PHONY: help install test quality format bench fuzz pictures ci

help:  ## list the targets
	@grep -hE '^[a-z]+: .*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install:  ## install attnviz for development, with its tools
	$(PYTHON) -m pip install -e '.[dev]'

test:  ## run the tests, side by side on the cores there are
	OMP_WAIT_POLICY=PASSIVE $(PYTHON) -m pytest -n auto --maxprocesses=4

quality:  ## check style and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format:  ## put the code into the style that quality checks
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

bench:  ## compare the speed with other libraries, and measure whether every word is seen
	$(PYTHON) tests/benchmarks

fuzz:  ## have every reader read 20,000 damaged files
	PYTHONPATH=tests $(PYTHON) -m fuzz

pictures:  ## make the pictures of the README and the guides again; needs Chromium
	$(PYTHON) tests/documents/pictures.py

ci:  ## everything CI does, in a fresh virtual environment
	bash .ci/run
