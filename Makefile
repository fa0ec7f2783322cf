# make demo    two minutes on the embedded digits, then a page to look at
# make test    the tests, two at a time
# make slow    truths that take minutes; both write bytecode, which the many processes of tests read
# make bench   every hot path against what it must beat
# make lint    ruff and pyright
# make docs    the documentation as a site, in site/; it needs no network to be read
#
# Each makes .venv first, or brings it up to date when pyproject.toml or constraints.txt has changed.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
TORCH := 2.13.0

RUN := $(VENV)/bin/python -m
INSTALL := $(RUN) pip install -qq --disable-pip-version-check --constraint constraints.txt
USE := $(VENV)/.eigenfall
DEVELOP := $(VENV)/.eigenfall-dev
DOCS := $(VENV)/.eigenfall-docs

.PHONY: demo test slow bench lint docs constraints clean
.DELETE_ON_ERROR:

demo: $(USE)
	@$(VENV)/bin/eigenfall demo

test: $(DEVELOP)
	@PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN) pytest -q -n $(WORKERS) --dist worksteal

slow: $(DEVELOP) $(DOCS)
	@PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(RUN) pytest -q -n $(WORKERS) --dist worksteal -m slow

bench: $(DEVELOP)
	@failed=0; for script in bench/*.py; do \
	  echo "$$script"; OMP_NUM_THREADS=1 $(VENV)/bin/python $$script || failed=1; done; exit $$failed

lint: $(DEVELOP)
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) pyright

docs: $(DOCS)
	@NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict --quiet
	@echo "The site lies in site/index.html."

# pip is brought up to date first: an old one knows no dependency groups.
$(USE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Expected Python 3.11 or newer, got %d.%d. Run make with PYTHON=python3.11, say." % v[:2])'
	@echo "Setting up $(VENV). The first time takes a minute or more: torch is large."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) pip
	@$(INSTALL) --build-constraint constraints.txt --editable .
	@touch $@

$(DEVELOP): $(USE)
	@$(INSTALL) --group dev
	@touch $@

$(DOCS): $(USE)
	@$(INSTALL) --group docs
	@touch $@

# Resolves the ranges anew in an environment of its own, and pins what came out.
constraints:
	@fresh=$$(mktemp -d) && $(PYTHON) -m venv $$fresh \
	  && $$fresh/bin/python -m pip install -qq --upgrade pip \
	  && $$fresh/bin/python -m pip install -qq torch==$(TORCH) editables . --group dev --group docs \
	  && { grep '^#' constraints.txt; $$fresh/bin/python -m pip freeze --all --exclude eigenfall | sed 's/+cpu$$//'; } > $$fresh/pins \
	  && mv $$fresh/pins constraints.txt && rm -r $$fresh

clean:
	@rm -rf $(VENV) build dist site
