# The service domain's own tool, built on this machine against Debian's packages, whose libraries the image has too.

CLI         := build/dom0/bothy
EXPECT_SOURCES := $(wildcard dom0-lite/bothy/expect/*.c) lib/sha256.c
CLI_SOURCES := $(wildcard dom0-lite/bothy/*.c) $(EXPECT_SOURCES)
CLI_CFLAGS  := -std=gnu11 -O2 -g -D_FORTIFY_SOURCE=2 -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow -Wvla -Wno-unused-parameter \
	-ffile-prefix-map=$(CURDIR)=. -D__XEN_TOOLS__ -I. -Iarch/x86/include -idirafter /usr/include -include lib/base.h
CLI_LIBS    := -lxenforeignmemory -lxencall -lxenstore -lncursesw -ltinfo

# Two commands of it without libraries: for guests, and for any machine.
ATTEST      := build/dom0/bothy-attest
EXPECT      := build/dom0/bothy-seal
# For tools/run.
SENT        := build/dom0/serial-sent

.PHONY: cli
cli: $(CLI) $(SENT) $(ATTEST) $(EXPECT)

$(ATTEST): dom0-lite/bothy-attest.c dom0-lite/bothy/attest.c dom0-lite/bothy/bothy.h vmm/life/seal.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CLI_CFLAGS) -static -o $@ $(filter %.c,$^)

$(EXPECT): dom0-lite/bothy-seal.c $(EXPECT_SOURCES) dom0-lite/bothy/expect/expect.h dom0-lite/bothy/bothy.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CLI_CFLAGS) -static -o $@ $(filter %.c,$^)

$(SENT): dom0-lite/serial-sent.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CLI_CFLAGS) -o $@ $<

$(CLI): $(CLI_SOURCES) $(wildcard dom0-lite/bothy/*.[ch] dom0-lite/bothy/expect/*.h) vmm/domain/record_layout.h vmm/hypercall/hypercalls.def vmm/domain/records.def arch/x86/include/asm/exits.def \
		arch/x86/include/asm/hvm.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(CLI_CFLAGS) -o $@ $(CLI_SOURCES) -Wl,-z,noexecstack,-z,relro,-z,now $(CLI_LIBS)
