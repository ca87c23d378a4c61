/*
 * Accesses to ports without a device: the values that reads see, and the lines that a guest writes
 * to port 0xE9.
 */
#include <xen/hvm/ioreq.h>
#include <asm/hvm.h>
#include <asm/hvm_vcpu.h>
#include "vmm/device/io_port.h"
#include "drivers/iommu/iommu.h"
#include "lib/string.h"
#include "vmm/domain.h"
#include "vmm/domain/guest_log.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"

#define STRING_CHUNK 256u       /* bytes of a string instruction done in one exit */

/*
 * OUTS and INS move n elements from or to ES/DS:[e]SI/DI. 64-bit code has flat segments. In other
 * modes the base is taken as 0, as every kernel sets it. A process with rights to ports moves
 * nothing. The walk ignores the user bit (guest_access.c), so such a process could write ones over
 * its kernel.
 */
static __noinline void string_io(struct vcpu *v, const struct vm_exit *x)
{
	struct cpu_regs *r = &v->hvm.regs;
	u64 *index = x->io.in ? &r->rdi : &r->rsi;
	u64 want = x->io.rep ? r->rcx : 1, n = MIN(want, STRING_CHUNK / x->io.size);
	bool down = r->rflags & BIT(10), log = !x->io.in && x->io.port == PORT_DEBUG && x->io.size == 1;
	char buf[STRING_CHUNK];

	if (log && !guest_log_ready(v))
		return;
	if (down || r->rflags & RFLAGS_TF)
		n = MIN(n, 1);
	if (hvm->cpl(v)) {
		n = want;
	} else if (x->io.in) {
		memset(buf, 0xff, sizeof(buf));
		if (copy_to_guest(v, *index, buf, n * x->io.size))
			n = want;       /* no memory to put it: the instruction has no effect */
	} else if (log) {
		if (!copy_from_guest(v, buf, *index, n))
			for (u64 i = 0; i < n; i++)
				guest_log_char(v->domain, buf[i]);
	} else {
		n = want;
	}
	*index += down ? -(n * x->io.size) : n * x->io.size;
	if (x->io.rep)
		r->rcx -= n;
	/* Single-stepping stops after each element. */
	hvm_complete(v, &v->hvm.regs, n == want ? x->len : 0);
}

enum { PIT_FIRST = 0x40, PIT_LAST = 0x42, GPE_FIRST = ACPI_GPE0_BLK_ADDRESS_V1, GPE_LAST = GPE_FIRST + ACPI_GPE0_BLK_LEN_V1 - 1 };

/*
 * A port without a device reads as ones, with two exceptions that read as zeros. One is the 8254's
 * counters: Linux's quick calibration takes ones for a counter that has not moved yet, and asks it
 * 100,000 times. The other is the general-purpose events that libxl's ACPI tables announce to a
 * guest. Ones would be events without a handler, and Linux prints an error for each. One comparison
 * serves most ports.
 */
static u32 floating_value(u16 port)
{
	if (likely(port - (PIT_LAST + 1u) < GPE_FIRST - (PIT_LAST + 1u)))
		return ~0u;
	return (port >= PIT_FIRST && port <= PIT_LAST) || (port >= GPE_FIRST && port <= GPE_LAST) ? 0 : ~0u;
}

void io_exit(struct vcpu *v, const struct vm_exit *x)
{
	struct cpu_regs *r = &v->hvm.regs;

	if (unlikely(x->io.string)) {
		string_io(v, x);
		return;
	}
	if (x->io.in) {
		u32 value = floating_value(x->io.port);

		/* A 32-bit result clears the upper half of RAX; narrower ones keep the rest. */
		if (x->io.size == 1)
			memcpy(&r->rax, &value, 1);
		else if (x->io.size == 2)
			memcpy(&r->rax, &value, 2);
		else
			r->rax = likely(x->io.port != PORT_CONFIG) || !v->domain->privileged ? value : iommu_selected_config();
	} else if (x->io.port == PORT_DEBUG) {
		if (!guest_log_ready(v))
			return;
		guest_log_char(v->domain, (char)r->rax);
	} else if (x->io.port == PORT_CONFIG && x->io.size == 4 && v->domain->privileged) {
		iommu_select_config((u32)r->rax);
	}
	hvm_complete(v, &v->hvm.regs, x->len);
}
