/*
 * The state in which a PVH guest begins: registers, start_info, memory map, and what CPUID tells of Xen and of the CPU.
 *
 * vcpus: 2
 * args: word=4711
 */
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/elfnote.h>

static void registers(void)
{
	const struct entry_state *e = &entry_state;

	expect(e->cr0 & ~0x10u, 1, "CR0: protected mode, no paging");
	expect(e->cr4, 0, "CR4");
	expect(e->eflags & 0x20300, 0, "EFLAGS: no interrupts, no trap flag");
	expect(e->efer, 0, "EFER");
	expect(e->dr6, 0xffff0ff0, "DR6");
	expect(e->dr7, 0x400, "DR7");
}

/* RAM that holds this guest, nothing above what it was given, nothing twice. */
static void memory_map(const struct hvm_start_info *info)
{
	const struct hvm_memmap_table_entry *m = (void *)(u64)info->memmap_paddr;
	u64 ram = 0;
	bool image = false, overlap = false;

	if (!check(info->memmap_entries && info->memmap_entries <= 128 && info->memmap_paddr < BIT(30), "the memory map is there"))
		return;
	for (u32 i = 0; i < info->memmap_entries; i++) {
		if (m[i].type == XEN_HVM_MEMMAP_TYPE_RAM) {
			ram += m[i].size;
			image |= m[i].addr <= 0x100000 && m[i].addr + m[i].size >= (u64)image_end;
		}
		for (u32 j = 0; j < i; j++)
			overlap |= m[i].addr < m[j].addr + m[j].size && m[j].addr < m[i].addr + m[i].size;
	}
	check(image, "the memory map has this kernel's memory as RAM");
	check(!overlap, "its entries don't overlap");
	check(ram >= 31 << 20 && ram <= 32 << 20, "it has the configured amount of RAM (%lu KiB)", ram >> 10);
}

static void start_info(void)
{
	const struct hvm_start_info *info = (void *)(u64)entry_state.ebx;

	if (!check(info->magic == XEN_HVM_START_MAGIC_VALUE, "EBX points to start_info"))
		return;
	check(info->version >= 1, "start_info has version 1");
	expect(info->flags, 0, "no privileges");
	expect(info->nr_modules, 0, "no modules");
	expect((long)option("word", 0), 4711, "the command line");
	memory_map(info);
}

static void xen_leaves(void)
{
	struct regs r = cpuid(0x40000000, 0);

	check(r.b == 0x566e6558 && r.c == 0x65584d4d && r.d == 0x4d4d566e, "CPUID: Xen's signature");
	check(r.a >= 0x40000004 && r.a < 0x40000100, "CPUID: Xen's highest leaf");
	expect(cpuid(0x40000001, 0).a, 0x40011, "CPUID: Xen 4.17");
	r = cpuid(0x40000002, 0);
	check(r.a == 1 && r.b == 0x40000000, "CPUID: one hypercall page, by MSR 40000000");
	r = cpuid(0x40000004, 0);
	check(r.a & 8 && r.b == 0, "CPUID: vCPU id 0");
	check(!(r.a & 0x10) || (r.c && r.c < 0x7ff0), "CPUID: a domain id");
	r = cpuid(0x40000003, 0);
	check(r.c > 1000, "CPUID: a TSC frequency");
	/* Bothy's own leaves, which Xen lacks: vmm/life/seal.h. */
	r = cpuid(0x40000100, 0);
	check(!r.a || (r.a == 0x40000103 && r.b == 0x68746f42 && r.c == 0x61655379 && r.d == 0x676e696c), "CPUID: the leaves about sealing, or none");
	check(!(cpuid(0x40000101, 0).b & 1), "CPUID: this domain isn't sealed");
	check(!cpuid(0x40000200, 0).a, "CPUID: no further hypervisor leaves");
}

static void cpu_leaves(void)
{
	struct regs basic = cpuid(1, 0), ext = cpuid(0x80000001, 0), vendor = cpuid(0, 0), v2 = cpuid(0x80000000, 0);
	bool amd = vendor.b == 0x68747541, intel = vendor.b == 0x756e6547, hygon = vendor.b == 0x6f677948;

	check(amd || intel || hygon, "CPUID: a vendor with known hypercalls");
	check(!amd || (v2.b == vendor.b && v2.c == vendor.c && v2.d == vendor.d), "CPUID: the same vendor in the extended leaf");
	check(basic.c >> 31, "CPUID: a hypervisor is present");
	check(basic.c >> 21 & 1 && basic.d >> 9 & 1, "CPUID: APIC and x2APIC");
	check(!(basic.c >> 5 & 1) && !(ext.c >> 2 & 1), "CPUID: neither VMX nor SVM");
	check(!(basic.c >> 3 & 1), "CPUID: no MONITOR");
	check(!(basic.c >> 24 & 1), "CPUID: no TSC deadline timer");
	check(basic.d >> 7 & 1 && basic.d >> 14 & 1 && !(rdmsr(0x179) & 0xff), "CPUID: machine checks, without a bank");
	check(!(basic.c >> 15 & 1) && !cpuid(10, 0).a, "CPUID: no performance counters");
	check(ext.d >> 29 & 1 && ext.d >> 20 & 1, "CPUID: long mode and NX");
	expect(basic.b >> 24, 0, "CPUID: APIC id of the boot CPU");
	check(!(basic.c >> 27 & 1), "CPUID: no OSXSAVE before CR4 says so");
	check((cpuid(0x80000008, 0).a & 0xff) <= 52 && (cpuid(0x80000008, 0).a & 0xff) >= 36, "CPUID: a width of physical addresses");
	check(cpuid(6, 0).a >> 2 & 1, "CPUID: a timer that never stops");
	check(!cpuid(0x8000000a, 0).a, "CPUID: nothing of SVM");
}

static volatile u32 ap_id_ok;
static void ap(void)
{
	ap_id_ok = 1 + (cpuid(0x40000004, 0).b == 1 && cpuid(1, 0).b >> 24 == 2 && cpuid(11, 0).d == 2 && rdmsr(X2APIC_ID) == 2);
}

void test_main(void)
{
	registers();
	start_info();
	xen_leaves();
	cpu_leaves();
	if (check(start_cpu(1, ap), "the second vCPU starts"))
		check(wait_for(&ap_id_ok, 2, SECOND), "and CPUID and x2APIC know its ids");
}
