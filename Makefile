# handover: one non-recursive makefile. `make demo` and `make test` do all their own set-up; `make help` lists the rest.

VERSION  := 0.1.0
PREFIX   ?= /usr/local
DESTDIR  ?=
# plain | clang | asan (ASan + UBSan) | clang-asan
VARIANT  ?= plain
BUILD    ?= build/$(VARIANT)

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
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -DHANDOVER_VERSION='"$(VERSION)"' $(WARN) $(OPT_$(VARIANT)) -fPIE -Ilib -Isupervisor -MMD -MP $(CFLAGS)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(filter -fsanitize%,$(OPT_$(VARIANT))) $(LDFLAGS)

objects   = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard $(1))))
BASE     := $(call objects,lib/base/*.c)
CORE     := $(call objects,supervisor/core/*.c)
SYSTEM   := $(call objects,supervisor/system/*.c)
ENGINE   := $(call objects,supervisor/engine/*.c)
CLI      := $(call objects,supervisor/cli/*.c)
MAIN     := $(call objects,supervisor/main.c)
SYSTEM_LIBS := -linih -lsystemd
DAEMON_LIBS := $(SYSTEM_LIBS) -levent_core -levent_extra -ljansson
CLI_LIBS := $(SYSTEM_LIBS) -lcurl -ljansson -lsmartcols

UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
WORKER   := $(call objects,tests/workers/rpc-worker*.c)
LOAD     := $(call objects,tests/load/rpc-load*.c)

PROGRAMS := $(BUILD)/handoverd $(BUILD)/handover
TOOLS    := $(BUILD)/rpc-worker $(BUILD)/rpc-load

.PHONY: all programs tools grpc unit
all: programs
programs: $(PROGRAMS)
tools: $(TOOLS)

$(BUILD)/handoverd: $(MAIN) $(ENGINE) $(CORE) $(SYSTEM) $(BASE)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)
$(BUILD)/handover: $(CLI) $(SYSTEM) $(BASE)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CLI_LIBS)
$(BUILD)/rpc-worker: $(WORKER)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -levent_core -levent_extra -ljansson
$(BUILD)/rpc-load: $(LOAD)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -levent_core -levent_extra -ljansson -lm
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(CORE) $(SYSTEM) $(BASE)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(SYSTEM_LIBS) -ljansson -lcmocka
$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

unit: $(UNIT)
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
.SECONDARY:
