# ShaCache. `make` alone lists what there is to make.

STATE ?= var
SWIFT_BUILD = swift build --configuration release
# One file to copy to a server that has no Swift. lld, since gold warns about Foundation's own code.
RELEASE = --static-swift-stdlib -Xswiftc -use-ld=lld -Xlinker -s
BIN = .build/release
DESTDIR ?=
PREFIX ?= /usr/local
# Where Debian's zsh looks: packages have a place of their own.
ZSH_FUNCTIONS = zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)

.PHONY: help packages build run test test-unit test-system test-slapgrid lint format bench bench-near bench-growth bench-client bench-reports bench-retention manual \
	deb install install-server install-client install-program clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

packages: ## Install with apt what is missing to build and run.
	@ops/install-packages run

build: packages ## Build all programs for release.
	@command -v swift >/dev/null || { echo "shacache: swift: not found" >&2; \
	  echo "shacache: hint: install Swift 6.3 (swift.org/install) and put its bin directory into PATH" >&2; exit 1; }
	$(SWIFT_BUILD) $(RELEASE)

run: build ## Run a whole network cache under STATE (var), on HTTP_PORT (8080) and HTTPS_PORT (8443).
	@STATE='$(STATE)' BIN='$(BIN)' exec ops/run

test: test-unit test-system ## Run all tests but the slow ones of test-slapgrid.

test-unit: packages ## Run the tests in Swift, with a real database and disk; SANITIZE=thread or address.
	@ops/install-packages test
	pg_virtualenv -v "$$(ops/newest-postgresql)" -t -o fsync=off -i --auth=trust \
	  swift test $(if $(SANITIZE),--sanitize '$(SANITIZE)' --scratch-path '.build-$(SANITIZE)')

test-system: build ## Run the tests through nginx, TLS, workers and PostgreSQL, with the real client.
	@ops/install-packages test
	ops/test-system

test-slapgrid: build ## Run SlapOS's own slapgrid at a cache, slow cases too.
	@ops/install-packages test
	ops/test-system -m '' -k test_slapgrid

lint: build ## Check formatting, scripts, nginx files; the build itself takes no warning.
	@ops/install-packages test
	ops/lint

format: ## Format the Swift sources.
	swift format --in-place --recursive Package.swift Sources Tests

bench: build ## Measure speed beside peers and, with BEFORE=REV, an earlier build; DISK, a directory on a real disk.
	@ops/install-packages bench
	bench/run $(if $(BEFORE),--before '$(BEFORE)') $(if $(DISK),--disk '$(DISK)')

bench-near: build ## Measure a near cache beside the one that it fetches from, and beside nginx's proxy_cache.
	@ops/install-packages bench
	bench/near

bench-growth: build ## Measure how cost grows with ROWS and FILES (10 million each).
	@ops/install-packages bench
	bench/growth $(if $(ROWS),--rows '$(ROWS)') $(if $(FILES),--files '$(FILES)') $(if $(DISK),--directory '$(DISK)')

bench-client: build ## Measure shacache beside the deployed Python client, on the same server.
	"$$(ops/test-venv)/bin/python" bench/client

bench-reports: build ## Measure the reports on ten million uploads that are made up; some minutes, 10 GB of memory.
	pg_virtualenv -v "$$(ops/newest-postgresql)" -t $(addprefix -o ,fsync=off full_page_writes=off wal_level=minimal max_wal_senders=0 \
	  max_wal_size=4GB shared_buffers=1GB) -i --auth=trust bench/reports

bench-retention: build ## Plan and apply a collection of a build farm's year (without ENTRIES), or plan for so many.
	pg_virtualenv -v "$$(ops/newest-postgresql)" -t $(addprefix -o ,fsync=off full_page_writes=off wal_level=minimal max_wal_senders=0 \
	  max_wal_size=4GB shared_buffers=1GB) -i --auth=trust bench/retention $(or $(ENTRIES),--apply)

manual: ## Write the manual pages in docs/man anew, from what --help says.
	swift package generate-manual
	install -m 644 -t docs/man .build/plugins/GenerateManual/outputs/*/*.1

deb: packages ## Build Debian packages of client and server for this release of Debian, below .build/deb.
	@ops/install-packages deb
	DEB_RULES_REQUIRES_ROOT=no debian/rules clean binary
	debian/rules clean
	lintian --allow-root --fail-on error,warning .build/deb/*.deb

install: install-client install-server ## Install programs, guides, nginx snippets, SQL and systemd units below DESTDIR, for PREFIX (/usr/local).

install-server:
	install -D -t $(DESTDIR)$(PREFIX)/bin $(BIN)/shacached $(BIN)/shacache-page $(BIN)/shacache-fetcher $(BIN)/shacache-admin
	install -D -t $(DESTDIR)$(PREFIX)/bin ops/shacache-setup
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/man/shacached.1 \
	  docs/man/shacache-page.1 docs/man/shacache-fetcher.1 docs/man/shacache-admin.1
	ln -sf shacache-admin.1 $(DESTDIR)$(PREFIX)/share/man/man1/shacache-setup.1
	install -D -m 644 -t $(DESTDIR)/etc/nginx/shacache nginx/*.conf
	install -D -m 644 -t $(DESTDIR)/usr/share/shacache/sql sql/*.sql
	for kind in functions views report page; do \
	  install -D -m 644 -t $(DESTDIR)/usr/share/shacache/sql/$$kind sql/$$kind/*.sql || exit; done
	install -D -m 644 -t $(DESTDIR)/usr/share/shacache/page page/*
	install -D -m 644 -t $(DESTDIR)/usr/share/shacache nginx/site.conf.in ops/shacache.toml ops/alerts.yml
	install -D -t $(DESTDIR)/usr/share/shacache ops/upgrade
	install -D -m 644 -t $(DESTDIR)/usr/share/doc/shacache $(filter-out docs/use.md,$(wildcard docs/*.md)) CHANGELOG.md
# Not below /lib: that is a link on a server, which a copied directory would replace.
	install -D -m 644 -t $(DESTDIR)/usr/lib/systemd/system ops/systemd/*.service ops/systemd/*.socket ops/systemd/*.timer
	sed -i 's#/usr/local/#$(PREFIX)/#' $(DESTDIR)/usr/lib/systemd/system/shacache*.service
	install -D -m 644 ops/sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/shacache.conf
	install -D -m 644 ops/tmpfiles.conf $(DESTDIR)/usr/lib/tmpfiles.d/shacache.conf
	install -D -m 644 -t $(DESTDIR)/etc/logrotate.d ops/logrotate/shacache

install-client: install-program ## Install shacache alone below DESTDIR, with its manual, completions and the old scripts' names.
	for name in networkcache-upload networkcache-download generate-signature-key; do \
	  ln -sf shacache $(DESTDIR)$(PREFIX)/bin/$$name; done

# Debian's package has this, and the old scripts' names as alternatives.
install-program:
	install -D -t $(DESTDIR)$(PREFIX)/bin $(BIN)/shacache
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/man/shacache.1
	install -D -m 644 -t $(DESTDIR)/usr/share/doc/shacache docs/use.md
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions $(ZSH_FUNCTIONS) fish/vendor_completions.d)
	$(BIN)/shacache --generate-completion-script bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/shacache
	$(BIN)/shacache --generate-completion-script zsh >$(DESTDIR)$(PREFIX)/share/$(ZSH_FUNCTIONS)/_shacache
	$(BIN)/shacache --generate-completion-script fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/shacache.fish

clean: ## Remove what was built; STATE stays.
	rm -rf .build
