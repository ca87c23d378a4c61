/* An access is one part, or two if it crosses from one page into the next. */
#include "keeper/cpu.h"
#include "keeper/compute.h"
#include "keeper/memory.h"

#define PAGE_BYTES 4096u

static enum exec_result translate(struct guest_memory *m, unsigned kind, u64 linear, u64 *gpa,
				  struct guest_fault *fault)
{
	m->stopped = walk_linear(m->cpu, &m->tables, linear, kind, gpa, fault);
	switch (m->stopped) {
	case WALK_OK:
		return EXEC_DONE;
	case WALK_FAULT:
		return EXEC_FAULT;
	case WALK_HOLE: case WALK_RACE:
		break;
	}
	return EXEC_STOP;
}

enum exec_result memory_access(void *context, unsigned kind, u64 linear, unsigned size, u64 *data,
			       struct guest_fault *fault)
{
	struct guest_memory *m = context;
	unsigned room = PAGE_BYTES - (unsigned)(linear & (PAGE_BYTES - 1)), first = MIN(size, room);
	bool crosses = first < size, read = kind & ACCESS_READ;
	u64 gpa[2], part[2] = { 0, 0 }, next = linear + first;
	enum exec_result done = translate(m, kind, linear, &gpa[0], fault);

	/* Outside 64-bit code the byte behind the last of 4 GiB is the first one. */
	if (cpu_code_mode(m->cpu) != CODE_64)
		next = (u32)next;
	if (crosses && done == EXEC_DONE)
		done = translate(m, kind, next, &gpa[1], fault);
	if (kind & ACCESS_CHECK)
		return done;
	if (!read) {
		part[0] = *data & ones(first);
		part[1] = crosses ? *data >> 8 * first : 0;
	}
	kind = read ? ACCESS_READ : ACCESS_WRITE;
	if (done == EXEC_DONE)
		done = m->access(m->context, kind, gpa[0], first, &part[0]);
	if (crosses && done == EXEC_DONE)
		done = m->access(m->context, kind, gpa[1], size - first, &part[1]);
	if (read && done == EXEC_DONE)
		*data = crosses ? part[0] | part[1] << 8 * first : part[0];
	return done;
}
