# A soak: `make soak N=1000` (SEED=n repeats one). Reloads under load, mixed with all that can go wrong.

N    ?= 100
SEED ?=

.PHONY: soak
soak: programs tools grpc
	@BUILD=$(abspath $(BUILD)) /usr/bin/python3 tests/soak/soak.py $(N) $(if $(SEED),--seed $(SEED)) --keep $(abspath $(BUILD))/soak
