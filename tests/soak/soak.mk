# A soak: `make soak N=1000` (SEED=n repeats one; MIXED=1: with pools in Go, Python and Node, over the channel and through the
# shim, beside the others). Reloads under load, mixed with all that can go wrong.

N    ?= 100
SEED ?=
MIXED ?=

.PHONY: soak
soak: programs tools grpc
	@BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/soak/soak.py $(N) $(if $(SEED),--seed $(SEED)) $(if $(filter-out no 0,$(MIXED)),--mixed) --keep $(abspath $(BUILD))/soak
