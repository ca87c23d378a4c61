# Fuzz targets: each tests/fuzz/fuzz_NAME.c is one; its first line names the sources that it links, as in unit tests.
#   make fuzz-NAME     runs the fuzzer for FUZZ_SECONDS; findings go to build/tests/fuzz/, what it learns to learned/NAME there
#   make fuzz-replay   gives each target its corpus with small changes; needs no fuzzer, part of `unit`
# What a fuzzer has found is kept as a file in tests/fuzz/found/NAME/, to be replayed for ever.

FUZZ_OUT := build/tests/fuzz
FUZZ_CC ?= clang
FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(sort $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_CFLAGS := -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Wall -Wextra -Werror -Wno-unused-parameter \
	-DDEBUG_BUILD=1 -D__XEN_TOOLS__ -Itests/include -I. -Iarch/x86/include -idirafter /usr/include -include lib/base.h

fuzz_sources = tests/fuzz/fuzz_$1.c tests/fuzz/machine.c $(shell sed -n '1s,^/\* *units: *\(.*[^ ]\) *\*/.*,\1,p' tests/fuzz/fuzz_$1.c)

define fuzz_target
$(FUZZ_OUT)/replay_$1: $(patsubst %.c,$(UNIT_OUT)/obj/%.o,tests/fuzz/replay.c $(call fuzz_sources,$1))
	@mkdir -p $$(@D)
	$$(Q)$$(UNIT_CC) $$(UNIT_CFLAGS) -o $$@ $$^

$(FUZZ_OUT)/fuzz_$1: $(call fuzz_sources,$1)
	@mkdir -p $$(@D)
	$$(Q)$$(FUZZ_CC) $$(FUZZ_CFLAGS) -o $$@ $$^

.PHONY: fuzz-$1
fuzz-$1: $(FUZZ_OUT)/fuzz_$1 $(FUZZ_OUT)/corpus
	@mkdir -p $(FUZZ_OUT)/learned/$1
	$$< -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -artifact_prefix=$(FUZZ_OUT)/$1- $(FUZZ_OUT)/learned/$1 $(FUZZ_OUT)/corpus/$1
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_target,$(t))))

$(FUZZ_OUT)/corpus: tests/fuzz/seeds $(wildcard tests/fuzz/found/*/*)
	@mkdir -p $@
	$(Q)tests/fuzz/seeds $@
	$(Q)if [ -d tests/fuzz/found ]; then cp -R tests/fuzz/found/. $@; fi
	@touch $@

.PHONY: fuzz-replay
fuzz-replay: $(FUZZ_TARGETS:%=$(FUZZ_OUT)/replay_%) $(FUZZ_OUT)/corpus
	@tests/fuzz/run $(FUZZ_OUT)/corpus $(FUZZ_TARGETS:%=$(FUZZ_OUT)/replay_%)

unit: fuzz-replay
