# How a layer or a function becomes what Lambda runs. `sam build` calls these rules (BuildMethod: makefile in
# template.yaml) and so does tools/package.py for the demo and the tests: there is one way to build.
#
# Lambda unpacks code onto a read-only disk, so bytecode that is not shipped is compiled again on every cold start:
# 60 % of its time, measured. Hence .pyc files, of the kind that is not checked against its source (zips lose time
# stamps). Bytecode belongs to one Python version, hence the demand for that very Python.

SHELL := /bin/sh
TOOLS := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))

# The version of the runtime in template.yaml, and an interpreter of it. The demo overrides both where there is none.
LAMBDA_PYTHON_VERSION ?= 3.13
LAMBDA_PYTHON ?= $(shell sh "$(TOOLS)/find_python" 2>/dev/null)

# The compiled wheels of both processors go into one layer: their file names differ, Python loads its own. So a build
# fits both values of the template's Architecture (which `sam build` does not tell a makefile), at 5 MB on disk.
# Empty: wheels of this machine, for a demo where these do not run (macOS).
PROCESSORS ?= x86_64 aarch64

PIP = env -u PYTHONDONTWRITEBYTECODE "$(LAMBDA_PYTHON)" -m pip install --quiet --no-compile --no-deps \
	--disable-pip-version-check --no-input --root-user-action=ignore --only-binary=:all: --requirement requirements.txt
WHEELS_OF = --implementation cp --python-version $(LAMBDA_PYTHON_VERSION) \
	--platform manylinux_2_28_$(1) --platform manylinux2014_$(1)

.SILENT:
.PHONY: right-python function page platforms relay dependencies

right-python:
	"$(LAMBDA_PYTHON)" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(LAMBDA_PYTHON_VERSION)")' 2>/dev/null \
	|| { echo "No Python $(LAMBDA_PYTHON_VERSION) found to compile for the Lambda runtime (found: '$(LAMBDA_PYTHON)'). Install it, e.g. 'pyenv install $(LAMBDA_PYTHON_VERSION)' or 'uv python install $(LAMBDA_PYTHON_VERSION)', and build again." >&2; exit 1; }

# A function: the Python files of its folder.
function: right-python
	mkdir -p "$(ARTIFACTS_DIR)"
	cp ./*.py "$(ARTIFACTS_DIR)"
	$(call compile,$(ARTIFACTS_DIR),/var/task)

# The click memory: with the script that it hands to pages.
page: function
	$(if $(wildcard relay-click.min.js),cp relay-click.min.js "$(ARTIFACTS_DIR)")

# The function for custom platforms: their files are checked, and become the one that it reads. Whoever compiles has
# nothing but Python, so what the check takes is installed once, under build/.
platforms: function
	$(CHECKER) -c 'import jmespath, pydantic, yaml' 2>/dev/null || { mkdir -p "$(CHECKS_WITH)" \
	&& "$(LAMBDA_PYTHON)" -m pip install --quiet --no-deps --disable-pip-version-check --no-input \
	--root-user-action=ignore --upgrade --target "$(CHECKS_WITH)" \
	--requirement "$(TOOLS)/platforms-requirements.txt" --requirement "$(ROOT)/layers/dependencies/requirements.txt"; }
	$(CHECKER) -m tools.platforms build platforms "$(ARTIFACTS_DIR)/platforms.json"

ROOT := $(patsubst %/,%,$(dir $(TOOLS)))
PINS = "$(TOOLS)/platforms-requirements.txt" "$(ROOT)/layers/dependencies/requirements.txt"
CHECKS_WITH = $(ROOT)/build/platform-check/$(LAMBDA_PYTHON_VERSION)-$(shell cat $(PINS) | cksum | cut -d' ' -f1)
CHECKER = env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$(ROOT):$(ROOT)/layers/relay:$(CHECKS_WITH)" "$(LAMBDA_PYTHON)"

# The relay's own code.
relay: right-python
	mkdir -p "$(ARTIFACTS_DIR)/python"
	cp -R conversion_relay "$(ARTIFACTS_DIR)/python"
	find "$(ARTIFACTS_DIR)/python" -name __pycache__ -prune -exec rm -rf {} +
	$(call compile,$(ARTIFACTS_DIR)/python,/opt/python)

# What it imports: the wheels for the first processor whole, of the others only what is compiled. Scripts and install
# records name this machine's paths; nothing at run time reads them.
dependencies: right-python
	mkdir -p "$(ARTIFACTS_DIR)/python"
	$(PIP) --target "$(ARTIFACTS_DIR)/python" $(if $(PROCESSORS),$(call WHEELS_OF,$(firstword $(PROCESSORS))))
	$(foreach processor,$(wordlist 2,9,$(PROCESSORS)),$(call add_compiled,$(processor)))
	rm -rf "$(ARTIFACTS_DIR)/python/bin"
	find "$(ARTIFACTS_DIR)/python" -path '*.dist-info/*' \( -name RECORD -o -name INSTALLER -o -name REQUESTED \) -exec rm -f {} +
	find "$(ARTIFACTS_DIR)/python" \( -name __pycache__ -o -name tests \) -prune -exec rm -rf {} +
	$(call compile,$(ARTIFACTS_DIR)/python,/opt/python)

define add_compiled
$(PIP) --target "$(ARTIFACTS_DIR)/other" $(call WHEELS_OF,$(1))
cd "$(ARTIFACTS_DIR)/other" && find . -name '*.so' -exec sh -c 'mkdir -p "../python/$$(dirname "$$1")" && cp "$$1" "../python/$$1"' _ {} \;
rm -rf "$(ARTIFACTS_DIR)/other"

endef

# Paths inside the bytecode are those on Lambda, so that two builds of one commit are the same bytes anywhere.
compile = env -u PYTHONDONTWRITEBYTECODE "$(LAMBDA_PYTHON)" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
	-s "$(1)" -p "$(2)" "$(1)"
