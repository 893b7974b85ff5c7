# make            pgpool, one static file (musl, BearSSL)
# make run        a throw-away primary and replica behind it: see reads balanced
# make test       everything: unit tests, end-to-end tests against real PostgreSQL
# make bench      a comparison with pgbouncer, Pgpool-II and haproxy, as ratios
# make rooms      does the code keep to the rooms of ARCHITECTURE.md?
# make debug      pgpool-debug: glibc, AddressSanitizer, UBSan (clang's, which has more checks)
# make stalls     how long others wait while one node or client misbehaves (BINARIES=.. to compare)
# make fuzz       some time on each parser (FUZZ_SECONDS=60)
# make differ     random programs, directly and through it: SEED=.. PROGRAMS=.. CALM=1 (FILES=.. kept ones)
# make causal     writes and reads while replicas lag, pause and restart: is one stale?
# make external   PostgreSQL's own regression, pipeline and isolation suites through it
# make external-jdbc  those of its Java driver (from Maven's registry)
# make matrix     the end-to-end tests in front of PostgreSQL 13 to 18 (the same)
# make fresh      all this on a bare Debian in a folder, as a newcomer would (FRESH='run test')
# make clean
#
# arm64: make CC='aarch64-linux-gnu-gcc -specs /usr/lib/aarch64-linux-musl/musl-gcc.specs'
# Alpine: make CC=cc

CC      = musl-gcc
CFLAGS  = -O2 -flto=auto -g -fno-pie -fno-asynchronous-unwind-tables
LDFLAGS = -static -no-pie -Wl,-z,relro,-z,now,-T,link.ld
STD     = -std=c11 -D_GNU_SOURCE
WARN    = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
SAN     = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# The rooms: a face at the top, and its private files in a folder of the same name.
SOURCES = $(filter-out test/% build/%,$(wildcard *.c */*.c))
HEADERS = $(filter-out test/% build/%,$(wildcard *.h */*.h))
OBJECTS = $(SOURCES:%.c=build/%.o)

# BearSSL: Debian keeps its archive per architecture, Alpine in /usr/lib.  Debian's was compiled for
# glibc's checked string functions; musl has the plain ones, which take the same arguments bar the
# last.  The archive goes by its full name: -L would let the linker find glibc's libc.a.
ARCH    = $(shell $(CC) -dumpmachine)
BEARSSL = $(firstword $(wildcard /usr/lib/$(ARCH)/libbearssl.a /usr/lib/libbearssl.a) -lbearssl)
CHECKED = -Wl,--defsym=__memcpy_chk=memcpy,--defsym=__memmove_chk=memmove,--defsym=__memset_chk=memset
INCLUDE = -iquote . -isystem /usr/include/bearssl

PYTHON  = /usr/bin/python3
INSTALL = sh test/install-packages.sh
BUILD_PACKAGES = gcc libc6-dev musl-tools libbearssl-dev
RUN_PACKAGES   = $(BUILD_PACKAGES) postgresql-15 procps python3-psycopg util-linux
DEBUG_PACKAGES = $(BUILD_PACKAGES) clang libclang-rt-14-dev
TEST_PACKAGES  = $(RUN_PACKAGES) $(DEBUG_PACKAGES) binutils iproute2 libpostgresql-jdbc-java nodejs \
                 openjdk-17-jdk-headless openssl pgpool2 python3-asyncpg python3-prometheus-client \
                 python3-pytest-xdist python3-psycopg2
BENCH_PACKAGES = $(RUN_PACKAGES) haproxy pgbouncer pgpool2 python3-pytest
FUZZ_SECONDS   = 60
PROGRAMS       = 2000
FRESH          = run test

all: pgpool

pgpool: $(OBJECTS)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(BEARSSL) $(CHECKED)

build/%.o: %.c | build
	@mkdir -p $(@D)
	$(CC) $(STD) $(INCLUDE) $(WARN) -MMD -MP $(CFLAGS) -c -o $@ $<

# If you name a compiler, we assume that you have what it needs.
build/debug: | debug-packages
	mkdir -p $@

build:
	@$(if $(filter file,$(origin CC)),$(INSTALL) $(BUILD_PACKAGES))
	mkdir -p $@

-include $(OBJECTS:.o=.d)

debug: pgpool-debug

pgpool-debug: $(SOURCES:%.c=build/debug/%.o)
	clang $(SAN) -o $@ $^ -lbearssl -lpthread

build/debug/%.o: %.c | build/debug
	@mkdir -p $(@D)
	clang $(STD) $(INCLUDE) $(WARN) $(SAN) -MMD -MP -c -o $@ $<

-include $(SOURCES:%.c=build/debug/%.d)

# A test includes the modules that it tests, so it sees their statics as well.
TESTS   = $(patsubst test/%.c,build/%,$(wildcard test/*_test.c))
FUZZERS = $(patsubst test/%.c,build/%,$(wildcard test/*_fuzz.c))

build/%_test: test/%_test.c $(SOURCES) $(HEADERS) $(wildcard test/*.h) | build debug-packages
	clang $(STD) $(INCLUDE) $(WARN) $(SAN) -o $@ $< \
		$(filter-out build/debug/client/$*.o,$(filter %.o,$^)) -lbearssl -lpthread

build/%_fuzz: test/%_fuzz.c $(SOURCES) $(HEADERS) $(wildcard test/*.h) | build debug-packages
	clang $(STD) $(INCLUDE) $(SAN) -fsanitize=fuzzer -o $@ $< $(filter %.o,$^) -lbearssl

WIRE    = $(patsubst %.c,build/debug/%.o,$(wildcard wire/*.c))

# Files below the engine are linked, not included: some of their statics share a name.
TLS     = wire.c $(wildcard wire/*.c) $(filter-out tls/engine.c,$(wildcard tls/*.c))

build/tls_test build/tls_fuzz build/tls_cert_test build/tls_chain_test: $(TLS:%.c=build/debug/%.o)
build/x509_name_test: $(patsubst %,build/debug/tls/%.o,der x509 x509_name)
build/tls_cert_test: SAN += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
build/tls_cert_fuzz: test/tls_cert_fuzz.c $(TLS) $(HEADERS) | build debug-packages
	clang $(STD) $(INCLUDE) $(SAN) -fsanitize=fuzzer -o $@ $(filter %.c,$^) -lbearssl

build/hello_fuzz: test/hello_fuzz.c $(SOURCES) $(HEADERS) | build debug-packages
	clang $(STD) $(INCLUDE) $(SAN) -fsanitize=fuzzer -o $@ $(filter-out pgpool.c,$(filter %.c,$^)) -lbearssl

# What a session's requests stand on, and the other parts of it, are linked: see test/session.h.
SESSION = $(patsubst %.c,build/debug/%.o,$(wildcard sql/*.c conf/*.c wire/*.c loop/*.c) sql.c conf.c wire.c node.c \
          route.c route/names.c route/written.c $(patsubst %,server/%.c,backend_log request residue scanner stmt) \
          $(patsubst %,client/%.c,agree choice code doubt effect facts here inflight last leaves own parameter plan \
          portal query remake renew reply script signal tell trace transact unnamed unread))

build/plan_test build/effect_test build/portal_test build/query_test: $(SESSION)

build/secure_test: $(patsubst %.c,build/debug/%.o,$(TLS) tls.c tls/engine.c net.c wire.c loop.c)

build/account_test: $(patsubst %.c,build/debug/%.o,sql.c $(wildcard sql/*.c))

build/net_test build/pcp_fuzz: $(patsubst %.c,build/debug/%.o,$(TLS) tls.c tls/engine.c)

build/stmt_test: build/debug/wire.o $(WIRE)

build/route_test: build/debug/route/names.o

build/admin_test build/catalog_test build/check_test build/place_test build/sample_test: build/debug/wire.o

build/sql_test: build/debug/sql/ours.o

# These wipe secrets or read files, and do not include what that takes.
build/admin_test build/auth_test build/check_test build/conf_test build/route_test build/sample_test build/verifier_test \
build/conf_fuzz build/hba_fuzz build/passwd_fuzz build/pcp_conf_fuzz: $(WIRE)

# Compares the rooms of ARCHITECTURE.md with the includes and the calls.
rooms: pgpool
	sh test/rooms.sh . build

unit: $(TESTS)
	@set -e; for t in $(TESTS); do $$t >$$t.tap || { grep '^not ok' $$t.tap; exit 1; }; \
		echo "$$t: $$(grep -c '^ok' $$t.tap) ok"; done

fuzz: $(FUZZERS)
	@set -e; for f in $(FUZZERS); do echo "$$f"; name=$$(basename $$f _fuzz); \
		kept=test/corpus/$$name; [ -d $$kept ] || kept=; mkdir -p build/corpus/$$name; \
		$$f -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=build/ build/corpus/$$name $$kept >$$f.log 2>&1 \
			|| { tail -60 $$f.log; exit 1; }; tail -3 $$f.log; done

debug-packages:
	@$(INSTALL) $(DEBUG_PACKAGES)

# These work on a machine that has only git and make.
packages:
	@$(INSTALL) $(TEST_PACKAGES)

fresh:
	@$(INSTALL) debootstrap util-linux
	sh test/fresh.sh $(FRESH)

run:
	@$(INSTALL) $(RUN_PACKAGES)
	@$(MAKE) -s pgpool
	@$(PYTHON) test/run-demo.py

test:
	@$(INSTALL) $(TEST_PACKAGES)
	@$(MAKE) -s pgpool rooms unit
	cd test && $(PYTHON) -m pytest -q -n 3 --dist loadfile

bench:
	@$(INSTALL) $(BENCH_PACKAGES)
	@$(MAKE) -s pgpool
	$(PYTHON) test/bench.py --check

stalls:
	@$(INSTALL) $(RUN_PACKAGES) iproute2
	@$(MAKE) -s pgpool
	$(PYTHON) test/stalls.py $(BINARIES)

differ:
	@$(INSTALL) $(RUN_PACKAGES)
	@$(MAKE) -s pgpool
	cd test && $(PYTHON) -m differ $(if $(SEED),--seed $(SEED)) $(if $(CALM),--calm) \
		--programs $(PROGRAMS) $(abspath $(FILES))

causal:
	@$(INSTALL) $(RUN_PACKAGES)
	@$(MAKE) -s pgpool
	$(PYTHON) test/causal.py
	$(PYTHON) test/causal.py --table

external:
	@$(INSTALL) $(BENCH_PACKAGES) bison flex perl dpkg-dev
	@$(MAKE) -s pgpool
	$(PYTHON) test/external.py

external-jdbc:
	@$(INSTALL) $(BENCH_PACKAGES) openjdk-17-jdk-headless maven
	@$(MAKE) -s pgpool
	$(PYTHON) test/external_jdbc.py

matrix:
	@$(INSTALL) $(TEST_PACKAGES) maven
	@$(MAKE) -s pgpool
	$(PYTHON) test/matrix.py $(if $(VERSIONS),--versions $(VERSIONS))

clean:
	rm -rf build pgpool pgpool-debug

.PHONY: all debug rooms unit fuzz debug-packages packages fresh run test bench stalls differ causal external matrix \
        external-jdbc clean
