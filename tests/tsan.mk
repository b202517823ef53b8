# libhandover's unit tests under ThreadSanitizer: `make tsan`.

TSAN        ?= build/tsan
TSAN_CFLAGS := $(filter-out $(OPT_$(VARIANT)) -fPIE,$(ALL_CFLAGS)) -O1 -g -fPIE -fsanitize=thread -pthread
TSAN_WITH   := $(patsubst %.c,$(TSAN)/obj/%.o,$(wildcard lib/worker/*.c lib/base/*.c) supervisor/system/channel.c)
TSAN_UNIT   := $(patsubst tests/unit/%.c,$(TSAN)/%,$(sort $(wildcard tests/unit/test_worker_*.c)))

.PHONY: tsan
tsan: $(TSAN_UNIT)
	@for test in $^; do echo "== tsan $$test"; TSAN_OPTIONS=halt_on_error=1 $$test >$$test.log 2>&1 || { cat $$test.log; exit 1; }; done
$(TSAN)/test_%: $(TSAN)/obj/tests/unit/test_%.o $(TSAN_WITH)
	$(CC_plain) -fsanitize=thread -pthread -pie -o $@ $^ -lcmocka
$(TSAN)/obj/%.o: %.c Makefile tests/tsan.mk
	@mkdir -p $(@D)
	$(CC_plain) $(TSAN_CFLAGS) -c -o $@ $<
-include $(shell find $(TSAN)/obj -name '*.d' 2>/dev/null)
