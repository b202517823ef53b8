# Analysis: `make analyse` (clang-tidy by .clang-tidy, cppcheck by tests/cppcheck-suppressions.txt) and `make memcheck`
# (valgrind on the unit tests). Each ends with an error on the first new finding.

ANALYSED ?= $(filter %.c,$(filter lib/% supervisor/%,$(SOURCES)))
CPPCHECKED ?= lib supervisor $(sort $(dir $(filter tests/%.c,$(SOURCES))))

.PHONY: analyse analyse-tidy analyse-cppcheck memcheck
analyse: analyse-cppcheck analyse-tidy
# a mark per file, so that only what changed is looked at again
analyse-tidy: $(patsubst %.c,$(BUILD)/tidy/%.done,$(ANALYSED))
$(BUILD)/tidy/%.done: %.c .clang-tidy $(wildcard lib/*/*.h supervisor/*/*.h)
	@mkdir -p $(@D)
	@clang-tidy --quiet $< -- $(filter-out -MMD -MP -Werror,$(ALL_CFLAGS)) >$(@:.done=.txt) 2>&1 || \
		{ grep -v 'warnings generated' $(@:.done=.txt); exit 1; }
	@touch $@
# cppcheck does not find the system's headers; of those, only the lists of sys/queue.h matter to it
QUEUE_H = $(firstword $(wildcard /usr/include/sys/queue.h /usr/include/*/sys/queue.h))
analyse-cppcheck:
	@mkdir -p $(BUILD)/cppcheck
	@cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability,style --inline-suppr --std=c11 \
		--library=posix --library=gnu --cppcheck-build-dir=$(BUILD)/cppcheck --include=$(QUEUE_H) \
		--suppressions-list=tests/cppcheck-suppressions.txt -D_GNU_SOURCE -D__linux__ -D__x86_64__ \
		-D__SIZEOF_POINTER__=8 -DHANDOVER_VERSION='"$(VERSION)"' -Ilib -Isupervisor $(CPPCHECKED)

# Valgrind 3.19 knows neither pidfd_open(2) and pidfd_send_signal(2) nor clone(2) with flags of its caller's choice, so
# what starts processes cannot run under it; AddressSanitizer sees those (`make test VARIANT=asan`). It does not let a
# program lower its hard limit of descriptors either: test_check's test_descriptors is skipped there, and says so.
MEMCHECK_NOT  := proc reap spawn spawn_failure
MEMCHECK_UNIT := $(filter-out $(MEMCHECK_NOT:%=$(BUILD)/unit/test_%),$(UNIT))
MEMCHECK      := valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \
	--track-fds=no --trace-children=no
memcheck: $(MEMCHECK_UNIT)
	@export HANDOVER_STEPS=20000 HANDOVER_CASES_PART=40; for test in $(MEMCHECK_UNIT); do \
		echo "== memcheck $$test"; $(MEMCHECK) $$test >$$test.memcheck 2>&1 || { cat $$test.memcheck; exit 1; }; done
	@echo 'not run under memcheck: $(MEMCHECK_NOT) (see tests/analyse.mk)'
