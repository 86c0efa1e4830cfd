# pgq: `make help` lists the targets. PG_CONFIG=/path/to/pg_config chooses among several PostgreSQLs.

EXTENSION = pgq
PGQ_VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" pgq.control)
SOURCES := $(sort $(wildcard extension/tables/*.sql)) $(sort $(wildcard extension/functions/*.sql))
PARTS := $(wildcard extension/functions/parts/*.sql)
SCRIPT := extension/pgq--$(PGQ_VERSION).sql
PLAIN  := extension/pgq.plain.sql
BUNDLE := sdk-ts/dist/pgq.tar.gz

DATA_built = $(SCRIPT)
DOCS := $(wildcard extension/doc/pgq.md)
EXTRA_CLEAN = $(PLAIN) sdk-ts/dist test/output

# pgTAP judges, pg_regress runs. Both kinds of test keep their expected output in test/expected.
REGRESS        = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS   = --inputdir=test --outputdir=test/output --load-extension=pgtap --load-extension=pgq
ISOLATION      = $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=test/output/isolation --load-extension=pgq

.PHONY: all install installcheck uninstall clean test demo bench bundle check-version check-layout check-doc help not-foreign uninstall-doc test/output
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

all: $(SCRIPT) $(PLAIN) ## build the extension script and the plain SQL (the default)

# `make demo` and `make test` must also work where no PostgreSQL is installed yet.
PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(PGXS),)
include $(PGXS)
else
install installcheck uninstall:
	@echo "make $@ needs PostgreSQL's build files: install postgresql-server-dev-NN, or name another PG_CONFIG=" >&2; exit 1
clean:
	rm -rf $(DATA_built) $(EXTRA_CLEAN)
endif

# The folders are named because their time changes when a file is removed.
$(SCRIPT): extension/header.extension.sql extension/header.install.sql $(SOURCES) extension/footer.extension.sql pgq.control
$(PLAIN): extension/header.plain.sql extension/header.install.sql $(SOURCES)
# A line `-- include parts/x.sql` stands for what that file has.
$(SCRIPT) $(PLAIN): Makefile extension/tables extension/functions $(PARTS)
	@echo 'make $@'
	@awk 'FNR == 1 { print (NR > 1 ? "\n" : "") "-- " FILENAME } \
	  /^ *-- include / { while ((getline line < ("extension/functions/" $$3)) > 0) print line; close("extension/functions/" $$3); next } \
	  { print }' $(filter-out $(PARTS),$(filter %.sql,$^)) > $@

install: not-foreign ## install the extension (as a user who may write to PostgreSQL's directories)
installcheck: test/output ## pgTAP and isolation tests on the running server (PGHOST, PGPORT, PGUSER)
uninstall: not-foreign uninstall-doc ## remove what `make install` put there
clean: ## remove all that was built

test/output:
	mkdir -p $@/isolation

# PGXS forgets that DOCS may lie in a subfolder.
uninstall-doc:
	rm -f '$(DESTDIR)$(docdir)/extension/pgq.md'

# Skytools PgQ is an extension named pgq too. To overwrite its control file would break its servers.
INSTALLED_CONTROL = $(DESTDIR)$(datadir)/extension/pgq.control
not-foreign:
	@if [ -e '$(INSTALLED_CONTROL)' ] && ! grep -q '^# pgqueue' '$(INSTALLED_CONTROL)'; then \
	  echo "Stopped: $(INSTALLED_CONTROL) belongs to another extension named pgq"; \
	  sed -nE 's/^(comment|default_version)/  &/p' '$(INSTALLED_CONTROL)'; \
	  echo "(Skytools PgQ, Debian package postgresql-NN-pgq3?). Remove that one first, or leave it and install"; \
	  echo "pgq as plain SQL into a schema of its own: see \"Plain SQL\" in README.md."; \
	  exit 1; \
	fi >&2

test: ## set everything up and run all tests (STAGES="pgtap sdk" runs some)
	@test/run $(STAGES)

demo: $(BUNDLE) sdk-ts/node_modules/.package-lock.json ## see jobs run, in PGlite (or DATABASE_URL=…; INPUT=folder)
	@sdk-ts/node_modules/.bin/tsx sdk-ts/examples/demo.ts

# npm ci writes this file last.
sdk-ts/node_modules/.package-lock.json: sdk-ts/package-lock.json
	cd sdk-ts && npm ci --no-audit --no-fund
	@touch $@

bench: ## measure pgq beside its peers (BENCH="--rows drain --repeat 5"; see test/bench/README.md)
	@test/bench/run $(BENCH)

# What PGlite unpacks before CREATE EXTENSION pgq.
bundle: $(BUNDLE) ## build the tarball for PGlite
$(BUNDLE): pgq.control $(SCRIPT)
	@echo 'make $@'
	@rm -rf $@.tmp && mkdir -p $@.tmp/share/postgresql/extension
	@cp $^ $@.tmp/share/postgresql/extension
	@COPYFILE_DISABLE=1 tar --format=ustar -czf $@ -C $@.tmp share && rm -r $@.tmp

check-version: ## compare all copies of the version with pgq.control
	@check() { [ "$$2" = '$(PGQ_VERSION)' ] || { echo "$$1 says version \"$$2\", pgq.control $(PGQ_VERSION)" >&2; exit 1; }; }; \
	json() { node -p "JSON.parse(fs.readFileSync('$$1'))$$2"; }; \
	check META.json "$$(json META.json .version)"; \
	check "META.json (provides)" "$$(json META.json .provides.pgq.version)"; \
	check sdk-ts/package.json "$$(json sdk-ts/package.json .version)"; \
	check sdk-ts/package-lock.json "$$(json sdk-ts/package-lock.json .version)"; \
	check installed_version "$$(grep -A 7 '[.]installed_version()$$' extension/functions/*.sql | sed -n "s/.*RETURN '\([^']*\)'.*/\1/p")"; \
	check CHANGELOG.md "$$(sed -n 's/^## \[\{0,1\}\([0-9][^] ]*\).*/\1/p' CHANGELOG.md | head -n 1)"

# functions/ is run again by every upgrade, so nothing in it may fail or lose data the second time; a name that two
# files define would silently be the last one's; and a domain has one number everywhere.
check-layout: ## one function, one file; one domain, one number; functions/ can be run again
	@! grep -nE '^(CREATE (TABLE|TYPE|INDEX|SEQUENCE|FUNCTION|PROCEDURE|VIEW|SCHEMA|TRIGGER)|ALTER|DROP|INSERT|UPDATE|DELETE|TRUNCATE)\b' \
	  extension/functions/*.sql
	@twice=$$(sed -nE 's/^CREATE OR REPLACE (FUNCTION|PROCEDURE) @extschema@\.(\w+).*/\2/p' extension/functions/*.sql | sort | uniq -d); \
	[ -z "$$twice" ] || { echo "defined more than once: $$twice" >&2; exit 1; }
	@for file in extension/tables/*.sql test/sql/*.sql; do \
	  name=$${file##*/}; set -- extension/functions/*-$${name#*-}; \
	  [ ! -e "$$1" ] || [ "$${1##*/}" = "$$name" ] || { echo "$$file and $$1 have different numbers" >&2; exit 1; }; \
	done

# A signature in one line, as the sources have it and as the page shows it; what stands once is not in both.
SIGNATURE = on { line = line $$0 " " } on && /^RETURNS/ { gsub("@extschema@", "pgq", line); print line; line = ""; on = 0 }
check-doc: ## extension/doc/pgq.md shows each public function as it is
	@differ=$$({ \
	  awk 'sub(/^CREATE OR REPLACE FUNCTION @extschema@[.]/, "pgq.") && /^pgq[.][a-z]/ { on = 1 } $(SIGNATURE)' extension/functions/*.sql; \
	  awk '/^pgq[.][a-z_]+[(]/ { on = 1 } $(SIGNATURE)' extension/doc/pgq.md; \
	} | sort | uniq -u); \
	[ -z "$$differ" ] || { printf '%s\n' "$$differ" "only in one of extension/functions and extension/doc/pgq.md" >&2; exit 1; }

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
