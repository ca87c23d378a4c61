/* The one thing that the p2m asks of the CPUs: that none of them goes on with a translation which is no longer true. */
#ifndef ASM_HVM_FLUSH_H
#define ASM_HVM_FLUSH_H

#include "lib/base.h"

struct p2m;

/*
 * Kicks every other pCPU that is in guest mode with a vCPU of this p2m whose TLB is older than generation `gen`, and waits until
 * each has left guest mode. A vCPU that enters later compares generations and flushes first. Takes no lock, so that
 * callers may hold any.
 */
void hvm_flush_others(struct p2m *p2m, u64 gen);

#endif
