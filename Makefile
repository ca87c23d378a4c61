# Bothy: `make help` says what there is.
#
# Knobs: CC=clang, DEBUG=1 (assertions, junk-filled free memory), V=1 (show commands), BUILD=DIR (where the image goes), FAULT=NAME (a fault
# on purpose, for a test that has to notice it).

CC      ?= gcc
DEBUG   ?= 0
FAULT   ?=
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
BUILD   := build
OBJ     := $(BUILD)/obj
IMAGE   := $(BUILD)/bothy.elf

SOURCES := $(sort $(wildcard boot/*.[cS] arch/x86/*.[cS] arch/x86/*/*.[cS] vmm/*.c vmm/*/*.[cS] sched/*.c drivers/*.c drivers/*/*.c mm/*.c lib/*.c))
OBJECTS := $(patsubst %,$(OBJ)/%.o,$(basename $(SOURCES)))
# The guests' keeper (docs/keeper.md): a program of its own, which vmm/keeper/text.S puts into the image.
KEEPER  := $(patsubst %,$(OBJ)/%.o,$(basename $(sort $(wildcard keeper/*.[cS]))))

WARNINGS := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wshadow -Wvla -Wswitch-enum -Wimplicit-fallthrough \
	-Wno-unused-parameter
CFLAGS  := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
	-fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common -fcf-protection=none \
	-ffile-prefix-map=$(CURDIR)=. -DDEBUG_BUILD=$(DEBUG) -D__XEN_TOOLS__ $(WARNINGS) \
	-I. -Iarch/x86/include -idirafter /usr/include
FAULT_no-iommu-flush := -DIOMMU_FLUSHES=0
CFLAGS  += $(if $(FAULT),$(or $(FAULT_$(FAULT)),$(error there is no FAULT=$(FAULT))))
LDFLAGS := -nostdlib -static -Wl,-T,linker.ld,-z,max-page-size=4096,-z,noexecstack,--build-id=none,--no-warn-rwx-segments

.PHONY: all
all: $(IMAGE)   ## build the hypervisor, build/bothy.elf (the default)

# Another compiler or other flags: everything is built again.
$(OBJ)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS)' | cmp -s - $@ || echo '$(CC) $(CFLAGS)' > $@

# GNU make ranks .S and .c alike: two patterns, one rule each.
$(OBJ)/%.o: %.c Makefile $(OBJ)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -include lib/base.h -MMD -MP -c $< -o $@

$(OBJ)/%.o: %.S Makefile $(OBJ)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(OBJ)/keeper.bin: $(KEEPER) keeper/keeper.ld
	$(Q)$(CC) -nostdlib -static -Wl,-T,keeper/keeper.ld,-z,noexecstack,--build-id=none,--no-warn-rwx-segments $(KEEPER) -o $(OBJ)/keeper.elf
	$(Q)objcopy -O binary $(OBJ)/keeper.elf $@

$(OBJ)/vmm/keeper/text.o: $(OBJ)/keeper.bin
$(OBJ)/vmm/keeper/text.o: CFLAGS += -Wa,-I$(OBJ)

# Structures come from Xen's installed headers: those of a release whose layouts differ are refused.
$(OBJ)/abi: docs/abi.md tools/check-abi vmm/versions.h $(OBJ)/flags
	$(Q)CC='$(CC)' tools/check-abi > $@.new || { cat $@.new; exit 1; }
	@mv $@.new $@

# Linked twice: backtraces name functions, and the table of names stands behind the code, so it moves none of it.
$(IMAGE): $(OBJECTS) $(OBJ)/abi linker.ld tools/ksyms
	$(Q)printf '.section .ksyms, "a"\n.globl ksym_count, ksym_table, ksym_names\nksym_count: .long 0\nksym_table:\nksym_names:\n' > $(OBJ)/ksyms0.S
	$(Q)$(CC) -c $(OBJ)/ksyms0.S -o $(OBJ)/ksyms0.o
	$(Q)$(CC) $(LDFLAGS) $(OBJECTS) $(OBJ)/ksyms0.o -o $(OBJ)/bothy0.elf
	$(Q)tools/ksyms $(OBJ)/bothy0.elf > $(OBJ)/ksyms.S
	$(Q)$(CC) -c $(OBJ)/ksyms.S -o $(OBJ)/ksyms.o
	$(Q)$(CC) $(LDFLAGS) $(OBJECTS) $(OBJ)/ksyms.o -o $(BUILD)/bothy.debug
	$(Q)objcopy --strip-debug $(BUILD)/bothy.debug $@
	@sha256sum $@

-include $(OBJECTS:.o=.d) $(KEEPER:.o=.d)
include dom0-lite/bothy/bothy.mk
include tests/unit/unit.mk
include tests/storm/storm.mk
-include efi/efi.mk
-include tests/guest/guest.mk

.PHONY: help efi demo demo-pair fleet check check-long mutate bench iso deb install uninstall size docs setup system clean FORCE
help:           ## this list
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*[^#]## \(.*\)/  \1\t\2/p' Makefile | expand -t 14
	@echo "  cli         build/dom0/bothy, the service domain's own tool"
	@echo "  unit        unit tests on this machine, and the replay of the fuzzers' corpus (fuzz-replay); fuzz-NAME runs one fuzzer"
	@echo "  storm       the hypervisor's sources on threads of this machine, with guests that attack them: SECONDS=N (60), SEED=N, SCARCE=1, SAN=thread"
	@echo "Knobs: CC=clang, DEBUG=1 (assertions), V=1 (show commands); bench: PART=micro, system, latency, migrate or iommu; install: DESTDIR=DIR"

efi: $(BUILD)/bothy.efi   ## build/bothy.efi, which UEFI starts without GRUB (docs/boot.md)

demo: system    ## boot the whole system in an emulator, with a Debian guest, and give its shell (RIG=bochs: on Intel's VMX; SUITE=trixie: from Debian 13)
	@tools/demo $(if $(RIG),--rig $(RIG)) $(if $(SUITE),--suite $(SUITE))

demo-pair: system ## boot two machines in two emulators, and show a guest that moves from one to the other and back
	@dom0-lite/build --storage
	@tools/demo-pair

fleet: system   ## two Debian servers in emulators, with libvirt and Pacemaker: one in standby, one killed, and what happened (docs/libvirt.md; 10 minutes)
	@tests/fleet/run --verbose cluster

check:          ## run every test; the last line counts them
	@tools/check

check-long:     ## run the tests that take longer than make check has time for
	@tools/check long vtd amdvi pairs servers fleet libvirt cluster

mutate:         ## break FILES="FILE[:LINE] ..." one token or statement at a time, and see which unit tests notice (SEED=N, N=places)
	@tools/mutate $(if $(SEED),--seed $(SEED)) $(if $(N),--sites $(N)) $(or $(FILES),$(error FILES= names the sources, for example FILES=vmm/exits.c))

bench:          ## what operations, guests and the whole system cost, compared with Debian's Xen in the same emulator (PART=micro: 5 minutes)
	@$(MAKE) --no-print-directory system
	@dom0-lite/build --xen
	@tests/bench/run --part $(or $(PART),all) --compare

iso: system     ## build/bothy.iso, which boots the hypervisor and the small service domain by BIOS or UEFI
	@tools/mkiso $(BUILD)/bothy.iso
	@echo "$(BUILD)/bothy.iso: write it to a USB stick, or boot it in an emulator"

# Not by prerequisites: on a bare machine the compiler comes with the first line.
system:         ## the images that the emulators boot: hypervisor, service domain, and the guests' disk
	@tools/setup
	@$(MAKE) --no-print-directory all
	@dom0-lite/build-guest $(if $(SUITE),--suite $(SUITE))

# With bothy.efi where it can be built (package gnu-efi).
DEB_EFI := $(if $(wildcard /usr/include/efi/efi.h),$(BUILD)/bothy.efi)
deb: $(IMAGE) $(CLI) $(DEB_EFI) ## build Debian's package, build/bothy_VERSION_amd64.deb
	@install/deb "$(IMAGE)" "$(CLI)" "$(or $(DEB_EFI),-)" "$(BUILD)"

install: $(IMAGE) ## put it into /boot and into GRUB's menu (needs root; DESTDIR=DIR: only copy it there)
	@install/install "$(IMAGE)" "$(DESTDIR)"

uninstall:      ## remove it from there
	@install/install --remove "$(DESTDIR)"

size: $(IMAGE)  ## lines and bytes, and their budgets
	@tools/size $(IMAGE)

docs:           ## make docs/hypercalls.md anew from the table
	@tools/gen-hypercalls > docs/hypercalls.md.new && mv docs/hypercalls.md.new docs/hypercalls.md

setup:          ## install the packages that building and testing need
	@tools/setup

clean:          ## remove all that was built, except the service domain's image, the guests' disk and downloads
	@rm -rf $(OBJ) $(IMAGE) $(BUILD)/bothy.debug $(BUILD)/bothy.efi $(BUILD)/efi $(BUILD)/bothy.iso $(BUILD)/bothy_*.deb $(BUILD)/clang $(BUILD)/check $(BUILD)/tests $(BUILD)/mutate $(BUILD)/run
