/*
 * What stands for a guest's keeper: one that has gone mad. It replies, asks and exits at random, and looks at what its windows show: a frame
 * there isn't freed as long as the keeper runs.
 */
#include "keeper/call.h"
#include "mm/pt.h"
#include "tests/storm/storm.h"

/* The program of a real one. */
const u8 keeper_text[16] = { 0x0f, 0x0b }, keeper_text_end[1];

static void look_through_windows(struct vcpu *c, const struct keeper_call *call)
{
	u64 n = storm_random() % KEEPER_WINDOWS, entry;
	unsigned level;
	mfn_t mfn;
	u32 births;

	if (call->window[n] == WINDOW_NONE)
		return;
	pt_find(&pt_shape_x86, c->hvm.root, WINDOW_ADDRESS(n) + (storm_random() & (BIT(WINDOW_SHIFT) - PAGE_SIZE)), &entry, &level);
	if (!pt_present(&pt_shape_x86, entry))
		return;
	mfn = MFN(pt_target(&pt_shape_x86, entry, level, 0) >> PAGE_SHIFT);
	births = storm_births(mfn);
	storm_hold_up();
	if (storm_births(mfn) != births)
		storm_mistake("a frame is freed that a keeper sees");
}

void storm_keeper_run(struct vcpu *c, struct vm_exit *x)
{
	u64 entry, noise = storm_random();
	unsigned level;
	struct keeper_call *call;

	pt_find(&pt_shape_x86, c->hvm.root, KEEPER_CALL, &entry, &level);
	call = phys_to_virt(pt_target(&pt_shape_x86, entry, level, KEEPER_CALL));
	look_through_windows(c, call);
	x->reason = noise % 64 == 0 ? noise >> 32 & 31 : noise % 8 == 1 ? EXIT_NPF : noise % 8 == 2 ? EXIT_INTERRUPT : EXIT_HYPERCALL;
	x->len = 3;
	if (x->reason == EXIT_EXCEPTION)
		x->reason = EXIT_RETRY;
	if (x->reason == EXIT_NPF) {
		x->npf.gpa = noise >> 20 & (BIT(28) - 1);
		x->npf.write = noise >> 50 & 1;
	}
	/* Mostly what a sound one would say, so that its guest lives. */
	call->request = noise >> 10 & 1023 ? KEEPER_WINDOW + (noise >> 20) % 5 : noise >> 30;
	call->gpa = noise >> 40 & 3 ? noise >> 10 & (BIT(31) - 1) : noise;
	call->size = noise >> 52 & 511 ? (u8)(1 + (noise >> 8 & 7)) : (u8)noise;
	call->gpa -= MIN(call->gpa & 7, call->gpa);
	call->write = noise & 4096;
	call->memo = (struct memo){ .length = (u8)(noise >> 3 & 15), .flags = noise >> 7 & 15, .size = 4, .reg = noise >> 12 & 15, .reg_size = 4 };
	call->fault = (struct guest_fault){ .vector = noise >> 33 & 255 ? 14 : (u8)noise, .error = noise >> 13 & 7 };
	if (!(noise >> 44 & 255))
		call->cpu.rip = noise;
	call->cpu.regs[noise >> 60] = noise;
	call->cpu.rflags ^= noise >> 5;
}
