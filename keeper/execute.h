/*
 * Carries out a decoded instruction on a guest's registers. Memory is reached by one function of
 * the caller's, which knows page tables, RAM and devices.
 */
#ifndef KEEPER_EXECUTE_H
#define KEEPER_EXECUTE_H

struct guest_cpu;
struct guest_fault;
struct insn;

enum exec_result {
	EXEC_DONE,      /* the instruction is complete, and RIP is behind it */
	EXEC_PART,      /* a string instruction has done some elements, and RIP is still on it */
	EXEC_WAIT,      /* a device hasn't answered */
	EXEC_FAULT,     /* *fault has the exception */
	EXEC_STOP,      /* memory gave up, and its owner knows why */
};

struct exec_memory {
	void *context;
	/*
	 * Reads or writes 1, 2, 4 or 8 bytes at a linear address; they may cross a page's end.
	 * ACCESS_READ with ACCESS_WRITE reads, and checks that a write to the same place can
	 * follow. ACCESS_CHECK with either only checks. Returns EXEC_DONE, EXEC_WAIT, EXEC_STOP,
	 * or EXEC_FAULT with *fault.
	 */
	enum exec_result (*access)(void *context, unsigned kind, u64 linear, unsigned size,
				   u64 *data, struct guest_fault *fault);
	/*
	 * INS and OUTS: reads or writes 1, 2 or 4 bytes at an I/O port. The CPU has judged the
	 * permission before the guest's exit. Returns EXEC_DONE, EXEC_WAIT or EXEC_STOP.
	 */
	enum exec_result (*port)(void *context, unsigned kind, u16 port, unsigned size, u64 *data);
};

/*
 * Executes *in on *cpu; a string instruction does at most `most` elements, which isn't 0, and only
 * one if RFLAGS.TF is set. Returns EXEC_DONE or EXEC_PART: registers, flags and the state behind
 * STI are the CPU's, and with TF a single-step trap is due. Returns anything else: the registers
 * are as before the instruction, or before the string's current element; a fault sets RFLAGS.RF.
 * After EXEC_WAIT the caller repeats the call, which asks for the same accesses of this element in
 * the same order; with `most` 1, an element is a whole call. Flags that the manual leaves undefined
 * may differ from a CPU's. A locked instruction is a read and a write, and alignment (#AC) is not
 * checked. Context: any.
 */
enum exec_result insn_execute(struct guest_cpu *cpu, const struct insn *in,
			      const struct exec_memory *memory, unsigned most,
			      struct guest_fault *fault);

#endif
