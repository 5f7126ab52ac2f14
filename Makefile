# SPDX-License-Identifier: MIT OR Apache-2.0
# Every target first makes sure that its tools are there; that is silent and quick when nothing is missing.
LAB := cargo run --quiet --package lab --
# What `make run`, `make shell` and `make debug` boot.
SCENARIO ?= scenarios/two-guests.toml
# More arguments for the command, e.g. ARGS="--cpu cortex-a57".
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run watch shell debug test test-all reproduce bench check docs lint clean

help: ## Say what there is.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## Install what is missing: QEMU, the Rust target, the crates.
	@lab/setup.sh
	@[ -x "$${CARGO_TARGET_DIR:-target}/debug/lab" ] || cargo build --package lab

run: setup ## Boot SCENARIO (two-guests), judge it, and write what happened as an HTML file.
	@$(LAB) report $(SCENARIO) $(ARGS)

watch: setup ## Boot SCENARIO and see every step live: consoles, VMs, calls, world switches.
	@$(LAB) watch $(SCENARIO) $(ARGS)

shell: setup ## Boot SCENARIO and type into its VMs: Ctrl-A n next VM, Ctrl-A x quit.
	@$(LAB) shell $(SCENARIO) $(ARGS)

debug: setup ## Boot SCENARIO halted, waiting for gdb, and say how to attach.
	@$(LAB) debug $(SCENARIO) $(ARGS)

test: setup ## Unit tests of every layer, then every scenario.
	@cargo test --workspace --quiet -- $(ARGS)

test-all: setup ## The same and what takes long; SEARCH_SECONDS of random calls (600), and mutants (MUTANTS=k/n).
	@SEARCH_SECONDS=$${SEARCH_SECONDS:-600} cargo test --workspace --quiet -- --include-ignored $(ARGS)

reproduce: setup ## Boot the TEE of the reported bug and its remedies, and compare.
	@$(LAB) reproduce $(ARGS)

bench: setup ## Count instructions and compare with the goals.
	@$(LAB) bench $(ARGS)

check: setup ## Judge an exercise of the course: make check ARGS=1.
	@$(LAB) check $(ARGS)

docs: setup ## Build the book (the course, the reference) and the API documentation; follow every link.
	@cargo test --quiet --package lab --test docs
	@$(LAB) book
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	@echo "target/doc/shared_abi/index.html"

lint: setup ## rustfmt, clippy on host and firmware targets, rustdoc: no warning allowed; cargo-deny if it is there.
	@cargo fmt --all --check
	@cargo fmt --manifest-path tee-core/fuzz/Cargo.toml --check
	@cargo fmt --manifest-path hypervisor/fuzz/Cargo.toml --check
	@cargo clippy --workspace --all-targets --quiet -- -D warnings
	@# The fuzzer's own library is C++.
	@! command -v c++ >/dev/null || for fuzzed in tee-core hypervisor; do cargo clippy --quiet --locked \
		--manifest-path $$fuzzed/fuzz/Cargo.toml --target-dir target/fuzz -- -D warnings || exit; done
	@! command -v cargo-deny >/dev/null || said=$$(cargo deny --offline check licenses bans sources 2>&1) || \
		{ echo "$$said"; exit 1; }
	@$(LAB) clippy
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet

clean: ## Remove everything that was built or fetched.
	@rm -rf target
