# Two commands are enough on a fresh machine: `make demo` and `make test`. The first one installs, which takes minutes.
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
PO := ablation/locale/zh/LC_MESSAGES/ablation.po

# The newest Python from 3.11 on that can make virtual environments.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# Python caches bytecode, whatever the environment says: the tests start hundreds of commands.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test slow bench gpu lint format catalogs docs clean

demo: $(VENV)/installed  ## train the smoke study on the embedded digits and write its report
	@echo "== training 39 small networks on digits (about 1 minute on 2 cores), then writing reports/smoke/"
	$(BIN)/ablate run studies/smoke.yaml
	$(BIN)/ablate report smoke

test: $(VENV)/installed  ## run the tests (5 to 10 minutes on 2 cores)
	@echo "== running the tests (5 to 10 minutes on 2 cores)"
	$(BIN)/python -m pytest -n 2

slow: $(VENV)/installed  ## run the longer tests
	@echo "== running the longer tests"
	$(BIN)/python -m pytest -m slow -n 2 --ignore tests/test_chaos.py
	$(BIN)/python -m pytest -m slow tests/test_chaos.py  # its faults come at moments that other work would shift

# AGAINST=COMMIT,COMMIT also measures what the same commands took at earlier commits.
bench: $(VENV)/installed $(BENCH)/installed  ## measure speed and memory against others, write benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks --rivals $(BENCH)/bin/python --against "$(AGAINST)"

gpu: $(VENV)/installed  ## check a machine with a GPU: bits, recovery, memory, speed; without one it says so
	$(BIN)/python -m benchmarks.gpu

lint: $(VENV)/installed  ## check style, types and the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The date in the catalog is never renewed, so that the same texts give the same bytes.
catalogs: $(VENV)/installed  ## collect the texts of reports into the catalog of their translations, and compile it
	$(BIN)/pybabel -q extract -F pyproject.toml --ignore-dirs ".*" --no-default-keywords -k "tr trn:1,2 tr_noop tr_text" \
		--sort-by-file --add-location=file --no-wrap -o $(PO)t ablation templates
	$(BIN)/pybabel -q update -i $(PO)t -o $(PO) -l zh --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --no-wrap
	rm $(PO)t
	$(BIN)/python -c 'from babel.messages import mofile, pofile; \
		mofile.write_mo(open("$(PO:.po=.mo)", "wb"), pofile.read_po(open("$(PO)", "rb")))'  # compile takes "80 % of" for a format

docs: $(VENV)/installed  ## build the documentation site in docs/_build; a warning is an error
	$(BIN)/python -m sphinx -n -W --keep-going -q docs docs/_build
	@echo "== docs/_build/index.html"

clean:
	rm -rf $(VENV) $(BENCH) dist build docs/_build

# An interrupted installation leaves no stamp and is repeated.
$(VENV)/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed (Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "== creating $(VENV) with $(PYTHON) (some seconds)"
	$(PYTHON) -m venv $(VENV)
	@echo "== installing ablation, PyTorch and the development tools into $(VENV) (several minutes, once; pip prints errors only)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# What the benchmarks compare with, beside the very versions of torch that the project's own environment has.
$(BENCH)/installed: benchmarks/rivals/requirements.txt $(VENV)/installed
	$(PYTHON) -m venv $(BENCH)
	$(BIN)/python -c 'from importlib.metadata import version; [print(f"{n}=={version(n)}") for n in ("torch", "torchvision")]' > $(BENCH)/torch.txt
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -r $(BENCH)/torch.txt -r benchmarks/rivals/requirements.txt
	@touch $@
