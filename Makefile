# Each target makes its own environment in .venv first; only Python, make and a C library must
# be there. PYTHON names the Python to use; ARGS goes to pytest or to the benchmark.

PY := .venv/bin/python
SETUP := sh platform/launch/bootstrap.sh
export PYTHONPATH := platform:.
.DEFAULT_GOAL := help

.PHONY: up roll test check fmt bench bench-scale bench-policies bench-limits bench-profile bench-ingest bench-peers faults soak lock help clients

help:
	@echo "make up     run the platform here, in the foreground"
	@echo "make roll   replace the gateway workers of the platform that runs here, one by one"
	@echo "make test   run the tests on embedded servers (ARGS=\"-k name\")"
	@echo "make check  format, lint, types, imports, Django's checks, pinned requirements"
	@echo "make fmt    format the code and put imports in order"
	@echo "make bench  measure the gateway; make bench-peers installs what it is compared with"
	@echo "make bench-scale    measure workers, tenants, open connections and memory"
	@echo "make bench-policies  measure what each check adds to a call"
	@echo "make bench-limits   measure checks of limits, and how exact they are over workers"
	@echo "make bench-profile  show where the time of a call goes"
	@echo "make bench-ingest  measure how fast usage gets into the tables"
	@echo "make faults  do faults to the platform under load, and compare what is recorded"
	@echo "make soak   half an hour at half load: memory must stay (ARGS=\"--minutes 3\")"
	@echo "make clients  drive the SDKs that applications use against a gateway"
	@echo "make lock   pin the newest versions that pyproject.toml allows"

up:
	@$(SETUP) requirements.txt
	@exec $(PY) -m launch up --with-parent

roll:
	@exec $(PY) -m launch roll

test:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m pytest $(ARGS)

check:
	@$(SETUP) requirements-dev.txt
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	@$(PY) -c "from importlinter.cli import lint_imports_command as lint; lint()" --no-logo
	@$(PY) -m launch.pins
	@$(PY) -m launch.deployable

fmt:
	@$(SETUP) requirements-dev.txt
	@$(PY) -m ruff check --select I --fix --quiet .
	@$(PY) -m ruff format .

bench:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m bench $(ARGS)

bench-scale:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m bench.scale $(ARGS)

bench-policies:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m bench.policies $(ARGS)

bench-limits:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m bench.limits $(ARGS)

bench-profile:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m bench.profile $(ARGS)

bench-ingest:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m bench.ingest $(ARGS)

faults:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m bench.faults $(ARGS)

soak:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m bench.soak $(ARGS)

bench-peers:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m bench.peers

COMPILE := $(PY) -m uv pip compile pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --upgrade

lock:
	@$(SETUP) requirements-dev.txt
	$(COMPILE) --all-extras -o requirements.txt
	$(COMPILE) --all-extras --group dev -c requirements.txt -o requirements-dev.txt
	echo uv | $(PY) -m uv pip compile - --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --quiet --upgrade -o requirements-uv.txt

clients:
	@$(SETUP) requirements-dev.txt
	@exec $(PY) -m tests.clients $(ARGS)
