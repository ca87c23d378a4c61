# Bothy: `make help` says what there is.
#
# Knobs: CC=clang, DEBUG=1 (assertions, junk-filled free memory), V=1 (show commands).

CC      ?= gcc
DEBUG   ?= 0
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
BUILD   := build
OBJ     := $(BUILD)/obj
IMAGE   := $(BUILD)/bothy.elf

SOURCES := $(sort $(wildcard boot/*.[cS] arch/x86/*.[cS] arch/x86/svm/*.[cS] vmm/*.c sched/*.c drivers/*.c mm/*.c lib/*.c))
OBJECTS := $(patsubst %,$(OBJ)/%.o,$(basename $(SOURCES)))

WARNINGS := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wshadow -Wvla -Wswitch-enum -Wimplicit-fallthrough \
	-Wno-unused-parameter
CFLAGS  := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
	-fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common -fcf-protection=none \
	-ffile-prefix-map=$(CURDIR)=. -DDEBUG_BUILD=$(DEBUG) -D__XEN_TOOLS__ $(WARNINGS) \
	-I. -Iarch/x86/include -idirafter /usr/include
LDFLAGS := -nostdlib -static -no-pie -Wl,-T,linker.ld,-z,max-page-size=4096,-z,noexecstack,--build-id=none,--no-warn-rwx-segments

.PHONY: all
all: $(IMAGE)

# GNU make ranks .S and .c alike: two patterns, one rule each.
$(OBJ)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -include lib/base.h -MMD -MP -c $< -o $@

$(OBJ)/%.o: %.S Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

# Linked twice: backtraces name functions, and the table of names stands behind the code, so it moves none of it.
$(IMAGE): $(OBJECTS) linker.ld tools/ksyms
	$(Q)printf '.section .ksyms, "a"\n.globl ksym_count, ksym_table, ksym_names\nksym_count: .long 0\nksym_table:\nksym_names:\n' > $(OBJ)/ksyms0.S
	$(Q)$(CC) -c $(OBJ)/ksyms0.S -o $(OBJ)/ksyms0.o
	$(Q)$(CC) $(LDFLAGS) $(OBJECTS) $(OBJ)/ksyms0.o -o $(OBJ)/bothy0.elf
	$(Q)tools/ksyms $(OBJ)/bothy0.elf > $(OBJ)/ksyms.S
	$(Q)$(CC) -c $(OBJ)/ksyms.S -o $(OBJ)/ksyms.o
	$(Q)$(CC) $(LDFLAGS) $(OBJECTS) $(OBJ)/ksyms.o -o $(BUILD)/bothy.debug
	$(Q)objcopy --strip-debug $(BUILD)/bothy.debug $@
	@sha256sum $@

-include $(OBJECTS:.o=.d)
