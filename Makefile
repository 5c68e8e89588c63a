# Everything that a person does with Conversion Relay. `make` lists it.

PYTHON := $(shell sh tools/find_python)
RUN := .venv/bin/python -m
SAM := build/envs/sam/bin/
ENV ?= dev

export SAM_CLI_TELEMETRY := 0
# sam needs a region even to lint. Not for `deploy`: there your profile's region counts.
lint build same: export AWS_DEFAULT_REGION ?= us-east-1

.DEFAULT_GOAL := help
.PHONY: help setup demo up script test fuzz bench bench-measurement simulate faults load coverage lint check fix build same deploy probe delete clean study report picture

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

setup: .venv/.made build/envs/local-aws/.made ## Install what demo needs, into .venv and build/
demo: setup ## Signed webhooks become events that a stand-in for OpenAI accepts: here, in about a minute
	@$(RUN) tools.demo

up: setup ## The same, but it stays: addresses to send your own deliveries to, until Ctrl-C
	@$(RUN) tools.demo --stay

report: setup ## What the ads of a simulated shop really did, beside its truth: build/demo-report/report.html
	@$(RUN) tools.report --demo

# The picture in the README: a page changes it only where somebody runs this.
picture: setup ## docs/pictures/report.webp, from the report of the simulated shop, in Chromium
	@$(RUN) tools.report_picture

script: setup ## functions/click/relay-click.min.js from its source, functions/click/page/relay-click.js
	@$(RUN) tools.page_script

test: setup build/envs/faults/.made build/envs/runtime/.made ## All tests, on the local AWS
	@$(RUN) pytest -n 2 --dist loadfile

fuzz: setup ## Break deliveries for minutes, with a new seed each time (SEED=… repeats one, MUTATIONS=… how often each)
	@seed=$${SEED:-$$(date +%s)}; echo "SEED=$$seed"; \
	SEED=$$seed MUTATIONS=$${MUTATIONS:-1000} $(RUN) pytest -n 2 tests/properties/test_mutations.py tests/properties/test_custom_mutations.py

bench: setup ## Figures: how few requests it takes to find the bad events of a batch, beside what others do
	@$(RUN) tools.bench

bench-measurement: setup ## Figures: the attribution, from ten thousand touches to ten million: time, memory, growth
	@$(RUN) tools.bench.measurement

simulate: setup ## Histories with crashes and faults, a million of them on two cores (SEED=… HISTORIES=…)
	@$(RUN) tests.simulation --histories $${HISTORIES:-1000000} --seed $${SEED:-1} --workers 2

faults: setup build/envs/faults/.made ## Deliveries while processes are killed and AWS and OpenAI fail; then count (DELIVERIES=… SEED=…)
	@$(RUN) tools.faults $(if $(DELIVERIES),--deliveries $(DELIVERIES)) $(if $(SEED),--seed $(SEED))

load: setup ## Rising rates of deliveries on the local AWS, latencies, and the books (RATES="10 20" SECONDS=10)
	@$(RUN) tools.load $(if $(RATES),--rates $(RATES)) $(if $(SECONDS),--seconds $(SECONDS))

study: setup ## How often the report's 95 % intervals cover the truth of simulated shops (SEEDS=200 FIRST=1)
	@$(RUN) measurement.simulation.study --seeds $${SEEDS:-200} --first $${FIRST:-1}

lint: setup build/envs/sam/.made build/envs/security/.made ## Format, lint, types, template, security
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(SAM)python -m tools.lint_template
	$(SAM)python -m tools.lint_security
	$(SAM)cfn-lint tools/deploy_role.yaml
	$(SAM)sam validate --lint

coverage: setup ## Every branch of the rules is tested (all but what talks to AWS, which the integration tests run)
	@$(RUN) coverage run -m pytest tests/unit --ignore tests/unit/measurement
	@$(RUN) coverage report

check: lint build same coverage test ## The whole gate: lint, sam build, coverage, tests

fix: setup ## Format, correct what ruff can, draw the picture of the template anew
	$(RUN) ruff format .
	$(RUN) ruff check --fix .
	$(RUN) tools.draw_architecture

build: build/envs/sam/.made ## Layers and functions for AWS, into .aws-sam/
	@$(SAM)sam build

same: setup build
	@$(RUN) tools.package .aws-sam/build

# CONFIRM=no: do not ask, whatever samconfig.toml says. ROLE_ARN: the role that CloudFormation works with (docs/deploying.md).
deploy: build ## Deploy to your AWS account, as samconfig.toml says for ENV=dev (or ENV=prod)
	@$(SAM)sam deploy --config-env $(ENV) $(if $(filter no,$(CONFIRM)),--no-confirm-changeset) $(if $(ROLE_ARN),--role-arn $(ROLE_ARN))

probe: setup ## Do the deployed addresses of ENV answer, and refuse what is not signed?
	@$(RUN) tools.probe $(ENV)

delete: setup build/envs/sam/.made ## Delete the stack of ENV (asks first), and say what stays and how to delete that
	@$(RUN) tools.removal $(ENV) --sam $(SAM)sam

clean: ## Remove everything that was installed or built here
	rm -rf build .aws-sam .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

# One virtual environment for each dependency group of pyproject.toml; made again when that file changes. Developers'
# tools also run the relay's code, with what it has on Lambda, and the `relay` command.
.venv/.made: pyproject.toml layers/dependencies/requirements.txt tools/find_python
	@echo "Installing the tools into .venv (once, about 30 s) …"
	@$(call environment,.venv,--group dev --requirement layers/dependencies/requirements.txt --editable .)

build/envs/%/.made: pyproject.toml tools/find_python
	@echo "Installing $* into build/envs (once, 10 to 80 s) …"
	@$(call environment,build/envs/$*,--group $*)

# Whole in the list, so that of the SAM CLI only its wheel comes, for a program in it, and not the 300 MB that it needs.
build/envs/runtime/.made: pyproject.toml tools/find_python
	@echo "Installing runtime into build/envs (once, about 20 s) …"
	@$(call environment,build/envs/runtime,--no-deps --group runtime)

# The newest pip first: dependency groups are young.
define environment
test -n "$(PYTHON)" && "$(PYTHON)" -m venv "$(1)" \
&& unset PYTHONDONTWRITEBYTECODE && export PYTHONWARNINGS=ignore \
&& "$(1)/bin/python" -m pip install -qq --disable-pip-version-check --upgrade pip \
&& "$(1)/bin/python" -m pip install -qq --disable-pip-version-check $(2) \
&& touch "$(1)/.made"
endef
