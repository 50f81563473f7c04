# `make demo` and `make test` are all that a new user needs; each sets up what it needs first, and
# is quick the second time.

PYTHON ?= 3.11
VENV := .venv
RUN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)-uv/bin/uv)
SCENARIOS ?= scenarios/shell.jsonl scenarios/mysql.jsonl
RECORDED := $(foreach f,shell_naive mysql_naive shell_grounded mysql_grounded,--simulator transcripts:transcripts/$(f).jsonl)
DEMO_OUT ?= out/demo$(if $(MODEL),-$(MODEL))
export UV_PROJECT_ENVIRONMENT := $(VENV)
export TESTCONTAINERS_RYUK_DISABLED := true
unexport PYTHONDONTWRITEBYTECODE # each server and command that the tests start would compile everything anew

.DEFAULT_GOAL := help
.PHONY: help setup engine images browser runsc postgres demo test test-fast attacks soak check check-differ proto docs vendor examples bench bench-peers clean

help: ## Lists what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready engine images ## Leaves the environment in .venv/, an engine that answers, and the images

$(UV):
	python3 -m venv $(VENV)-uv && $(VENV)-uv/bin/pip install --quiet uv

$(VENV)/.ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --quiet --locked --compile-bytecode --python $(PYTHON)
	@touch $@

engine:
	@containers/engine.sh

images: $(VENV)/.ready engine ## Makes the images: from a registry where one answers, else from Debian's packages
	@$(RUN)/python containers/build.py guest >/dev/null
	@$(RUN)/python containers/build.py shell >/dev/null
	@$(RUN)/python containers/build.py mysql >/dev/null
	@UV=$(UV) $(RUN)/python containers/build.py server >/dev/null

browser: # only the tests of the pages want it
	@containers/browser.sh

runsc: # only the attack tests want it
	@containers/runsc.sh

postgres: # only the tests of the journal want it
	@containers/postgres.sh

demo: setup ## Runs the shipped scenarios for real, scores the shipped simulators, writes the report
	@$(RUN)/plumb bench $(SCENARIOS) $(RECORDED) --simulator baseline:always_empty \
	  --simulator baseline:always_error --simulator sqlite $(if $(MODEL),--simulator model:$(MODEL)) \
	  --no-changes --labelled tests/fidelity/labelled.jsonl --labelled tests/fidelity/labelled_heldout.jsonl \
	  --out $(DEMO_OUT) $(if $(wildcard $(DEMO_OUT)/run.json),--resume)

test: setup browser runsc postgres check check-differ ## Runs every test; needs Docker
	$(RUN)/pytest -n 3 --dist loadfile

test-fast: $(VENV)/.ready ## Runs the tests that need no Docker
	$(RUN)/pytest -m "not docker"

attacks: setup ## Plays every attack that docs/security.md lists, and prints what came of each
	@$(RUN)/python -m tests.play_attacks

SECONDS ?= 3600
soak: setup ## Strikes a server with faults for an hour (SECONDS=300: shorter; SEED=x: as then), and fuzzes it
	PLUMB_SOAK_SECONDS=$(SECONDS) PLUMB_SOAK_SEED=$(SEED) $(RUN)/pytest tests/faults -s
	PLUMB_FUZZ_EXAMPLES=1200 $(RUN)/pytest tests/fuzz

check: $(VENV)/.ready ## Style, types, import rules, the wire's rules, generated code
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports --no-cache
	$(RUN)/buf lint
	$(RUN)/buf format --diff --exit-code
	@$(RUN)/python -m plumb_cli.settings_page | cmp - docs/settings.md \
	  || { echo "docs/settings.md is stale: run make docs"; exit 1; }
	@$(MAKE) --no-print-directory proto OUT=$$(mktemp -d) CHECK=1

check-differ: $(VENV)/.ready ## Tests the differ: planted errors, labelled pairs, false alarms on real runs
	$(RUN)/python -m plumb_bench.mutation_check $(SCENARIOS) --runs tests/fidelity/data/real_runs.jsonl
	$(RUN)/python -m plumb_bench.labelled_check tests/fidelity/labelled.jsonl \
	  --held-out tests/fidelity/labelled_heldout.jsonl $(if $(SHOW),--show)

OUT ?= proto
# Generated code loads with its own version of protobuf and grpcio, and with newer ones: the oldest that
# is supported generates it, in an environment of its own.
PROTOC := $(UV) run --quiet --no-project --isolated --python $(PYTHON) --with grpcio-tools==1.71.2 python -m grpc_tools.protoc

proto: $(VENV)/.ready ## Generates the code of the wire (CHECK=1 OUT=DIR: only compares it)
	$(PROTOC) -Iproto --python_out=$(OUT) --grpc_python_out=$(OUT) \
	  --mypy_out=readable_stubs,quiet:$(OUT) --mypy_grpc_out=quiet:$(OUT) \
	  --plugin=protoc-gen-mypy=$(RUN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(RUN)/protoc-gen-mypy_grpc \
	  --include_source_info --descriptor_set_out=$(OUT)/plumb/v1/descriptors.binpb proto/plumb/v1/*.proto
ifdef CHECK
	@for f in $(OUT)/plumb/v1/*; do cmp "$$f" "proto/plumb/v1/$$(basename $$f)" \
	  || { echo "the generated code is stale: run make proto"; exit 1; }; done; rm -r $(OUT)
endif

docs: setup browser ## Makes the pages of docs/ that are made from something
	$(RUN)/python -m plumb_cli.settings_page > docs/settings.md
	$(MAKE) --no-print-directory demo
	chromium --headless --no-sandbox --hide-scrollbars --window-size=1280,1060 \
	  --screenshot=$(CURDIR)/docs/report.png file://$(CURDIR)/$(DEMO_OUT)/report.html
	PLUMB_SCREENSHOTS=docs/pages $(RUN)/pytest -q tests/browser/test_reach.py -k pictures

VENDORED := clients/plumb_gateway/static/vendor
vendor: ## Takes the terminal emulator of the pages from npm, as package-lock.json says
	cd $(VENDORED) && npm ci --ignore-scripts --no-audit --no-fund --silent
	cp $(VENDORED)/node_modules/@xterm/xterm/css/xterm.css $(VENDORED)/
	cp $(VENDORED)/node_modules/@xterm/xterm/LICENSE $(VENDORED)/xterm.LICENSE
	grep -v '^//# sourceMappingURL=' $(VENDORED)/node_modules/@xterm/xterm/lib/xterm.mjs > $(VENDORED)/xterm.mjs
	rm -r $(VENDORED)/node_modules

EXAMPLES := backends/plumb_backends/simulated/examples
examples: setup ## Records the real turns that simulators are shown as examples
	for name in shell shell_commands mysql mysql_commands; do \
	  $(RUN)/plumb play $(EXAMPLES)/scenarios/$$name.jsonl --record $(EXAMPLES)/$$name.jsonl; done

BENCH_OUT ?= $(if $(ONLY)$(SCALE),out/bench,benchmarks/results)
bench: setup bench-peers ## Measures everything beside others, in one run (ONLY=step,pool SCALE=0.1: some of it)
	$(RUN)/python benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(SCALE),--scale $(SCALE)) --out $(BENCH_OUT)

bench-peers: setup ## Installs what plumb is measured beside, in .venv-peers/
	@UV=$(UV) $(RUN)/python benchmarks/peer_setup.py

clean: ## Removes what setup made in this folder (not the engine, not its images)
	rm -rf $(VENV) $(VENV)-uv $(VENV)-peers
