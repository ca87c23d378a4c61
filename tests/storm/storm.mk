# The storm (README.md here): vmm/, mm/, sched/, lib/ and what of arch/ and drivers/ they need, unmodified, with tests/storm/include/asm in place
# of the machine.
#
#   make storm SECONDS=N [SEED=N] [SAN=address|thread|none] [SCARCE=1]

SAN ?= address
STORM_OUT := build/tests/storm/$(SAN)
STORM_CC ?= gcc
STORM_SAN_address := -fsanitize=address,undefined -fno-sanitize-recover=all
STORM_SAN_thread := -fsanitize=thread -Wno-tsan
STORM_SAN_none :=
STORM_CFLAGS := -std=gnu11 -g -O2 $(STORM_SAN_$(SAN)) -fno-omit-frame-pointer -fno-strict-aliasing -ffunction-sections -Wall -Wextra -Werror -Wstrict-prototypes -Wundef \
	-Wno-unused-parameter -D__XEN_TOOLS__ -Itests/storm/include -I. -Iarch/x86/include -idirafter /usr/include -include lib/base.h -MMD -MP
# What only a boot calls is left out. What the wrappers in machine.c and vendor.c look at.
STORM_LDFLAGS := -pthread -Wl,--gc-sections -Wl,--wrap=page_alloc,--wrap=page_alloc_zeroed,--wrap=kzalloc,--wrap=page_release,--wrap=p2m_read_u64,--wrap=hypercall_dispatch

# The service domain's builder and its kernel are not needed.
STORM_SOURCES := $(filter-out vmm/dom0/dom0.c vmm/dom0/bzimage.c,$(wildcard vmm/*.c vmm/*/*.c)) $(wildcard mm/*.c sched/*.c) \
	drivers/console.c drivers/uart.c drivers/iommu/pci.c lib/sha256.c arch/x86/complete.c arch/x86/guest_clock.c arch/x86/hvm.c arch/x86/saved.c arch/x86/speculation.c $(wildcard tests/storm/*.c)
STORM_OBJECTS := $(STORM_SOURCES:%.c=$(STORM_OUT)/%.o)

# The bound on lag is for CPUs that run: threads of a busy machine are stopped for longer. test_sched_sim.c has it.
$(STORM_OUT)/sched/%.o: STORM_CFLAGS += -DDEBUG_BUILD=0
# Look-ups that hold nothing are held up where it hurts.
$(STORM_OUT)/mm/p2m.o: STORM_CFLAGS += -include tests/storm/include/loads.h
$(STORM_OUT)/%.o: %.c tests/storm/storm.mk
	@mkdir -p $(@D)
	$(Q)$(STORM_CC) $(if $(filter sched/%,$<),,-DDEBUG_BUILD=1) $(STORM_CFLAGS) -c -o $@ $<

$(STORM_OUT)/storm: $(STORM_OBJECTS)
	$(Q)$(STORM_CC) $(STORM_CFLAGS) -o $@ $^ $(STORM_LDFLAGS)

-include $(STORM_OBJECTS:.o=.d)

.PHONY: storm
storm: $(STORM_OUT)/storm
	@TSAN_OPTIONS="suppressions=tests/storm/races.txt halt_on_error=1 history_size=7 $(TSAN_OPTIONS)" $< --seconds $(or $(SECONDS),60) $(if $(SCARCE),--scarce)
