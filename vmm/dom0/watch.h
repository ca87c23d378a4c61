/*
 * The service domain's kernel unpacks itself in guest mode. A watch reports when it first runs code
 * that it has written.
 */
#ifndef VMM_DOM0_WATCH_H
#define VMM_DOM0_WATCH_H

struct p2m;
struct vcpu;

/*
 * Ends the watch before, if there is one, and makes the first fetch from [start, end) of p2m call
 * `fn`. Later fetches call nothing. fn NULL only ends the watch. Panics without memory. Context:
 * the builder, or `fn` of the watch before.
 */
void dom0_watch(struct p2m *p2m, paddr_t start, paddr_t end, void (*fn)(struct vcpu *v));
/*
 * Takes a fault of v on a fetch from gfn. Returns true if a watch waited for it; its `fn` has then
 * been called. Context: v is current.
 */
bool dom0_watched(struct vcpu *v, gfn_t gfn);
/*
 * Does nothing unless the service domain's kernel is still unpacking itself. Then it panics with
 * the reason, because v can't go on. Context: v is current.
 */
void dom0_unpacking_failed(struct vcpu *v);

#endif
