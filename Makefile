# One command each; what they do is in scripts/. Every run has a private throw-away server: nothing is configured,
# nothing is left running. PG_CONFIG=/path/to/pg_config chooses another PostgreSQL (14 to 18).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test test-unit installcheck test-integration install bench lint package setup clean check-all-versions

ifdef PG_CONFIG
export PG_CONFIG
endif

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nPG_CONFIG=/path/to/pg_config picks the server; TESTS="name ..." picks tests of one layer.\n'

demo: setup ## see what the extension does, on a private server
	@scripts/demo.sh

test: setup ## run every test layer
	@scripts/test.sh

test-unit: setup ## Rust tests, in and outside a server (TESTS=filter)
	@scripts/test-unit.sh $(TESTS)

installcheck: setup ## SQL and isolation tests with pg_regress (TESTS="name ...")
	@scripts/installcheck.sh $(TESTS)

test-integration: setup ## tests against real servers: crashes, dumps, replication (TESTS="00_smoke ...")
	@scripts/test-integration.sh $(TESTS)

install: setup ## install a release build into the server of PG_CONFIG
	@scripts/install.sh

bench: setup ## run the measurements in bench/ (TESTS="name ...")
	@scripts/bench.sh $(TESTS)

lint: setup ## formatting, clippy, shell syntax
	@scripts/lint.sh

package: setup ## build a Debian package into target/
	@scripts/package.sh

setup: ## install what a build needs and this machine lacks
	@scripts/setup.sh

check-all-versions: ## type-check against every PostgreSQL 14 to 18 found here
	@scripts/check-versions.sh

clean: ## remove everything that was built
	@cargo clean
	@rm -rf tests/pg_regress/results tests/isolation/results tests/isolation/output_iso
