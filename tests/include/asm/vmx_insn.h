/* VMX on the host: tests/unit/fake_vmx.c keeps VMCSs in software. */
#ifndef ASM_VMX_INSN_H
#define ASM_VMX_INSN_H

#include "lib/base.h"

bool vmxon(u64 pa);
bool vmptrld(u64 pa);
bool vmclear(u64 pa);
u64 vmread(u64 field);
static inline void vmread_to(u64 field, u64 *to) { *to = vmread(field); }
void vmwrite(u64 field, u64 v);
void invept_single(u64 eptp);
void invvpid_all(void);

#endif
