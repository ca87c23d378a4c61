/* Small objects of the hypervisor, in size classes cut out of pages. */
#ifndef MM_HEAP_H
#define MM_HEAP_H

/*
 * Allocates `size` bytes, zeroed and aligned to 16 bytes; from 4096 bytes on, to a page. Returns
 * their address, or NULL if there is no memory.
 */
void *kzalloc(size_t size);
/* Frees an object from kzalloc. NULL is allowed. */
void kfree(void *p);

#endif
