/* A machine with VMX in software: see fake_vmx.c. */
#ifndef TESTS_UNIT_FAKE_VMX_H
#define TESTS_UNIT_FAKE_VMX_H

#include "lib/base.h"

struct cpu_regs;

void fake_vmx_machine(void);
/* Calls `broken` with each rule of SDM 27.2 and 27.3 that the current VMCS breaks; returns how many. */
unsigned fake_check_entry(void (*broken)(const char *rule));
/* Runs in the guest's place, and leaves behind what an exit does. */
extern void (*fake_guest)(struct cpu_regs *regs);
extern unsigned fake_invepts, fake_invvpids;
extern bool fake_vmx_on;

#endif
