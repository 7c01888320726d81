# make reproduce   the comparison table at the smoke preset, from nothing, and the book with its records
# make test        everything that must hold
# make lint        style and types alone; make tests: the rest of `make test`
# make soak        long runs: kills, fuzzing, mutation testing; leaves records
# make coverage    lines and branches that the tests reach, at least 95% and 90%; leaves a record
# make bench       speed and memory against the obvious alternatives, as ratios; leaves a record
# make audit       known weaknesses of the pinned dependencies, asked of the Python package index
# make book        the rendered book in _build/html
# make drawn       the small networks of the chapters, trained on drawn faces; half an hour

PYTHON ?= python3
BIN := .venv/bin
PRESET ?= smoke
OUT ?= out/$(PRESET)

.PHONY: reproduce lint test tests soak coverage bench audit book drawn clean

reproduce: .venv/ready
	$(BIN)/faceinpaint reproduce --preset $(PRESET) --out $(OUT)
	$(BIN)/python book/build.py --out _build --results $(OUT)/records

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/oxlint --deny-warnings book/_assets
	$(BIN)/mypy faceinpaint

test: lint tests

tests: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not soak"

soak: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -m soak
	$(BIN)/python tools/mutate.py

coverage: .venv/ready
	$(BIN)/python tools/cover.py

bench: .venv/ready
	$(BIN)/python tools/bench.py --out data/results/bench-cpu.json

audit: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/python tools/audit.py

book: .venv/ready
	$(BIN)/python book/build.py --out _build

drawn: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python tools/drawn.py

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 15), "Python 3.11 to 3.14 is needed: make PYTHON=python3.12"'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

clean:
	rm -rf .venv _build out
