/*
 * The page of stubs through which guests call. The vendor's instruction is in it, so that kernels
 * need not know it (abi.md A.6).
 */
#include <asm/hvm.h>
#include "vmm/hypercall.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"

/* Stub n, at n * 32: mov $n, %eax; the vendor's call; ret. The rest is #BP. */
int hypercall_page_write(struct vcpu *v, u64 val)
{
	u8 stub[32];

	if (val & ~PAGE_MASK)
		return -EINVAL;
	for (u32 n = 0; n < 128; n++) {
		for (unsigned i = 0; i < sizeof(stub); i++)
			stub[i] = 0xcc;
		stub[0] = 0xb8;
		stub[1] = (u8)n;
		stub[2] = stub[3] = stub[4] = 0;
		for (unsigned i = 0; i < 3; i++)
			stub[5 + i] = hvm->hypercall_insn[i];
		stub[8] = 0xc3;
		if (copy_to_gpa(v->domain, val + n * sizeof(stub), stub, sizeof(stub)))
			return -EINVAL;
	}
	return 0;
}
