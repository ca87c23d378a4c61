/*
 * domctl: reads and writes a guest's machine state, as the toolstack's stream of records (abi.md
 * I.5). A record is {type, instance, length} and its contents. The first record is a header, and
 * the last is empty. A stream from the toolstack is checked to its end before we load any of it.
 */
#include <xen/domctl.h>
#include "mm/heap.h"
#include "vmm/cpu/cpu_policy.h"
#include "vmm/domain.h"
#include "vmm/domain/record.h"
#include "vmm/domain/refuse.h"
#include "vmm/hypercall.h"
#include "vmm/life/life.h"
#include "vmm/life/save.h"
#include "vmm/memory/guest_access.h"
#include "vmm/vcpu.h"
#include "vmm/versions.h"

enum { RECORD_END = 0, RECORD_HEADER = 1 };

/* Enough for every kind of record for every vCPU of the largest domain. */
#define STREAM_MAX     (MAX_VCPUS * 8192u)

/*
 * A stream on its way out. It goes straight to the caller's buffer, or nowhere if the caller asks
 * only for its length. All 128 vCPUs have 642 records, too many for one step. A step ends between
 * two records, and the next step skips the records that are already in the buffer.
 */
struct stream_out {
	struct vcpu *caller;
	u64 gva;            /* where the stream goes; 0: only count */
	u32 room, size;     /* bytes there, and of the stream so far */
	u32 records, there; /* records so far, and those of earlier steps */
};

static bool put_wanted(const struct stream_out *s) { return s->gva && s->records >= s->there; }

static int put_record(struct stream_out *s, u16 type, u16 instance, const void *data, u32 length)
{
	struct hvm_save_descriptor desc = { .typecode = type, .instance = instance, .length = length };
	u64 at = s->gva + s->size;
	bool put = put_wanted(s);

	s->size += (u32)sizeof(desc) + length;
	s->records++;
	if (!put)
		return 0;
	if (s->size > s->room)
		return -ENOSPC;
	if (copy_to_guest(s->caller, at, &desc, sizeof(desc)) || copy_to_guest(s->caller, at + sizeof(desc), data, length))
		return -EFAULT;
	return step_over() ? HC_AGAIN : 0;
}

/* Puts the records of all vCPUs. `scratch` holds one record, which is too large for the stack. */
static int put_vcpus(struct stream_out *s, struct domain *d, void *scratch)
{
	struct vcpu *v;
	int rc = 0;

	for (u16 type = 0; type < SAVED_KINDS; type++)
		for_each_vcpu(v, d) {
			u32 length = rc || !saved_kinds[type].fill ? 0 : saved_kinds[type].fill(v, put_wanted(s) ? scratch : NULL);

			if (length)
				rc = put_record(s, type, (u16)v->id, scratch, length);
		}
	return rc;
}

static int put_stream(struct stream_out *s, struct domain *d)
{
	struct hvm_save_header header = {
		.magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION, .changeset = xen_version,
		.cpuid = cpu_policy_host.basic[1].a, .gtsc_khz = d->clock.scale.tsc_khz,
	};
	void *scratch = kzalloc(SAVED_MAX);
	int rc;

	if (!scratch)
		return -ENOMEM;
	rc = put_record(s, RECORD_HEADER, 0, &header, sizeof(header)) ?:
	     put_vcpus(s, d, scratch) ?: put_record(s, RECORD_END, 0, NULL, 0);
	kfree(scratch);
	return rc;
}

long hc_domctl_gethvmcontext(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_domctl_hvmcontext *op = arg;
	struct stream_out out = { .caller = v, .gva = HANDLE(op->buffer), .room = op->size, .there = hc->progress };
	long rc = domain_check_stopped(hc->target) ?: put_stream(&out, hc->target);

	hc->progress = out.records;
	op->size = out.size;
	return rc;
}

/*
 * A stream on its way in. We read it from the caller's memory twice, a record at a time: once to
 * check all of it, and once to load it. So both can go on in steps. Each record is also checked as
 * it is loaded. A caller that changes the stream meanwhile gets an error or another state, but no
 * unchecked one.
 */
struct stream_in {
	struct vcpu *caller;
	u64 gva;
	u32 size, at;
	struct hvm_save_descriptor desc;    /* of the record in the union, which ends at `at` */
	const struct saved_kind *kind;      /* its kind; NULL: the header or the end */
	union {
		struct hvm_save_header header;
		u8 data[SAVED_MAX];
	};
};

/*
 * Reads and checks the record at s->at, and moves s->at behind it. The first record has to be the
 * header, and no other one may be. Returns 0. Errors: -EINVAL if the record is malformed or not
 * valid, -EFAULT if it can't be read, -EOPNOTSUPP if we don't know its type.
 */
static int next_record(struct stream_in *s, struct domain *d)
{
	bool first = !s->at;
	u32 type, length;

	if (s->at > s->size || s->size - s->at < sizeof(s->desc))
		return -EINVAL;
	if (copy_from_guest(s->caller, &s->desc, s->gva + s->at, sizeof(s->desc)))
		return -EFAULT;
	s->at += (u32)sizeof(s->desc);
	type = s->desc.typecode;
	if (first ? type != RECORD_HEADER : type != RECORD_END && !domain_vcpu(d, s->desc.instance))
		return -EINVAL;
	s->kind = first || type >= SAVED_KINDS || !saved_kinds[type].valid ? NULL : &saved_kinds[type];
	if (!s->kind && !first && type != RECORD_END)
		return -EOPNOTSUPP;
	length = s->desc.length;
	if (length > sizeof(s->data) || s->size - s->at < length || (!s->kind && length != (first ? sizeof(s->header) : 0)))
		return -EINVAL;
	if (copy_from_guest(s->caller, s->data, s->gva + s->at, length))
		return -EFAULT;
	s->at += length;
	if (first)
		return s->header.magic == HVM_FILE_MAGIC && s->header.version == HVM_FILE_VERSION ? 0 : -EINVAL;
	return !s->kind || s->kind->valid(domain_vcpu(d, s->desc.instance), s->data, length) ? 0 : -EINVAL;
}

/*
 * Loads one record. The header takes all vCPUs down. A CPU record brings its vCPU up again with
 * that state; vCPUs without one wait for a SIPI. The domain is paused, so nothing runs yet.
 */
static int load_record(struct domain *d, const struct stream_in *s)
{
	struct vcpu *v;

	if (s->desc.typecode == RECORD_HEADER) {
		for_each_vcpu(v, d) {
			__atomic_or_fetch(&v->pause_flags, VCPU_DOWN, __ATOMIC_SEQ_CST);
			v->wait_for_sipi = true;
		}
	}
	return s->kind && s->kind->load ? s->kind->load(domain_vcpu(d, s->desc.instance), s->data) : 0;
}

/*
 * This bit in a step's progress says that the whole stream is checked and is now being loaded. The
 * other bits are the position in the stream.
 */
#define LOADING 0x80000000u
_Static_assert(STREAM_MAX < LOADING, "both fit");

static long set_some(struct stream_in *s, struct domain *d, u32 *progress)
{
	u32 load = *progress & LOADING;
	int rc;

	s->at = *progress & ~LOADING;
	do {
		rc = next_record(s, d);
		if (!rc && load)
			rc = load_record(d, s);
		if (rc || (load && s->desc.typecode == RECORD_END))
			return rc;
		if (s->desc.typecode == RECORD_END) {
			load = LOADING;
			s->at = 0;
		}
	} while (!step_over());
	*progress = s->at | load;
	return HC_AGAIN;
}

long hc_domctl_sethvmcontext(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_domctl_hvmcontext *op = arg;
	struct stream_in *s;        /* on the heap, because it is too large for the stack */
	long rc;

	if (op->size == 0 || op->size > STREAM_MAX)
		return -EINVAL;
	s = kzalloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct stream_in){ .caller = v, .gva = HANDLE(op->buffer), .size = op->size };
	rc = domain_check_stopped(hc->target) ?: set_some(s, hc->target, &hc->progress);
	if (s->at && (rc == -EINVAL || rc == -EOPNOTSUPP))
		rc = refuse_say(rc, "restore: record %u of d%uv%u is malformed, or no CPU can have this state", s->desc.typecode, hc->target->domid,
				s->desc.instance);
	kfree(s);
	return rc;
}
