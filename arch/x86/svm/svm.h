/* Shared by the files of the SVM vendor only. */
#ifndef SVM_SVM_H
#define SVM_SVM_H

#include "lib/base.h"

struct vcpu;
struct domain;
struct hvm_state;
struct vmcb;

struct svm_vcpu {
	struct vmcb *vmcb;
	u64 pa;             /* of the VMCB */
	u64 dr[4];
	bool nmi_blocked;
	bool offered;
	u8 held;            /* offers held back in a row, */
	u64 shadow_rip;     /* for the instruction in the interrupt shadow: TCG only */
};

/* Permission maps: machine addresses for the VMCB. */
int svm_domain_init(struct domain *d);
u64 svm_iopm(const struct domain *d);
u64 svm_msrpm(void);
void svm_get_state(const struct vcpu *v, struct hvm_state *s);
void svm_set_state(struct vcpu *v, const struct hvm_state *s);
/* Calls `broken` with each rule of APM 15.5.1 that the VMCB breaks; returns how many. */
unsigned svm_check_entry(const struct vmcb *b, void (*broken)(const char *rule));

#endif
