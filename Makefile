# The verbs of this project; .ci/run uses the same ones.
PYTHON ?= python3
BIN := .venv/bin
TESTS ?= tests
# Two files at once, in the order of tests/conftest.py; then tests that hold something against the clock.
PAIRS := -n 2 --dist loadfile --no-loadscope-reorder
PACKAGES := orchestrator model cluster slurm
SCRIPTS := .ci/run slurm/apptainer/hadamard $(wildcard slurm/*.sbatch slurm/*.sh slurm/sites/*.sh)

.PHONY: demo test test-fast test-slurm test-lowest sanitize coverage docs docs-serve bench lint format lock install peers clean FORCE

# Install, run the quickstart study, and say where its report, MLflow and the dashboard are.
demo: install
	$(BIN)/hadamard run configs/quickstart.yaml

# All tests; test-fast leaves out what needs Ray, MLflow, the sentence encoder, the real corpus or Slurm.
test: install peers
ifeq ($(TESTS),tests)
	$(MAKE) coverage
	$(BIN)/pytest tests -m "slow and not alone" $(PAIRS)
	$(BIN)/pytest tests -m alone
	$(MAKE) test-slurm
else
	$(BIN)/pytest $(TESTS)
endif

test-fast: install peers
ifeq ($(TESTS),tests)
	$(BIN)/pytest tests -m "not slow and not alone" $(PAIRS)
	$(BIN)/pytest tests -m "not slow and alone"
else
	$(BIN)/pytest $(TESTS) -m "not slow"
endif

# The tests on a Slurm cluster, which they make on this machine (tests/slurm_lab/lab.py); they mostly wait, so four at a time.
test-slurm: install
	$(BIN)/pytest tests/slurm_lab -n 4 --dist worksteal

# Line coverage of the fast tests and of the programs that they start; `make test` begins with these.
coverage: install peers
	$(BIN)/pytest tests -m "not slow and not alone" $(PAIRS) --cov --cov-report=term:skip-covered

# The fast tests with the lowest versions that pyproject.toml allows, in an environment of their own; needs uv on PATH.
test-lowest:
	uv venv -q --clear --python $(PYTHON) build/lowest
	uv pip compile -q pyproject.toml --group dev --resolution lowest-direct --python build/lowest -o build/lowest.txt
	uv pip install -q --python build/lowest -r build/lowest.txt
	uv pip install -q --python build/lowest --no-deps -r requirements-energy.lock -r requirements-peers.lock
	uv pip install -q --python build/lowest --no-build-isolation --no-deps --config-settings=build-dir=build/lowest-native -e .
	build/lowest/bin/python -m pytest tests -m "not slow and not alone" -n 2 -o filterwarnings=default

# The C++ kernels of every vector width on odd sizes, built with the sanitizers of addresses and undefined behaviour; a test does it, too.
sanitize: install
	$(BIN)/python tests/support/sanitized_kernels.py

# The documentation as a site, in build/site; a link or a name that is nowhere is an error.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

# Times the simulators and their peers side by side on the paper's head; docs/performance.md keeps what was measured.
bench: install peers
	$(BIN)/python -m benchmarks.peers

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck --external-sources --source-path=SCRIPTDIR $(SCRIPTS)

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: .venv/installed

.venv/libraries: requirements.lock requirements-energy.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "the venv module is missing: apt install python3-venv"; exit 2; }
	$(BIN)/pip install --disable-pip-version-check -q -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check -q --no-deps -r requirements-energy.lock
	@touch $@

# The names of all modules: an editable install maps each to its file, so it is renewed where one was added, removed or moved.
.venv/modules: FORCE | .venv/libraries
	@find $(PACKAGES) hadamard -name '*.py' | sort >$@.new
	@if cmp -s $@ $@.new; then rm $@.new; else mv $@.new $@; fi

.venv/installed: .venv/libraries .venv/modules pyproject.toml CMakeLists.txt $(wildcard model/simulators/compiled/kernels/*)
	$(BIN)/pip install --disable-pip-version-check -q --no-build-isolation --no-deps -e .
	@touch $@

# What only tests and the bench need: other simulators to compare with, and Triton, whose interpreter runs the GPU kernels on a CPU.
peers: .venv/peers

.venv/peers: requirements-peers.lock .venv/installed
	$(BIN)/pip install --disable-pip-version-check -q --no-deps -r requirements-peers.lock
	@touch $@

.venv/docs: requirements-docs.lock .venv/installed
	$(BIN)/pip install --disable-pip-version-check -q --no-deps -r requirements-docs.lock
	@touch $@

# Renew the locks from what is installed now (change pyproject.toml and pip install first).
PEERS := jax|jaxlib|ml_dtypes|opt_einsum|qulacs|pennylane_lightning_kokkos|triton
DOCS := $(shell sed -n 's/==.*//p' requirements-docs.lock | paste -sd'|')
lock:
	{ echo "# Exact versions of everything but zeus (see requirements-energy.lock) and the peers; made by \`make lock\`."; \
	  $(BIN)/pip freeze --exclude-editable | grep -viE '^(zeus|hadamard|amdsmi|tyro|pip|setuptools|$(PEERS)|$(DOCS))==|^-e ' | sed 's/+cpu$$//'; } > requirements.lock
	{ echo "# Simulators to compare with, and Triton, for tests and \`make bench\`; made by \`make lock\`."; \
	  $(BIN)/pip freeze --exclude-editable | grep -iE '^($(PEERS))=='; } > requirements-peers.lock
	{ echo "# What \`make docs\` needs beyond the other locks; made by \`make lock\`."; \
	  $(BIN)/pip freeze --exclude-editable | grep -iE '^($(DOCS))=='; } > requirements-docs.lock

clean:
	rm -rf .venv build runs
