/*
 * The keeper's one task: the guest's CPU stopped at an access to guest-physical memory where no RAM
 * is. Decodes the instruction, executes it, and replies with the new registers. The page of the
 * call is all that it shares with ring 0. It has no memory of its own from one call to the next.
 */
#include "keeper/cpu.h"
#include "keeper/decode.h"
#include "keeper/execute.h"
#include "keeper/main.h"
#include "keeper/memory.h"

#define PAGE_BYTES 4096u

/* A string instruction gives way after so many elements, and the guest goes on with it. */
#define ELEMENTS_MOST 64

static struct keeper_call *const call = (struct keeper_call *)KEEPER_CALL;

static void ask(enum keeper_request request, u64 gpa)
{
	call->gpa = gpa;
	call->request = request;
	keeper_hypercall(call->vmcall);
}

/* Returns where the keeper has the guest's byte at gpa, or 0 if the guest has no memory near. */
static u64 window(u64 gpa)
{
	u64 piece = gpa >> WINDOW_SHIFT;

	if (call->window[piece % KEEPER_WINDOWS] != piece)
		ask(KEEPER_WINDOW, gpa);
	if (call->window[piece % KEEPER_WINDOWS] != piece)
		return 0;
	return WINDOW_ADDRESS(piece) + (gpa & (BIT(WINDOW_SHIFT) - 1));
}

static bool read_entry(void *context, u64 gpa, unsigned size, u64 *entry)
{
	u64 at = window(gpa);

	return at && keeper_load(at, size, entry);
}

static bool replace_entry(void *context, u64 gpa, unsigned size, u64 old, u64 entry)
{
	u64 at = window(gpa);

	return at && keeper_replace(at, size, old, entry);
}

/* Returns false if it isn't all RAM. Part of a write may have been done then. */
static bool access_ram(bool write, u64 gpa, unsigned size, u64 *data)
{
	u64 at = window(gpa), value = 0, part;

	if (!at)
		return false;
	for (unsigned done = 0, n; done < size; done += n) {
		n = 8;
		while (n > size - done)
			n /= 2;
		part = *data >> 8 * done;
		if (!(write ? keeper_store(at + done, n, part) : keeper_load(at + done, n, &part)))
			return false;
		value |= part << 8 * done;
	}
	if (!write)
		*data = value;
	return true;
}

static enum exec_result access_memory(void *context, unsigned kind, u64 gpa, unsigned size,
				      u64 *data)
{
	bool write = kind & ACCESS_WRITE;

	/* The CPU has found already that this page has no RAM. */
	if (gpa / PAGE_BYTES != call->fault_gpa / PAGE_BYTES && access_ram(write, gpa, size, data))
		return EXEC_DONE;
	call->size = (u8)size;
	call->write = write;
	call->data = *data;
	ask(KEEPER_DEVICE, gpa);
	if (!write)
		*data = call->data;
	return EXEC_DONE;
}

/* A guest's ports exit before its memory does. */
static enum exec_result no_port(void *context, unsigned kind, u16 port, unsigned size, u64 *data)
{
	return EXEC_STOP;
}

static enum keeper_request execute(const struct insn *in)
{
	struct guest_memory memory = {
		.cpu = &call->cpu,
		.tables = { .read = read_entry, .replace = replace_entry },
		.access = access_memory,
	};
	struct exec_memory access = { .context = &memory, .access = memory_access, .port = no_port };

	switch (insn_execute(&call->cpu, in, &access, ELEMENTS_MOST, &call->fault)) {
	case EXEC_DONE: case EXEC_PART:
		return KEEPER_DONE;
	case EXEC_FAULT:
		return KEEPER_FAULT;
	case EXEC_WAIT: case EXEC_STOP:
		break;
	}
	return memory.stopped == WALK_RACE ? KEEPER_RETRY : KEEPER_CRASH;
}

static enum keeper_request raise(u8 vector)
{
	call->fault = (struct guest_fault){ .vector = vector };
	return KEEPER_FAULT;
}

static enum keeper_request carry_out(void)
{
	struct insn in;

	switch (insn_decode(call->bytes, call->nr_bytes, cpu_code_mode(&call->cpu), &in)) {
	case DECODE_OK:
		insn_memo(&in, &call->memo);
		return execute(&in);
	case DECODE_LONG:
		return raise(VECTOR_GP);
	case DECODE_INVALID:
		return raise(VECTOR_UD);
	/* Another CPU of the guest has changed the code meanwhile. */
	case DECODE_SHORT: case DECODE_REGISTER:
		return KEEPER_RETRY;
	case DECODE_OTHER:
		break;
	}
	return KEEPER_CRASH;
}

void keeper_main(void)
{
	ask(carry_out(), 0);
}
