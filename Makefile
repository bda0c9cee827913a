# Every target sets up what it needs by itself. Start with: make demo

SHELL := /bin/bash
CARGO ?= cargo
# Crash points that `make test` tries, and that `make torture` tries: while licences are given, while syncs run, and in a
# school, whose size can be given.
CI_POINTS ?= 40
CI_SYNC_POINTS ?= 20
CI_SCHOOL_POINTS ?= 0
POINTS ?= 300
SYNC_POINTS ?= 200
SCHOOL_POINTS ?= 200
SCHOOL_DEVICES ?= 500
SCHOOL_APPS ?= 50
SEED ?= 1

.PHONY: help setup demo test lint docs bench fuzz torture deb package-test clean

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what building and testing need (Debian packages), if it is missing
	@./tests/setup

demo: setup ## Watch vppd do its main job against a sandbox that plays Apple and 200 devices
	@$(CARGO) build --quiet --locked --workspace --bins
	@target/debug/vppd-sandbox demo --vppd target/debug/vppd

test: setup ## Run every test: units, stories on simulated time, tools that are not ours, crash points
	$(CARGO) test --workspace --locked --quiet
	$(MAKE) --no-print-directory torture POINTS=$(CI_POINTS) SYNC_POINTS=$(CI_SYNC_POINTS) SCHOOL_POINTS=$(CI_SCHOOL_POINTS)

lint: setup ## Format, clippy with warnings as errors, documentation, dependency rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	./tests/dependencies

docs: setup ## Write docs/config.md anew from etc/vppd.toml
	VPPD_WRITE_DOCS=1 $(CARGO) test --locked --quiet --test integration the_page_of_settings

bench: setup ## Measure against a bare server, medians of three (BENCH_JSON=FILE for JSON)
	env $$(sed -n 's/^Environment=//p' systemd/vppd.service) $(CARGO) bench --locked --quiet --bench measure

torture: setup ## Kill vppd at POINTS, SYNC_POINTS and SCHOOL_POINTS seeded places, and see that everything is right in the end
	@$(CARGO) build --quiet --locked --workspace --features vppd/fault-points --target-dir target/torture --bin vppd --bin vppd-sandbox
	@target/torture/debug/vppd-sandbox torture --vppd target/torture/debug/vppd --scene licences --points $(POINTS) --seed $(SEED)
	@target/torture/debug/vppd-sandbox torture --vppd target/torture/debug/vppd --scene syncs --points $(SYNC_POINTS) --seed $(SEED)
	@test $(SCHOOL_POINTS) = 0 || target/torture/debug/vppd-sandbox torture --vppd target/torture/debug/vppd --scene school --points $(SCHOOL_POINTS) --devices $(SCHOOL_DEVICES) --apps $(SCHOOL_APPS) --seed $(SEED)

fuzz: setup ## Fuzz every decoder of bytes from outside, a minute each (SECONDS_EACH=60)
	./fuzz/run $(or $(SECONDS_EACH),60)

deb: setup ## Build the Debian package into target/deb
	./debian/build

package-test: setup ## Build the package, and install, run, upgrade, remove and purge it in a clean Debian (as root)
	./tests/package.sh

clean: ## Remove everything that was built
	$(CARGO) clean
