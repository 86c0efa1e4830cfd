# pgq: `make help` lists the targets. PG_CONFIG=/path/to/pg_config chooses among several PostgreSQLs.

EXTENSION = pgq
PGQ_VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" pgq.control)
TABLES := $(sort $(wildcard extension/tables/*.sql))
FUNCTIONS := $(sort $(wildcard extension/functions/*.sql))
PARTS := $(wildcard extension/functions/parts/*.sql)
SCRIPT := extension/pgq--$(PGQ_VERSION).sql
PLAIN  := extension/pgq.plain.sql
# From the release before to this version; extension/releases has the scripts of earlier ones, as they were released.
UPGRADE  := $(patsubst extension/upgrades/%.sql,extension/pgq--%.sql,$(wildcard extension/upgrades/*--$(PGQ_VERSION).sql))
RELEASED := $(filter-out %/pgq--$(PGQ_VERSION).sql %--$(PGQ_VERSION).sql %.plain.sql,$(wildcard extension/releases/*.sql))
STEPS    := $(UPGRADE) $(foreach script,$(RELEASED),$(if $(findstring --,$(subst pgq--,,$(script))),$(script)))
PLAIN_STEPS := $(STEPS:.sql=.plain.sql)
# Plain SQL becomes the extension, and the other way round: for this version only.
MOVES  := extension/pgq--from_plain.sql extension/pgq--from_plain--$(PGQ_VERSION).sql extension/pgq--$(PGQ_VERSION)--to_plain.sql
BUNDLE := sdk-ts/dist/pgq.tar.gz
SDK_SQL := sdk-ts/dist/sql
SERVER_TESTS := $(sort $(wildcard test/server/*.sql))
# Packages for others to carry.
BUILD  := extension/build
ZIP    := $(BUILD)/pgqueue-$(PGQ_VERSION).zip
TLE    := $(BUILD)/pgq.tle.sql
DBDEV  := $(BUILD)/dbdev/pgq

DATA = $(RELEASED)
DATA_built = $(SCRIPT) $(UPGRADE) $(MOVES)
DOCS := $(wildcard extension/doc/pgq.md)
EXTRA_CLEAN = $(PLAIN) $(UPGRADE:.sql=.plain.sql) $(BUILD) sdk-ts/dist test/output

# pgTAP judges, pg_regress runs. Both kinds of test keep their expected output in test/expected.
REGRESS        = $(sort $(patsubst test/sql/%.sql,%,$(wildcard test/sql/*.sql)))
REGRESS_OPTS   = --inputdir=test --outputdir=test/output --load-extension=pgtap --load-extension=pgq
ISOLATION      = $(sort $(patsubst test/specs/%.spec,%,$(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=test/output/isolation --load-extension=pgq

.PHONY: all install installcheck uninstall clean test demo bench bundle dist tle dbdev freeze check-upgrade test-all check-version check-layout check-doc check-releases help not-foreign uninstall-doc test/output
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

all: $(SCRIPT) $(PLAIN) $(UPGRADE) $(UPGRADE:.sql=.plain.sql) $(MOVES) ## build the extension script and the plain SQL (the default)

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
$(SCRIPT): extension/header.extension.sql extension/header.install.sql $(TABLES) $(FUNCTIONS) extension/footer.extension.sql pgq.control
$(PLAIN): extension/header.plain.sql extension/header.install.sql $(TABLES) $(FUNCTIONS)
extension/pgq--%--$(PGQ_VERSION).sql: extension/header.extension_upgrade.sql extension/header.upgrade.sql \
  extension/upgrades/%--$(PGQ_VERSION).sql $(TABLES) $(FUNCTIONS) extension/footer.upgrade.sql extension/footer.extension.sql pgq.control
	$(CONCATENATE)
extension/pgq--%--$(PGQ_VERSION).plain.sql: extension/header.plain_upgrade.sql extension/header.upgrade.sql \
  extension/upgrades/%--$(PGQ_VERSION).sql $(TABLES) $(FUNCTIONS) extension/footer.upgrade.sql
	$(CONCATENATE)
extension/pgq--from_plain.sql: extension/header.extension.sql
extension/pgq--from_plain--$(PGQ_VERSION).sql: extension/header.extension_upgrade.sql extension/upgrades/from_plain.sql \
  $(FUNCTIONS) extension/footer.from_plain.sql extension/footer.extension.sql
extension/pgq--$(PGQ_VERSION)--to_plain.sql: extension/header.extension_upgrade.sql extension/upgrades/to_plain.sql
$(SCRIPT) $(PLAIN) $(MOVES):
	$(CONCATENATE)
$(SCRIPT) $(PLAIN) $(UPGRADE) $(UPGRADE:.sql=.plain.sql) $(MOVES): Makefile extension/tables extension/functions $(PARTS)
$(UPGRADE) $(UPGRADE:.sql=.plain.sql): IS_UPGRADE = 1

# A line `-- include parts/x.sql` or `-- include tables/x.sql` stands for what that file has. Of tables/ an upgrade runs
# the comments again, and nothing else.
define CONCATENATE
	@echo 'make $@'
	@awk -v is_upgrade=$(IS_UPGRADE) ' \
	  function emit(line,   file) { \
	    if (line !~ /^ *-- include /) { print line; return } \
	    sub(/^ *-- include /, "", line); file = "extension/" (line ~ /^parts/ ? "functions/" : "") line; \
	    while ((getline line < file) > 0) emit(line); close(file) } \
	  is_upgrade && FILENAME ~ /^extension.tables/ { if (/^COMMENT ON/) on = 1; if (on) print; if (/;$$/) on = 0; next } \
	  FNR == 1 { print (NR > 1 ? "\n" : "") "-- " FILENAME } \
	  { emit($$0) }' $(filter-out $(PARTS),$(filter %.sql,$^)) > $@
endef

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
bundle: $(BUNDLE) $(SDK_SQL) ## build what the npm package carries: the tarball for PGlite, the plain SQL
$(BUNDLE): pgq.control $(SCRIPT) $(STEPS)
	@echo 'make $@'
	@rm -rf $@.tmp && mkdir -p $@.tmp/share/postgresql/extension
	@cp $^ $@.tmp/share/postgresql/extension
	@COPYFILE_DISABLE=1 tar --format=ustar -czf $@ -C $@.tmp share && rm -r $@.tmp

# What install() and pgq-install read; pgq_test.sql is what pgq-install makes of test/server/ for the user's own server.
$(SDK_SQL): Makefile pgq.control $(PLAIN) $(PLAIN_STEPS) test/server $(SERVER_TESTS)
	@echo 'make $@'
	@rm -rf $@ && mkdir -p $@
	@cp $(PLAIN) $@/pgq--$(PGQ_VERSION).plain.sql
	$(if $(PLAIN_STEPS),@cp $(PLAIN_STEPS) $@)
	@cat $(SERVER_TESTS) > $@/pgq_test.sql

# What git has, without the folders that .gitattributes names.
dist: ## build the zip for PGXN, of what is committed
	@mkdir -p $(BUILD)
	git archive --format=zip --prefix=pgqueue-$(PGQ_VERSION)/ -o $(ZIP) HEAD

# A line that begins with \echo is meant for psql, and would be an error where no file is loaded.
UNQUOTED = grep -v '^.echo ' $(1)
LITERAL  = printf '$$_pgtle_$$\n'; $(call UNQUOTED,$(1)); printf '$$_pgtle_$$'
COMMENT := $(shell sed -n "s/^comment = //p" pgq.control)

tle: $(TLE) ## build the file that offers the extension where pg_tle is installed
$(TLE): extension/header.tle.sql $(SCRIPT) $(STEPS) pgq.control Makefile
	@echo 'make $@'
	@mkdir -p $(@D)
	@{ cat $<; \
	  printf "\nSELECT pg_temp.offer_version('$(PGQ_VERSION)', %s, " "$(COMMENT)"; $(call LITERAL,$(SCRIPT)); printf ');\n'; \
	  for step in $(STEPS); do \
	    versions=$${step##*/pgq--}; versions=$${versions%.sql}; \
	    printf "\nSELECT pg_temp.offer_step('%s', '%s', " "$${versions%--*}" "$${versions#*--}"; $(call LITERAL,"$$step"); printf ');\n'; \
	  done; \
	  printf "\nSELECT pgtle.set_default_version('pgq', '$(PGQ_VERSION)');\n"; } > $@

dbdev: $(DBDEV) ## build the folder that `dbdev publish` takes
$(DBDEV): $(SCRIPT) $(STEPS) pgq.control README.md Makefile
	@echo 'make $@'
	@rm -rf $@ && mkdir -p $@
	@cp pgq.control README.md $@
	@for script in $(SCRIPT) $(STEPS); do $(call UNQUOTED,"$$script") > $@/$${script##*/}; done

# Done once, when a version is released; then the version is raised.
freeze: all ## keep the scripts of this version as released, for ever
	@cp $(SCRIPT) $(UPGRADE) $(UPGRADE:.sql=.plain.sql) extension/releases
	@cp $(PLAIN) extension/releases/pgq--$(PGQ_VERSION).plain.sql
	@cd extension/releases && sha256sum *.sql > SHA256SUMS

check-upgrade: ## install, upgrade, dump, restore and remove, on this PostgreSQL and the newest
	@test/run upgrade

test-all: ## the same, and with it the pgTAP list, on PostgreSQL 14 to 18
	@test/run --majors=all pgtap upgrade

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

# A release is what somebody has installed: it never changes, every one leads to this version, and this version is not one.
check-releases: all ## released scripts are as they were released, and have a way to this version
	@cd extension/releases && sha256sum --check --quiet SHA256SUMS && [ "$$(ls *.sql)" = "$$(sed 's/.* //' SHA256SUMS)" ]
	@for script in extension/releases/pgq--*.plain.sql; do \
	  version=$${script##*/pgq--}; version=$${version%.plain.sql}; \
	  case $$version in *--*) continue;; esac; \
	  if [ $$version = $(PGQ_VERSION) ]; then cmp $(PLAIN) $$script || exit 1; continue; fi; \
	  ls extension/pgq--$$version--*.sql extension/releases/pgq--$$version--*.sql 2>/dev/null | grep -q . \
	    || { echo "there is no upgrade from $$version" >&2; exit 1; }; \
	done

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
