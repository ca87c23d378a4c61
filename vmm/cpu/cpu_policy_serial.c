/*
 * Policies as the list of leaves that libxc reads and writes. The number and order of entries are
 * fixed, because libxc writes its edited policy into a buffer of as many entries as it got. If our
 * list is shorter than the one that libxc would make, libxc fails (abi.md I.9). So one walk in one
 * place visits the leaves in libxc's order.
 */
#include <xen/xen.h>
#include "vmm/cpu/cpu_policy.h"
#include "vmm/cpu/cpu_policy_words.h"

_Static_assert(sizeof(xen_cpuid_leaf_t) == 24, "libxc's leaf");
_Static_assert(sizeof(struct cpuid_regs) == 16, "four registers");

#define XEN_BASE     0x40000000u
#define VIRIDIAN_BASE 0x40000100u

struct leaf_writer {
	struct xen_cpuid_leaf *leaf;
	u32 max;
	u32 nr;         /* entries so far, those that don't fit included */
};

static void put_leaf(struct leaf_writer *w, u32 leaf, u32 subleaf, const struct cpuid_regs *r)
{
	if (w->leaf && w->nr < w->max)
		w->leaf[w->nr] = (struct xen_cpuid_leaf){ leaf, subleaf, r->a, r->b, r->c, r->d };
	w->nr++;
}

static void put_cache(struct leaf_writer *w, const struct cpu_policy *p)
{
	for (u32 i = 0; i < ARRAY_SIZE(p->cache); i++) {
		put_leaf(w, 4, i, &p->cache[i]);
		if (!(p->cache[i].a & 0x1f))        /* type 0: no more caches */
			break;
	}
}

static void put_topology(struct leaf_writer *w, const struct cpu_policy *p)
{
	for (u32 i = 0; i < ARRAY_SIZE(p->topo); i++) {
		put_leaf(w, 0xb, i, &p->topo[i]);
		if (!(p->topo[i].c & 0xff00))       /* type 0: no more levels */
			break;
	}
}

static void put_xstate(struct leaf_writer *w, const struct cpu_policy *p)
{
	u64 states = p->xstate[0].a | p->xstate[1].c | (u64)(p->xstate[0].d | p->xstate[1].d) << 32;

	put_leaf(w, 0xd, 0, &p->xstate[0]);
	put_leaf(w, 0xd, 1, &p->xstate[1]);
	for (u32 i = 2; i < ARRAY_SIZE(p->xstate) && states >> i; i++)
		put_leaf(w, 0xd, i, &p->xstate[i]);
}

static void put_basic(struct leaf_writer *w, const struct cpu_policy *p, u32 leaf)
{
	switch (leaf) {
	case 0x4:
		put_cache(w, p);
		break;
	case 0x7:
		for (u32 i = 0; i < ARRAY_SIZE(p->feat) && i <= p->feat[0].a; i++)
			put_leaf(w, 7, i, &p->feat[i]);
		break;
	case 0xb:
		put_topology(w, p);
		break;
	case 0xd:
		put_xstate(w, p);
		break;
	default:
		put_leaf(w, leaf, XEN_CPUID_NO_SUBLEAF, &p->basic[leaf]);
		break;
	}
}

int cpu_policy_serialise(const struct cpu_policy *p, struct xen_cpuid_leaf *leaf, u32 max)
{
	struct leaf_writer w = { .leaf = leaf, .max = max };
	static const struct cpuid_regs none;
	u32 extd_max = p->extd[0].a & 0xffff;

	for (u32 i = 0; i < ARRAY_SIZE(p->basic) && i <= p->basic[0].a; i++)
		put_basic(&w, p, i);
	put_leaf(&w, XEN_BASE, XEN_CPUID_NO_SUBLEAF, &none);
	put_leaf(&w, VIRIDIAN_BASE, XEN_CPUID_NO_SUBLEAF, &none);
	for (u32 i = 0; i < ARRAY_SIZE(p->extd) && i <= extd_max; i++)
		put_leaf(&w, CPUID_EXTD + i, XEN_CPUID_NO_SUBLEAF, &p->extd[i]);
	return leaf && w.nr > max ? -ENOBUFS : (int)w.nr;
}

/* Returns the table's entry, bounded against speculation, or NULL if the index is outside. */
static struct cpuid_regs *table_entry(struct cpuid_regs *table, u32 size, u32 index)
{
	return index < size ? &table[array_index_nospec(index, size)] : NULL;
}

/*
 * Returns the place in p of a leaf from the toolstack, or NULL if it has none. *ignored is true for
 * a leaf that is known and means nothing here.
 */
static struct cpuid_regs *leaf_place(struct cpu_policy *p, const struct xen_cpuid_leaf *l, bool *ignored)
{
	*ignored = false;
	switch (l->leaf) {
	case 0x4:
		return table_entry(p->cache, ARRAY_SIZE(p->cache), l->subleaf);
	case 0x7:
		return table_entry(p->feat, ARRAY_SIZE(p->feat), l->subleaf);
	case 0xb:
		return table_entry(p->topo, ARRAY_SIZE(p->topo), l->subleaf);
	case 0xd:
		return table_entry(p->xstate, ARRAY_SIZE(p->xstate), l->subleaf);
	}
	if (l->subleaf != XEN_CPUID_NO_SUBLEAF)
		return NULL;
	if (l->leaf == XEN_BASE || l->leaf == VIRIDIAN_BASE) {
		*ignored = true;
		return NULL;
	}
	if (l->leaf < XEN_BASE)
		return table_entry(p->basic, ARRAY_SIZE(p->basic), l->leaf);
	return l->leaf < CPUID_EXTD ? NULL : table_entry(p->extd, ARRAY_SIZE(p->extd), l->leaf - CPUID_EXTD);
}

int cpu_policy_deserialise(struct cpu_policy *p, const struct xen_cpuid_leaf *leaf, u32 nr, u32 *err_leaf, u32 *err_subleaf)
{
	for (u32 i = 0; i < nr; i++) {
		bool ignored;
		struct cpuid_regs *to = leaf_place(p, &leaf[i], &ignored);

		if (to) {
			*to = (struct cpuid_regs){ leaf[i].a, leaf[i].b, leaf[i].c, leaf[i].d };
		} else if (!ignored) {
			*err_leaf = leaf[i].leaf;
			*err_subleaf = leaf[i].subleaf;
			return -ERANGE;
		}
	}
	return 0;
}
