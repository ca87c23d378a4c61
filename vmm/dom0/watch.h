/* Waiting for the service domain's kernel, which unpacks itself in guest mode, to come to code that it has written. */
#ifndef VMM_DOM0_WATCH_H
#define VMM_DOM0_WATCH_H

struct p2m;
struct vcpu;

/*
 * The first fetch from the RAM at [start, end) of p2m calls `fn`, and no further one; what was watched before is left alone. fn NULL: no watch
 * more. Panics without memory.
 */
void dom0_watch(struct p2m *p2m, paddr_t start, paddr_t end, void (*fn)(struct vcpu *v));
/* v has faulted on a fetch from gfn: true if that was waited for, and is dealt with. */
bool dom0_watched(struct vcpu *v, gfn_t gfn);
/* v can't go on. Panics with the reason if it was unpacking its kernel. */
void dom0_unpacking_failed(struct vcpu *v);

#endif
