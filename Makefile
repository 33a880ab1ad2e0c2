PYTHON ?= python
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' attnviz/_version.py)
PYTEST = OMP_WAIT_POLICY=PASSIVE $(PYTHON) -m pytest -n auto --maxprocesses=4
.DEFAULT_GOAL := help
.PHONY: help install test tests quality format coverage bench fuzz pictures release ci

help:  ## list the targets
	@grep -hE '^[a-z]+: .*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install:  ## install attnviz for development, with its tools
	$(PYTHON) -m pip install -e '.[dev]'

test:  ## run the quick tests, side by side on the cores there are, in under a minute; ROOM=render: all those of one room
	$(PYTEST) $(if $(ROOM),tests/$(ROOM),-m 'not slow')

tests:  ## run all tests
	$(PYTEST)

coverage:  ## run all tests, and list the lines of attnviz/ that none of them runs
	$(PYTEST) --cov

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

release:  ## check that a release is ready, and build it into dist/
	@! grep -q '(unreleased)' CHANGELOG.md || { echo "CHANGELOG.md: the newest version has no date yet"; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "there are changes that are not committed"; exit 1; }
	@test -z "$$(git tag --list v$(VERSION))" || { echo "v$(VERSION) is released already: attnviz/_version.py"; exit 1; }
	$(PYTHON) -m pytest -q tests/test_docs.py
	rm -rf dist
	$(PYTHON) -m build --outdir dist
	@echo "dist/ holds it; now: git tag v$(VERSION)"

ci:  ## everything CI does, in a fresh virtual environment
	bash .ci/run
