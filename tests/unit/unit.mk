# Unit tests on the host. Each tests/unit/test_NAME.c is one program; its first line, /* units: a/b.c c/d.c */, names the
# project's sources that it links, unmodified. They are compiled with the host's C library, the address and undefined
# behaviour sanitisers, and tests/include/asm in place of the machine.

UNIT_OUT := build/tests/unit
UNIT_CC ?= gcc
UNIT_CFLAGS := -std=gnu11 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
	-Wall -Wextra -Werror -Wstrict-prototypes -Wundef -Wvla -Wno-unused-parameter -DDEBUG_BUILD=1 -D__XEN_TOOLS__ \
	-Itests/include -I. -Iarch/x86/include -idirafter /usr/include -include lib/base.h -MMD -MP
UNIT_LDLIBS := -lcmocka

UNIT_TESTS := $(sort $(patsubst tests/unit/test_%.c,%,$(wildcard tests/unit/test_*.c)))
UNIT_PROGRAMS := $(UNIT_TESTS:%=$(UNIT_OUT)/test_%)

# What these define the host's library has as well: renamed in the object, so that a test can tell ours (our_memcpy) from it.
$(UNIT_OUT)/obj/lib/string.o: UNIT_RENAMED := memcpy memmove memset memcmp strlen strnlen
$(UNIT_OUT)/obj/lib/printf.o: UNIT_RENAMED := vsnprintf snprintf
$(UNIT_OUT)/obj/lib/string.o $(UNIT_OUT)/obj/lib/printf.o: UNIT_CFLAGS += -ffreestanding

$(UNIT_OUT)/obj/%.o: %.c tests/unit/unit.mk
	@mkdir -p $(@D)
	$(Q)$(UNIT_CC) $(UNIT_CFLAGS) -c -o $@ $<
	$(if $(UNIT_RENAMED),$(Q)objcopy $(foreach n,$(UNIT_RENAMED),--redefine-sym $n=our_$n) $@)

# The registers in a signal's context have names only for those who ask before the first header.
$(UNIT_OUT)/obj/tests/unit/native.o: UNIT_CFLAGS += -D_GNU_SOURCE
# An independent decoder, to compare the keeper's with.
$(UNIT_OUT)/test_keeper_decode: UNIT_LDLIBS += -lZydis

unit_sources = $(shell sed -n '1s,^/\* *units: *\(.*[^ ]\) *\*/.*,\1,p' tests/unit/test_$1.c)
unit_objects = $(patsubst %.c,$(UNIT_OUT)/obj/%.o,$1)

define unit_program
$(UNIT_OUT)/test_$1: $(call unit_objects,tests/unit/test_$1.c tests/unit/fake.c $(call unit_sources,$1))
	$$(Q)$$(UNIT_CC) $$(UNIT_CFLAGS) -o $$@ $$^ $$(UNIT_LDLIBS)
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_program,$(t))))

-include $(shell find $(UNIT_OUT)/obj -name '*.d' 2>/dev/null)

.PHONY: unit
unit: $(UNIT_PROGRAMS)
	@tests/unit/run $(UNIT_PROGRAMS)

include tests/fuzz/fuzz.mk
