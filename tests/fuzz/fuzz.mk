# Fuzzing with libFuzzer: `make fuzz T=60` runs each target for T seconds, with ASan and UBSan; exit status 1 on a
# finding, which is kept in $(FUZZ)/findings. FUZZ_ONLY="config words" picks targets. A finding that was mended becomes a unit test.

T         ?= 60
FUZZ      ?= build/fuzz
FUZZ_ALL  := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_ONLY ?= $(FUZZ_ALL)
SOURCES   += $(wildcard tests/fuzz/*.[ch])

FUZZ_SAN    := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_CFLAGS := $(filter-out $(OPT_$(VARIANT)),$(ALL_CFLAGS)) -O1 -g $(FUZZ_SAN)
fuzz_objects = $(patsubst %.c,$(FUZZ)/obj/%.o,$(sort $(wildcard $(1))))
FUZZ_COMMON := $(filter-out %/systemd_bus_none.o,$(call fuzz_objects,lib/base/*.c supervisor/system/*.c))
# What a target wants of the upper layers.
FUZZ_WANTS_request := supervisor/engine/api_json_ask.c
FUZZ_WANTS_output  := supervisor/engine/output_line.c
FUZZ_WANTS_answer  := supervisor/cli/api.c
FUZZ_WANTS_channel := supervisor/engine/channel_json.c
FUZZ_WANTS_giving  := supervisor/engine/giving_json.c
FUZZ_WANTS_worker  := lib/worker/handover_parse.c supervisor/engine/channel_json.c

.PHONY: fuzz fuzz-programs
fuzz: fuzz-programs
	@tests/fuzz/run.sh $(FUZZ) $(T) $(FUZZ_ONLY)
fuzz-programs: $(addprefix $(FUZZ)/,$(FUZZ_ONLY))

define fuzz_program
$(FUZZ)/$(1): $(FUZZ)/obj/tests/fuzz/fuzz_$(1).o $(call fuzz_objects,$(FUZZ_WANTS_$(1))) $(FUZZ_COMMON)
	clang -fsanitize=fuzzer $(FUZZ_SAN) -pie -Wl,--as-needed -o $$@ $$^ $(SYSTEM_LIBS) -ljansson
endef
$(foreach name,$(FUZZ_ALL),$(eval $(call fuzz_program,$(name))))
$(FUZZ)/obj/%.o: %.c Makefile tests/fuzz/fuzz.mk
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<
-include $(shell find $(FUZZ)/obj -name '*.d' 2>/dev/null)
