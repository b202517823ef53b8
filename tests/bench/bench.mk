# Benchmarks: `make bench` (BENCH_ARGS="--quick --json FILE ...", see tests/bench/bench.py --help).
# Ratios against baselines of our own, never times that a test would assert.

BENCH_ARGS ?=
BENCH      := $(addprefix $(BUILD)/bench/,idle bare hold core inflight)
SOURCES    += $(wildcard tests/bench/*.[ch])

.PHONY: bench
bench: programs tools $(BENCH)
	@BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/bench/bench.py $(BENCH_ARGS)

$(BUILD)/bench/core: $(BUILD)/obj/tests/bench/core.o $(CORE) $(BASE)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^
# against the shared library, as programs are
$(BUILD)/bench/inflight: $(BUILD)/obj/tests/bench/inflight.o $(BUILD)/libhandover.so.0
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -pthread -Wl,-rpath,$(abspath $(BUILD)) -o $@ $^
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^
