/* What a saved vCPU has beyond its registers: its waiting event and its XSAVE states. */
#ifndef ASM_HVM_SAVED_H
#define ASM_HVM_SAVED_H

struct vcpu;
struct hvm_state;
struct hvm_hw_cpu;
struct hvm_hw_cpu_xsave;

/*
 * The event that waits in v's record, or will when v has run. hvm_record_event puts it into *c;
 * hvm_event_of returns it for struct hvm_state, or makes an NMI of it. hvm_valid_event says whether
 * entry allows it. Context: as hvm_set_context.
 */
void hvm_record_event(const struct vcpu *v, const struct hvm_state *s, struct hvm_hw_cpu *c);
bool hvm_valid_event(const struct hvm_hw_cpu *c);
u64 hvm_event_of(struct vcpu *v, const struct hvm_hw_cpu *c);
/*
 * Fill and check the toolstack's record of v's XSAVE states, which are a part of `allowed`.
 * hvm_get_xsave returns the record's states, and fills it if x isn't NULL; `size` is the area's size
 * in x. hvm_valid_xsave returns false if XSETBV or XRSTOR would fault. Context: as hvm_set_context.
 */
u64 hvm_get_xsave(const struct vcpu *v, u64 allowed, struct hvm_hw_cpu_xsave *x, u32 size);
bool hvm_valid_xsave(const struct hvm_hw_cpu_xsave *x, u64 allowed);
#endif
