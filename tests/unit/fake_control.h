/*
 * What stands around the control operations in unit tests: a caller's memory to copy from and to, a heap that can fail, and a
 * life cycle, scheduler and vendor that only keep a record of what they were asked.
 */
#ifndef TESTS_UNIT_FAKE_CONTROL_H
#define TESTS_UNIT_FAKE_CONTROL_H

#include "tests/unit/fake_domain.h"
#include <xen/hvm/save.h>

/* Guest-virtual addresses [FAKE_GVA, FAKE_GVA + FAKE_MEMORY) are bytes of fake_memory; all others fault. */
#define FAKE_GVA    0x10000ull
#define FAKE_MEMORY 65536u
extern u8 fake_memory[FAKE_MEMORY];
/* A handle's pointer to byte `offset` of it. */
#define FAKE_HANDLE(offset) ((void *)(uintptr_t)(FAKE_GVA + (offset)))
/* One that faults. */
#define FAKE_BAD_HANDLE ((void *)(uintptr_t)0x1000)

/* The n-th allocation from now fails, once; 0: none. */
extern unsigned fake_alloc_fails;
/* Allocations that were not freed. */
extern int fake_allocs;

/*
 * A call of fn by v on `target` with the structure *op, or its continuation if it answered HC_AGAIN before. Holds control_lock if fn's row says
 * so, and checks that no other lock stays held.
 */
#define fake_control(v, fn, target, op) fake_control_at(v, fn, fake_alone(#fn), target, op, &(op)->u)
long fake_control_at(struct vcpu *v, hypercall_fn *fn, bool alone, struct domain *target, void *head, void *arg);
/* Returns true if a row of hypercalls.def with this handler is HC_ALONE. */
bool fake_alone(const char *handler);

/* What the fakes were asked. */
extern struct fake_calls {
	unsigned pauses, unpauses, resumes, creates, destroys, vcpus, ups, wallclocks, contexts_set, syncs, times_updated;
	u32 affinity_calls;
	u64 context_rip, pat;
	struct hvm_hw_cpu registers;    /* as hvm_set_registers was given them */
	u32 create_domid, create_vcpus;
} fake_calls;
extern bool fake_stopped;       /* domain_is_stopped */
extern int fake_destroy_result, fake_context_result;
extern u64 fake_cr4;
extern u64 fake_run_time;
extern unsigned fake_timer_queues;  /* that are to grow before a vCPU is created */

#endif
