/*
 * The page of stubs through which guests call. The vendor's instruction is in it, so that kernels
 * need not know it (abi.md A.6).
 */
#include <asm/hvm.h>
#include "lib/string.h"
#include "vmm/guests/narrow.h"
#include "vmm/hypercall.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"

/* Stub n, at n * 32: mov $n, %eax; the vendor's call; ret. The rest is #BP. */
int hypercall_page_write(struct vcpu *v, u64 val)
{
	u8 stub[32] = { 0xb8, [8] = 0xc3 };

	if (val & ~PAGE_MASK)
		return -EINVAL;
	memcpy(stub + 5, hvm->hypercall_insn, sizeof(hvm->hypercall_insn));
	memset(stub + 9, 0xcc, sizeof(stub) - 9);
	for (u32 n = 0; n < 128; n++) {
		stub[1] = (u8)n;
		if (copy_to_gpa(v->domain, val + n * sizeof(stub), stub, sizeof(stub)))
			return -EINVAL;
	}
	narrow_latch(v);
	return 0;
}
