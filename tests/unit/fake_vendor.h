/* The surroundings of the two vendors' code: MSRs and registers of a machine, a domain with vCPUs, and what the layers above would answer. */
#ifndef TESTS_UNIT_FAKE_VENDOR_H
#define TESTS_UNIT_FAKE_VENDOR_H

#include "tests/unit/fake.h"
#include <asm/hvm.h>
#include <asm/insn.h>
#include "vmm/domain.h"

/* Gives the machine an MSR; rdmsr of another fails the test, rdmsr_safe says that it isn't there. */
void fake_msr(u32 msr, u64 value);
void fake_msr_forget(u32 msr);

/* A vCPU of a new domain, as hvm_vcpu_init leaves it; `privileged`: of the service domain. Frames come from the arena. */
struct vcpu *fake_vendor_vcpu(bool privileged);
void fake_vendor_vcpu_free(struct vcpu *v);

/* The vCPU is the one on this CPU, or none is. */
void fake_vendor_load(struct vcpu *v);

extern u32 fake_last_ipi;               /* the APIC id that was sent one; with the CPU fake_on_ipi all that were told leave their guests */
extern struct percpu *fake_on_ipi;

/* The states that a vCPU is ever put into, one after the other: calls `check` with each. */
void fake_vendor_states(struct vcpu *v, void (*check)(struct vcpu *v, const char *what));

/*
 * The same with records as a hostile toolstack makes them: whether they are taken or refused, what
 * is there then can be entered.
 */
void fake_vendor_hostile_states(struct vcpu *v, void (*check)(struct vcpu *v, const char *what));

/* For the checks of control blocks: fails the test with the rule, or counts it. */
void fake_rule_fails(const char *rule);
void fake_rule_counts(const char *rule);

#endif
