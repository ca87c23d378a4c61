/*
 * Domains and vCPUs for unit tests: real structures in a table, whose life cycle is only counted. The functions of vmm/domain.h
 * that code under test calls take the locks that the real ones may take, so that the fake spinlock sees a wrong order.
 */
#ifndef TESTS_UNIT_FAKE_DOMAIN_H
#define TESTS_UNIT_FAKE_DOMAIN_H

#include "tests/unit/fake.h"
#include "vmm/domain.h"
#include "vmm/hypercall.h"

#define FAKE_DOMAINS 8

/* A domain of that number with `vcpus` vCPUs, a shared_info page and one reference, the test's. Domain 0 is privileged. */
struct domain *fake_domain_new(u16 domid, u32 vcpus);
/* Frees it; the test's reference must be the only one left. */
void fake_domain_free(struct domain *d);

/* How often v was kicked or woken since the last fake_vcpu_clear(v). */
unsigned fake_kicks(const struct vcpu *v);
unsigned fake_wakes(const struct vcpu *v);
/* The vector that was posted to v's APIC last since then, or 0; where vmm/cpu/vlapic.c isn't linked. */
u8 fake_posted(const struct vcpu *v);
void fake_vcpu_clear(struct vcpu *v);

/* How often all domains were marked as changed, where vmm/domain/changes.c isn't linked. */
extern unsigned fake_changed_all;

/* A handler's call by v, as the dispatcher makes it; checks that no lock is left held. */
long fake_hypercall(struct vcpu *v, hypercall_fn *fn, void *arg);

#endif
