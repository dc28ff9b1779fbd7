# The commands people need. `make` alone lists them.

PORT ?= 8000
# One more than the cores it is aimed at: some tests wait for processes.
WORKERS ?= 3
VENV := .venv
BIN := $(VENV)/bin
# Any Python from 3.11 on will do; the newest that is called plainly `python3` first.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
UV := $(firstword $(shell command -v uv 2>/dev/null) $(BIN)/uv)
# uv shows how far it is where somebody watches.
INSTALL_BY_UV = $(UV) pip install $$(test -t 2 || echo -q) --python $(BIN)/python --require-hashes
# A machine may know its package index or its certificates only through pip's configuration, which uv does not read.
INSTALL_BY_PIP = $(BIN)/python -m pip install $$(test -t 2 || echo -q) --disable-pip-version-check --require-hashes
STEP := .ci/step

.DEFAULT_GOAL := help
.PHONY: help demo test test-long audit format requirements clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## everything on this machine with the demo week, until Ctrl-C; `make demo PORT=9000` elsewhere
	@exec env DEPLOYMENT=demo PORT=$(PORT) .ci/with-parent $(BIN)/python manage.py demo

test: $(VENV)/.installed-dev ## everything that must pass
	@$(STEP) "ruff: rules" $(BIN)/ruff check
	@$(STEP) "ruff: layout" $(BIN)/ruff format --check
	@$(STEP) "djade: templates" sh -c 'git ls-files -z -co --exclude-standard "*.html" | xargs -0 $(BIN)/djade --check --target-version 5.2'
	@$(STEP) "import-linter: who may import whom" env DEPLOYMENT=test $(BIN)/lint-imports
	@$(STEP) "mypy: types" env DEPLOYMENT=test $(BIN)/mypy .
	@$(STEP) "migrations: none is missing" env DEPLOYMENT=test DATABASE_POOL_SIZE=0 $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@$(STEP) "check: production settings" env $(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	@$(STEP) "Chromium" .ci/chromium
	@$(STEP) "pytest" env CHROMIUM="$$(.ci/chromium --path)" $(BIN)/pytest -n $(WORKERS) -m "not long"
	@echo "All of it passed."

test-long: $(VENV)/.installed-dev ## the long forms of the tests too (races, kills, many rows)
	@$(STEP) "Chromium" .ci/chromium
	@$(STEP) "Attack texts" .ci/payloads
	@$(STEP) "pytest, long" env CHROMIUM="$$(.ci/chromium --path)" $(BIN)/pytest -n $(WORKERS) -m long

audit: $(VENV)/.installed-dev ## ask whether a package we pin has a known hole; needs a network that reaches advisories
	@$(STEP) "pip-audit: every package is looked up" $(BIN)/python .ci/audit.py requirements.txt requirements-dev.txt requirements-uv.txt

format: $(VENV)/.installed-dev ## lay out code and templates
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	git ls-files -z -co --exclude-standard '*.html' | xargs -0 $(BIN)/djade --target-version 5.2

requirements: $(VENV)/.uv ## pin again what pyproject.toml asks for, each with its hash
	$(UV) pip compile -q --universal --generate-hashes --no-header pyproject.toml -o requirements.txt
	$(UV) pip compile -q --universal --generate-hashes --no-header --group dev pyproject.toml -c requirements.txt -o requirements-dev.txt

clean: ## remove what the commands above made, the demo's data too
	rm -rf $(VENV) .local staticfiles .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Production settings need these named; their values are thrown away.
PRODUCTION = DEPLOYMENT=production SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	SITE_URL=https://support.example ALLOWED_HOSTS=support.example DATABASE_URL=postgresql:///none \
	REDIS_URL=redis://localhost:1 EMAIL_HOST=localhost DEFAULT_FROM_EMAIL=support@aegir.example FILES_DIR=/nowhere \
	SECURE_HSTS_INCLUDE_SUBDOMAINS=yes SECURE_HSTS_PRELOAD=yes

# The virtual environment. A stamp is written when its step is complete, so an interrupted one is done again.
$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none is on PATH. On Debian 12: apt install python3 python3-venv"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "This Python cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.uv: requirements-uv.txt $(VENV)/.made
	@test -x "$(UV)" || { echo "Installing uv into $(VENV)"; $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.txt; }
	@touch $@

# Neither list takes away what the other installed, so the two commands can alternate.
$(VENV)/.installed: requirements.txt $(VENV)/.uv
	@echo "Installing $< (the first time this takes a minute)"
	@$(INSTALL_BY_UV) -r $< || { echo "uv could not install them; trying pip"; $(INSTALL_BY_PIP) -r $<; }
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt $(VENV)/.uv
	@echo "Installing $< (the first time this takes a minute)"
	@$(INSTALL_BY_UV) -r $< || { echo "uv could not install them; trying pip"; $(INSTALL_BY_PIP) -r $<; }
	@touch $@ $(VENV)/.installed
