# Two commands on a fresh machine: `make devnet` (a local network with a live market), `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help devnet install test soak format lint bench docs pins clean

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

devnet: $(VENV)/.runtime  ## Start four validators, an EVM chain and traders (ARGS="--traders 4 …")
	@$(BIN)/omnibazaar devnet up $(ARGS)

install: $(VENV)/.dev  ## Install everything for development into .venv

$(VENV)/.runtime: pyproject.toml constraints.txt
	@.ci/toolchain $(PYTHON)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a minute or two, once)"
	@$(BIN)/pip install -q --disable-pip-version-check -e . -c constraints.txt
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	@.ci/toolchain $(PYTHON)
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a minute or two, once)"
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@ $(VENV)/.runtime

test:  ## Everything CI runs (.ci/run): lint, types, import contracts, rebuild checks, all tests
	@bash .ci/run

# Ten times the examples and crashes of CI (50 kills of all four validators), an hour of networks,
# then every mutant of the contracts, and the lines of those for private tokens.
soak: $(VENV)/.dev  ## Hours of random tests (OMNIBAZAAR_SOAK=10, MINUTES=60 from SEEDS=100000:100001 on)
	OMNIBAZAAR_SOAK=$${OMNIBAZAAR_SOAK:-10} $(BIN)/pytest $(ARGS)
	$(BIN)/python -m tests.simulation --seeds $${SEEDS:-100000:100001} --minutes $${MINUTES:-60} --processes 2
	$(BIN)/python -m tests.contracts.mutation --all --processes 2
	$(BIN)/python -m tests.contracts.coverage --private --minimum 98

format: $(VENV)/.dev  ## Format and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# trio-typing (a dependency of libp2p) ships stubs that hide trio's own types from mypy.
lint: $(VENV)/.dev  ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf $(VENV)/lib/python3*/site-packages/trio-stubs
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev  ## Measure; prints a table of medians
	$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/.dev  ## Build the documentation into site/
	$(BIN)/pip install -q --disable-pip-version-check -e '.[docs]' -c constraints.txt
	$(BIN)/mkdocs build --strict

pins: $(VENV)/.dev  ## Resolve constraints.txt again
	$(BIN)/pip install -q --disable-pip-version-check uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-annotate \
		--no-header --prerelease=allow --extra dev --extra docs pyproject.toml -o constraints.txt

clean:  ## Remove the environment and all caches (a devnet's state stays: `omnibazaar devnet reset`)
	rm -rf $(VENV) build site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
