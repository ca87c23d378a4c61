/*
 * domctl: a guest's machine state as the toolstack's stream of records (abi.md I.5). Each is {type, instance, length} and its
 * contents; the first is a header, the last is empty. A stream from outside is checked to its end before anything of it counts.
 */
#include <xen/domctl.h>
#include <xen/hvm/save.h>
#include <asm/time.h>
#include "lib/string.h"
#include "mm/heap.h"
#include "vmm/control.h"
#include "vmm/domain.h"
#include "vmm/guest_access.h"
#include "vmm/hypercall.h"
#include "vmm/msr.h"
#include "vmm/version.h"

_Static_assert(sizeof(struct xen_domctl_hvmcontext) == 16, "abi.md N");
_Static_assert(sizeof(struct hvm_save_descriptor) == 8, "abi.md N");
_Static_assert(sizeof(struct hvm_save_header) == 24, "abi.md N");
_Static_assert(sizeof(struct hvm_hw_cpu) == 1032, "abi.md N");
_Static_assert(sizeof(struct hvm_hw_mtrr) == 240, "abi.md N");

enum { RECORD_END = 0, RECORD_HEADER = 1, RECORD_CPU = 2, RECORD_MTRR = 14 };

/* Every vCPU of the largest domain with each record that there is. */
#define STREAM_MAX     (MAX_VCPUS * 4096u)

#define MTRR_DEF_TYPE_MASK 0xcffull     /* type, FE, E */

_Static_assert(sizeof((struct domain){ 0 }.mtrr.variable) == sizeof((struct hvm_hw_mtrr){ 0 }.msr_mtrr_var) &&
	       sizeof((struct domain){ 0 }.mtrr.fixed) == NUM_FIXED_MSR * sizeof(u64), "all MTRRs have a place");

/* A stream on its way out: straight to the guest's buffer, or nowhere if only its length is asked for. */
struct stream_out {
	struct vcpu *caller;
	u64 gva;            /* 0: count only */
	u32 size;
};

static int put_record(struct stream_out *s, u16 type, u16 instance, const void *data, u32 length)
{
	struct hvm_save_descriptor desc = { .typecode = type, .instance = instance, .length = length };
	u64 at = s->gva + s->size;

	s->size += (u32)sizeof(desc) + length;
	if (!s->gva)
		return 0;
	if (copy_to_guest(s->caller, at, &desc, sizeof(desc)))
		return -EFAULT;
	return length ? copy_to_guest(s->caller, at + sizeof(desc), data, length) : 0;
}

static int put_mtrr(struct stream_out *s, const struct vcpu *v)
{
	const struct domain *d = v->domain;
	struct hvm_hw_mtrr m = {
		.msr_pat_cr = v->hvm.pat, .msr_mtrr_cap = MTRRCAP_VALUE, .msr_mtrr_def_type = d->mtrr.def_type,
	};

	memcpy(m.msr_mtrr_var, d->mtrr.variable, sizeof(m.msr_mtrr_var));
	memcpy(m.msr_mtrr_fixed, d->mtrr.fixed, sizeof(m.msr_mtrr_fixed));
	return put_record(s, RECORD_MTRR, (u16)v->id, &m, sizeof(m));
}

/* `scratch` holds one CPU record: too large for the stack. */
static int put_vcpus(struct stream_out *s, struct domain *d, struct hvm_hw_cpu *scratch)
{
	int rc = 0;

	for (u32 i = 0; i < d->max_vcpus && !rc; i++) {
		struct vcpu *v = d->vcpu[i];

		if (!v || (__atomic_load_n(&v->pause_flags, __ATOMIC_RELAXED) & VCPU_DOWN))
			continue;
		memset(scratch, 0, sizeof(*scratch));
		if (s->gva)
			hvm_get_context(v, scratch);
		rc = put_record(s, RECORD_CPU, (u16)i, scratch, sizeof(*scratch));
	}
	for (u32 i = 0; i < d->max_vcpus && !rc; i++)
		if (d->vcpu[i])
			rc = put_mtrr(s, d->vcpu[i]);
	return rc;
}

static int put_stream(struct stream_out *s, struct domain *d)
{
	struct hvm_save_header header = {
		.magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION, .changeset = XEN_VERSION,
		.cpuid = cpu_policy_host.basic[1].a, .gtsc_khz = time_scale.tsc_khz,
	};
	struct hvm_hw_cpu *scratch = kzalloc(sizeof(*scratch));
	int rc;

	if (!scratch)
		return -ENOMEM;
	rc = put_record(s, RECORD_HEADER, 0, &header, sizeof(header));
	if (!rc)
		rc = put_vcpus(s, d, scratch);
	if (!rc)
		rc = put_record(s, RECORD_END, 0, NULL, 0);
	kfree(scratch);
	return rc;
}

long hc_gethvmcontext(struct vcpu *v, struct hypercall *hc, void *arg)
{
	struct xen_domctl_hvmcontext *op = &((struct xen_domctl *)arg)->u.hvmcontext;
	struct stream_out count = { .caller = v };
	struct stream_out out = { .caller = v, .gva = HANDLE(op->buffer) };
	long rc;

	spin_lock(&control_lock);
	rc = domain_check_stopped(hc->target);
	if (!rc)
		rc = put_stream(&count, hc->target);
	if (!rc && out.gva)
		rc = op->size < count.size ? -ENOSPC : put_stream(&out, hc->target);
	spin_unlock(&control_lock);
	op->size = count.size;
	return rc;
}

/* One record of a stream that lies in our own memory. */
struct context_record {
	struct hvm_save_descriptor desc;
	const u8 *data;
};

/* The record at *at, which moves behind it; -EINVAL if it doesn't lie within the stream. */
static int next_record(const u8 *stream, u32 size, u32 *at, struct context_record *r)
{
	if (size - *at < sizeof(r->desc))
		return -EINVAL;
	memcpy(&r->desc, stream + *at, sizeof(r->desc));
	*at += (u32)sizeof(r->desc);
	if (size - *at < r->desc.length)
		return -EINVAL;
	r->data = stream + *at;
	*at += r->desc.length;
	return 0;
}

static int check_header(const struct context_record *r)
{
	struct hvm_save_header header;

	if (r->desc.typecode != RECORD_HEADER || r->desc.length != sizeof(header))
		return -EINVAL;
	memcpy(&header, r->data, sizeof(header));
	return header.magic == HVM_FILE_MAGIC && header.version == HVM_FILE_VERSION ? 0 : -EINVAL;
}

static int check_mtrr(const struct context_record *r)
{
	struct hvm_hw_mtrr m;

	if (r->desc.length != sizeof(m))
		return -EINVAL;
	memcpy(&m, r->data, sizeof(m));
	if (m.msr_mtrr_def_type & ~MTRR_DEF_TYPE_MASK || !hvm_valid_types(m.msr_mtrr_def_type, 1, 6))
		return -EINVAL;
	return hvm_valid_types(m.msr_pat_cr, 8, 7) ? 0 : -EINVAL;
}

static int check_record(struct domain *d, const struct context_record *r)
{
	if (!domain_vcpu(d, r->desc.instance))
		return -EINVAL;
	switch (r->desc.typecode) {
	case RECORD_CPU:
		return r->desc.length == sizeof(struct hvm_hw_cpu) ? 0 : -EINVAL;
	case RECORD_MTRR:
		return check_mtrr(r);
	default:
		return -EOPNOTSUPP;
	}
}

static int check_stream(struct domain *d, const u8 *stream, u32 size)
{
	struct context_record r;
	u32 at = 0;
	int rc = next_record(stream, size, &at, &r);

	if (!rc)
		rc = check_header(&r);
	while (!rc) {
		rc = next_record(stream, size, &at, &r);
		if (rc)
			break;
		if (r.desc.typecode == RECORD_END)
			return r.desc.length ? -EINVAL : 0;
		rc = check_record(d, &r);
	}
	return rc;
}

static int load_cpu(struct vcpu *v, const struct context_record *r)
{
	struct hvm_hw_cpu *cpu = kzalloc(sizeof(*cpu));     /* the record may be at any alignment */
	int rc;

	if (!cpu)
		return -ENOMEM;
	memcpy(cpu, r->data, sizeof(*cpu));
	rc = hvm_set_context(v, cpu);
	kfree(cpu);
	return rc;
}

static void load_mtrr(struct vcpu *v, const struct context_record *r)
{
	struct domain *d = v->domain;
	struct hvm_hw_mtrr m;

	memcpy(&m, r->data, sizeof(m));
	v->hvm.pat = m.msr_pat_cr;
	hvm->set_pat(v, m.msr_pat_cr);
	/* Nothing but the guest reads them: nested paging decides the types. */
	d->mtrr.def_type = m.msr_mtrr_def_type;
	memcpy(d->mtrr.variable, m.msr_mtrr_var, sizeof(m.msr_mtrr_var));
	memcpy(d->mtrr.fixed, m.msr_mtrr_fixed, sizeof(m.msr_mtrr_fixed));
}

/*
 * Every set takes all vCPUs down, and each that has a CPU record comes up again with that state; the others wait for a SIPI. The
 * domain is paused, so neither makes anything run. A CPU state that can't be entered leaves its vCPU down.
 */
static int load_stream(struct domain *d, const u8 *stream, u32 size)
{
	struct context_record r;
	u32 at = 0;
	int rc = 0;

	for (u32 i = 0; i < d->max_vcpus; i++) {
		if (d->vcpu[i]) {
			__atomic_or_fetch(&d->vcpu[i]->pause_flags, VCPU_DOWN, __ATOMIC_SEQ_CST);
			d->vcpu[i]->wait_for_sipi = true;
		}
	}
	while (!rc && !next_record(stream, size, &at, &r) && r.desc.typecode != RECORD_END) {
		struct vcpu *v = domain_vcpu(d, r.desc.instance);

		if (r.desc.typecode == RECORD_MTRR)
			load_mtrr(v, &r);
		if (r.desc.typecode != RECORD_CPU)
			continue;
		rc = load_cpu(v, &r);
		if (!rc) {
			v->wait_for_sipi = false;
			vcpu_up(v);
		}
	}
	return rc;
}

long hc_sethvmcontext(struct vcpu *v, struct hypercall *hc, void *arg)
{
	const struct xen_domctl_hvmcontext *op = &((struct xen_domctl *)arg)->u.hvmcontext;
	u8 *stream;
	long rc;

	if (op->size == 0 || op->size > STREAM_MAX)
		return -EINVAL;
	stream = kzalloc(op->size);
	if (!stream)
		return -ENOMEM;
	rc = copy_from_guest(v, stream, HANDLE(op->buffer), op->size);
	if (!rc) {
		spin_lock(&control_lock);
		rc = domain_check_stopped(hc->target);
		if (!rc)
			rc = check_stream(hc->target, stream, op->size);
		if (!rc)
			rc = load_stream(hc->target, stream, op->size);
		spin_unlock(&control_lock);
	}
	kfree(stream);
	return rc;
}
