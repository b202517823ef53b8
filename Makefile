# handover: one non-recursive makefile. `make demo` and `make test` do all their own set-up; `make help` lists the rest.

VERSION  := 0.1.0
PREFIX   ?= /usr/local
DESTDIR  ?=
UNITDIR  ?= $(PREFIX)/lib/systemd/system
ZSHDIR   ?= $(PREFIX)/share/zsh/site-functions
# the only place where journald looks, whatever PREFIX is
CATALOGDIR ?= /usr/lib/systemd/catalog
# what handoverd loads into workers; it looks here, beside itself, and in ../lib/handover
LIBDIR   ?= $(PREFIX)/lib/handover
# libhandover; a distribution has a folder of its own for each kind of machine
LIBRARYDIR ?= $(PREFIX)/lib
# plain | clang | asan (ASan + UBSan) | clang-asan
VARIANT  ?= plain
# no: without libsystemd; sockets and notifications work all the same, nothing is asked over D-Bus
WITH_SYSTEMD ?= yes
ifeq ($(filter yes no,$(WITH_SYSTEMD)),)
$(error WITH_SYSTEMD=$(WITH_SYSTEMD) is not known: yes or no)
endif
BUILD    ?= build/$(VARIANT)$(if $(filter no,$(WITH_SYSTEMD)),-without-systemd)

SAN      := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CC_plain := gcc
CC_clang := clang
CC_asan  := gcc
CC_clang-asan := clang
OPT_plain := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
OPT_clang := $(OPT_plain)
OPT_asan  := -O1 -g $(SAN)
OPT_clang-asan := $(OPT_asan)

CC       := $(CC_$(VARIANT))
ifeq ($(CC),)
$(error VARIANT=$(VARIANT) is not known: plain, clang, asan or clang-asan)
endif
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Werror
CFLAGS   ?=
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -DHANDOVER_VERSION='"$(VERSION)"' -DHANDOVER_LIBDIR='"$(LIBDIR)"' -DWITH_SYSTEMD=$(if $(filter no,$(WITH_SYSTEMD)),0,1) $(WARN) $(OPT_$(VARIANT)) -fPIE -Ilib -Isupervisor -MMD -MP $(CFLAGS)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(filter -fsanitize%,$(OPT_$(VARIANT))) $(LDFLAGS)

objects   = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard $(1))))
BASE     := $(call objects,lib/base/*.c)
CORE     := $(call objects,supervisor/core/*.c)
SYSTEM   := $(filter-out %/$(if $(filter no,$(WITH_SYSTEMD)),systemd_bus.o,systemd_bus_none.o),$(call objects,supervisor/system/*.c))
ENGINE   := $(call objects,supervisor/engine/*.c)
CLI      := $(call objects,supervisor/cli/*.c)
PRELOAD  := $(call objects,lib/preload/*.c)
MAIN     := $(call objects,supervisor/main.c)
LIBWORKER := $(call objects,lib/worker/*.c)
SYSTEM_LIBS := -linih -lnghttp2 $(if $(filter yes,$(WITH_SYSTEMD)),-lsystemd)
DAEMON_LIBS := $(SYSTEM_LIBS) -levent_core -levent_extra -ljansson
CLI_LIBS := $(SYSTEM_LIBS) -lcurl -ljansson -lsmartcols

UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
RPC_WORKER := $(call objects,tests/workers/rpc-worker*.c)
RPC_LOAD := $(call objects,tests/load/rpc-load*.c)
HELPERS  := $(patsubst tests/workers/%.c,$(BUILD)/%,$(filter-out tests/workers/rpc-worker%,$(sort $(wildcard tests/workers/*.c))))
CPP      := $(sort $(wildcard lib/cpp/*.h lib/cpp/examples/*.h lib/cpp/examples/*.cc tests/servers/*.cc))
SOURCES  := $(sort $(CPP) $(wildcard lib/*/*.[ch] supervisor/*.c supervisor/*/*.[ch] tests/unit/*.[ch] tests/workers/*.[ch] tests/load/*.[ch]))
SCRIPTS  := $(sort packaging/install-deps packaging/make-deb $(addprefix packaging/debian/,postinst prerm postrm) .ci/run tests/systemd/with-systemd $(wildcard tests/*.sh tests/*/*.sh))

PROGRAMS := $(BUILD)/handoverd $(BUILD)/handover $(BUILD)/libhandover-bind.so
# the number is that of the binary interface: of lib/worker/handover.map
LIBRARY  := $(BUILD)/libhandover.so.0 $(BUILD)/libhandover.a
TOOLS    := $(BUILD)/rpc-worker $(BUILD)/rpc-load $(HELPERS)

.PHONY: all programs library tools grpc cpp unit deps-build deps-test deps-grpc deps-servers deps-lint help demo test test-all test-unit \
	test-go test-node test-integration test-systemd test-vm test-package test-servers test-servers-core test-without-systemd lint lint-format lint-layers lint-core lint-scripts lint-man lint-clang lint-symbols format install clean deb deps-deb
all: programs library

help:
	@echo 'make            build handoverd, handover and libhandover (VARIANT=plain|clang|asan|clang-asan)'
	@echo 'make demo       install what is missing, build, and show the main job in under a minute (WORKER=grpc: with grpc-go)'
	@echo 'make test       install what is missing, build, pass all tests'
	@echo 'make test-all   the same in all variants: asan, clang, clang-asan'
	@echo 'make lint       layers, layout, scripts, man pages'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make deb        Debian packages, in build/: handover, libhandover0, libhandover-dev'
	@echo 'make clean      remove build/'

programs: $(PROGRAMS)
library: $(LIBRARY)
tools: $(TOOLS)

# ---- building ----

$(BUILD)/handoverd: $(MAIN) $(ENGINE) $(CORE) $(SYSTEM) $(BASE)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)
$(BUILD)/handover: $(CLI) $(SYSTEM) $(BASE)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CLI_LIBS)
# It goes into programs that know nothing of a sanitizer, and takes their functions' names: those only are seen outside.
$(BUILD)/libhandover-bind.so: ALL_CFLAGS := $(filter-out $(SAN) -fPIE,$(ALL_CFLAGS)) -fPIC -fvisibility=hidden
$(BUILD)/libhandover-bind.so: ALL_LDFLAGS := $(filter-out $(SAN) -pie,$(ALL_LDFLAGS)) -shared -Wl,-z,defs
$(BUILD)/libhandover-bind.so: $(PRELOAD)
	$(CC) $(ALL_LDFLAGS) -o $@ $^
$(LIBWORKER): ALL_CFLAGS := $(filter-out -fPIE,$(ALL_CFLAGS)) -fPIC -fvisibility=hidden -pthread
$(BUILD)/libhandover.so.0: $(LIBWORKER) lib/worker/handover.map
	$(CC) -shared -pthread $(filter-out -pie,$(ALL_LDFLAGS)) -Wl,-soname,$(@F) -Wl,--version-script,lib/worker/handover.map -o $@ $(LIBWORKER)
	ln -sf $(@F) $(BUILD)/libhandover.so
# one object, in which only what is public has a name that others see
$(BUILD)/libhandover.a: $(LIBWORKER)
	$(LD) -r -o $(BUILD)/obj/libhandover.o $^
	objcopy --localize-hidden $(BUILD)/obj/libhandover.o
	rm -f $@
	$(AR) rcs $@ $(BUILD)/obj/libhandover.o
$(BUILD)/rpc-worker: $(RPC_WORKER) $(BUILD)/libhandover.a
	$(CC) $(ALL_LDFLAGS) -pthread -o $@ $^ -levent_core -levent_extra -ljansson
$(BUILD)/rpc-load: $(RPC_LOAD)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -levent_core -levent_extra -ljansson -lm
# It crashes on demand and tells what it was given to the last signal and limit: a sanitizer's runtime, which catches
# SIGSEGV, wants no core file and installs handlers, would answer in its place.
$(HELPERS): ALL_CFLAGS := $(filter-out $(SAN),$(ALL_CFLAGS))
$(HELPERS): ALL_LDFLAGS := $(filter-out $(SAN),$(ALL_LDFLAGS))
$(HELPERS): $(BUILD)/%: $(BUILD)/obj/tests/workers/%.o
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -ljansson
$(BUILD)/unit/test_channel_json: $(BUILD)/obj/supervisor/engine/channel_json.o
$(BUILD)/unit/test_incidents: $(BUILD)/obj/supervisor/engine/incidents.o
$(BUILD)/unit/test_history: $(BUILD)/obj/supervisor/engine/history.o
$(BUILD)/unit/test_giving_json: $(BUILD)/obj/supervisor/engine/giving_json.o
# against the library's inside, and the master's view of messages and of the page
$(BUILD)/unit/test_worker_%: $(BUILD)/obj/tests/unit/test_worker_%.o $(LIBWORKER) $(BUILD)/obj/supervisor/system/channel.o $(BASE)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -pthread -o $@ $^ -lcmocka
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(CORE) $(SYSTEM) $(BASE)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(SYSTEM_LIBS) -ljansson -lcmocka
$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
.SECONDARY:

# grpc-go from the distribution's packages; the script knows when nothing has changed
grpc: deps-grpc
	@tests/grpc/build.sh $(BUILD)
# gRPC for C++: the example of lib/cpp, and a server that knows nothing of handover. Generated at build, never kept.
cpp: deps-servers
	@$(MAKE) --no-print-directory -s $(BUILD)/cpp-grpc $(BUILD)/grpc-plain
CPP_OUT  := $(BUILD)/obj/cpp
CPP_PB   := $(CPP_OUT)/echo.pb.o $(CPP_OUT)/echo.grpc.pb.o
# without what is for C only; generated code has its own mind about warnings
CPP_FLAGS = -std=c++17 -Wall -Wextra -Werror $(OPT_$(VARIANT)) -fPIE -MMD -MP -I$(CPP_OUT) -Ilib/cpp -Ilib/cpp/examples -Ilib/worker $(CXXFLAGS)
CPP_CXX   = $(if $(findstring clang,$(VARIANT)),clang++,g++)
$(BUILD)/cpp-grpc: $(CPP_OUT)/lib/cpp/examples/grpc-worker.o $(CPP_PB) $(BUILD)/libhandover.a
$(BUILD)/grpc-plain: $(CPP_OUT)/tests/servers/grpc-plain.o $(CPP_PB)
# the shim is loaded first into this one, where a sanitizer's runtime wants to be
$(BUILD)/grpc-plain: OPT_$(VARIANT) := $(filter-out $(SAN),$(OPT_$(VARIANT)))
$(BUILD)/grpc-plain: ALL_LDFLAGS := $(filter-out $(SAN),$(ALL_LDFLAGS))
$(BUILD)/cpp-grpc $(BUILD)/grpc-plain:
	$(CPP_CXX) $(ALL_LDFLAGS) -pthread -o $@ $^ $$(pkg-config --libs grpc++ protobuf)
$(CPP_OUT)/%.o: %.cc $(CPP_OUT)/echo.pb.cc Makefile
	@mkdir -p $(@D)
	$(CPP_CXX) $(CPP_FLAGS) -c -o $@ $<
$(CPP_OUT)/echo%.o: $(CPP_OUT)/echo%.cc Makefile
	$(CPP_CXX) $(filter-out -Wall -Wextra -Werror $(SAN),$(CPP_FLAGS)) -c -o $@ $<
$(CPP_OUT)/echo.grpc.pb.cc: $(CPP_OUT)/echo.pb.cc
$(CPP_OUT)/echo.pb.cc: lib/cpp/examples/echo.proto
	@mkdir -p $(@D)
	protoc -Ilib/cpp/examples --cpp_out=$(@D) --grpc_out=$(@D) --plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) $<

# ---- set-up ----

deps-build:
	@packaging/install-deps build
deps-test:
	@packaging/install-deps build test lint grpc
deps-grpc:
	@packaging/install-deps grpc
deps-servers:
	@packaging/install-deps build test grpc servers
deps-lint:
	@packaging/install-deps lint test

# ---- showing ----

# which workers the demo runs: rpc (C, JSON-RPC over HTTP) or grpc (grpc-go)
WORKER   ?= rpc
demo: deps-build
	@$(MAKE) --no-print-directory -s -j2 programs tools $(filter grpc,$(WORKER))
	@tests/demo/demo.sh $(BUILD) $(WORKER)

# ---- testing ----

unit: $(UNIT)
# each prints only when it fails
test-unit: $(UNIT)
	@printf '%s\n' $(UNIT) | xargs -P 2 -n 1 sh -c '"$$0" >"$$0.log" 2>&1 || { cat "$$0.log"; echo "FAILED: $$0"; exit 255; }'
	@cat $(UNIT:=.log) | sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' | awk '{ n += $$1 } END { print n " unit tests passed" }'
# builds what is in Go as well
test-go: deps-grpc
	@tests/grpc/build.sh --test $(BUILD)
test-node:
	@mkdir -p $(BUILD)
	@/usr/bin/node --test lib/node/tests/test.js >$(BUILD)/test-node.log 2>&1 || { cat $(BUILD)/test-node.log; exit 1; }
	@sed -n 's/^[^a-z]*pass \([0-9]*\)$$/\1 tests of the package for Node passed/p' $(BUILD)/test-node.log
# pytest of the distribution serves the distribution's python3, whatever comes first in PATH
test-integration: programs library tools
	@tests/integration/run.sh $(abspath $(BUILD)) $(VARIANT)
# inside a systemd that is booted for it
test-systemd: programs tools
	@tests/systemd/run.sh $(abspath $(BUILD)) $(VARIANT)
# once in a while: where this machine has not all controllers of cgroup v2
test-vm: programs tools $(BUILD)/unit/test_cgroup_kernel
	@tests/vm/run.sh $(abspath $(BUILD))
test: deps-test
	@$(MAKE) --no-print-directory -s -j2 programs library tools unit
	@$(MAKE) --no-print-directory -s test-go test-node
	@$(MAKE) --no-print-directory -s lint
	@$(MAKE) --no-print-directory -s test-unit
	@$(MAKE) --no-print-directory -s test-integration
	@$(MAKE) --no-print-directory -s test-servers-core
	@$(MAKE) --no-print-directory -s test-systemd
	@$(MAKE) --no-print-directory -s test-package
# packages of this version and of the next, as somebody installs, upgrades and removes them
test-package: tools deps-deb
	@tests/package/run.sh $(abspath $(BUILD)) $(VERSION) $(VERSION).1
# real servers of many kinds through reloads; one that is not there is a failure
test-servers: programs library tools grpc cpp $(BUILD)/npm/node_modules
	@BUILD=$(abspath $(BUILD)) VARIANT=$(VARIANT) /usr/bin/python3 -m pytest -q -n 4 --timeout 180 -p no:cacheprovider tests/servers
# those of them that need no more than the other tests
test-servers-core: programs library tools
	@SERVERS=core BUILD=$(abspath $(BUILD)) VARIANT=$(VARIANT) /usr/bin/python3 -m pytest -q -n 4 --timeout 180 -p no:cacheprovider \
		tests/servers/test_servers.py
# grpc-js and what it needs, as package-lock.json has them
$(BUILD)/npm/node_modules: tests/servers/npm/package.json tests/servers/npm/package-lock.json | deps-servers
	@mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@
# built without libsystemd: what uses it is not there, and all else is the same
test-without-systemd: deps-test
	@$(MAKE) --no-print-directory -s -j2 WITH_SYSTEMD=no programs tools unit
	@$(MAKE) --no-print-directory -s WITH_SYSTEMD=no test-unit
	@tests/without-systemd.sh $(abspath build/$(VARIANT)-without-systemd) $(VARIANT)
# the same in every way in which it can be built
test-all: test
	@$(MAKE) --no-print-directory test-servers
	@$(MAKE) --no-print-directory -s tsan
	@for variant in asan clang clang-asan; do $(MAKE) --no-print-directory test VARIANT=$$variant || exit 1; done
	@$(MAKE) --no-print-directory test-without-systemd

lint: lint-layers lint-format lint-clang lint-scripts lint-man lint-symbols
# sanitizers add symbols of their own: the purity of the core is shown on the plain objects
lint-layers:
	@tests/lint-layers.sh
	@$(MAKE) --no-print-directory -s VARIANT=plain lint-core
lint-core: $(CORE) $(BASE)
	@tests/lint-core.sh $(BUILD)/obj
lint-format:
	@clang-format --dry-run -Werror $(SOURCES)
# the second compiler looks at everything; the whole of it is built with VARIANT=clang
lint-clang:
	@clang $(filter-out -MMD -MP,$(ALL_CFLAGS)) -fsyntax-only $(filter %.c,$(SOURCES))
lint-scripts:
	@shellcheck $(SCRIPTS)
lint-man:
	@for page in packaging/man/*.[1-8]; do mandoc -T lint -W warning $$page || exit 1; done
# what the library exports is what the Debian package says that it does
lint-symbols:
	@mkdir -p $(BUILD)
	@sed -n 's/^\t\(handover_[a-z_]*\);/\1/p' lib/worker/handover.map | sort >$(BUILD)/exported
	@sed -n 's/^ \(handover_[a-z_]*\)@.*/\1/p' packaging/debian/libhandover0.symbols | sort | diff -u $(BUILD)/exported - || \
		{ echo 'lint-symbols: lib/worker/handover.map and packaging/debian/libhandover0.symbols are not about the same names'; exit 1; }
format: deps-lint
	@clang-format -i $(SOURCES)

# ---- installing ----

install: programs library
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/handover/conf
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man7 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 $(BUILD)/handoverd $(DESTDIR)$(PREFIX)/sbin/handoverd
	install -m 755 $(BUILD)/handover $(DESTDIR)$(PREFIX)/bin/handover
	install -D -m 644 $(BUILD)/libhandover-bind.so $(DESTDIR)$(LIBDIR)/libhandover-bind.so
	install -m 644 packaging/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 packaging/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 packaging/man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 packaging/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 README.md NEWS LICENSE docs/*.md $(DESTDIR)$(PREFIX)/share/doc/handover
	install -m 644 conf/*.ini $(DESTDIR)$(PREFIX)/share/doc/handover/conf
	install -D -m 644 lib/worker/handover.h $(DESTDIR)$(PREFIX)/include/handover.h
	install -m 644 lib/cpp/handover_grpc.h $(DESTDIR)$(PREFIX)/include/handover_grpc.h
	install -D -m 644 $(BUILD)/libhandover.so.0 $(DESTDIR)$(LIBRARYDIR)/libhandover.so.0
	ln -sf libhandover.so.0 $(DESTDIR)$(LIBRARYDIR)/libhandover.so
	install -m 644 $(BUILD)/libhandover.a $(DESTDIR)$(LIBRARYDIR)/libhandover.a
	install -d $(DESTDIR)$(LIBRARYDIR)/pkgconfig
	sed 's,@PREFIX@,$(PREFIX),g; s,@LIBDIR@,$(LIBRARYDIR),g; s,@VERSION@,$(VERSION),g' lib/worker/libhandover.pc.in >$(DESTDIR)$(LIBRARYDIR)/pkgconfig/libhandover.pc
	chmod 644 $(DESTDIR)$(LIBRARYDIR)/pkgconfig/libhandover.pc
	install -d $(DESTDIR)$(PREFIX)/share/handover
	cp -r lib/go lib/python lib/node $(DESTDIR)$(PREFIX)/share/handover
	install -d $(DESTDIR)$(PREFIX)/share/handover/cpp
	cp -r lib/cpp/examples $(DESTDIR)$(PREFIX)/share/handover/cpp
	rm -rf $(DESTDIR)$(PREFIX)/share/handover/python/tests $(DESTDIR)$(PREFIX)/share/handover/node/tests
	find $(DESTDIR)$(PREFIX)/share/handover -name __pycache__ -prune -exec rm -r {} +
	install -d $(DESTDIR)/etc/handover
ifeq ($(WITH_SYSTEMD),yes)
	install -d $(DESTDIR)$(UNITDIR)
	sed 's,@PREFIX@,$(PREFIX),g' packaging/systemd/handover@.service.in >$(DESTDIR)$(UNITDIR)/handover@.service
	chmod 644 $(DESTDIR)$(UNITDIR)/handover@.service
	install -D -m 644 packaging/systemd/handover.catalog $(DESTDIR)$(CATALOGDIR)/handover.catalog
	install -d $(DESTDIR)$(PREFIX)/share/doc/handover/systemd
	install -m 644 packaging/systemd/example/* $(DESTDIR)$(PREFIX)/share/doc/handover/systemd
endif
	install -D -m 644 packaging/completions/handover.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/handover
	install -D -m 644 packaging/completions/_handover $(DESTDIR)$(ZSHDIR)/_handover
	install -D -m 644 packaging/completions/handover.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/handover.fish
clean:
	rm -rf build

# Debian packages of VERSION in build/: built from a copy of the sources, where packaging/debian is debian/.
deb: deps-deb
	@packaging/make-deb $(VERSION)
deps-deb:
	@packaging/install-deps build deb
-include tests/bench/bench.mk
-include tests/fuzz/fuzz.mk
-include tests/soak/soak.mk
-include tests/analyse.mk
-include tests/tsan.mk
