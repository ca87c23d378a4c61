/* Small objects of the hypervisor: size classes over pages. Each allocation can fail. */
#ifndef MM_HEAP_H
#define MM_HEAP_H

void *kzalloc(size_t size);             /* zeroed, 16-byte aligned (page-aligned from 4096 up), NULL if there is no memory */
void kfree(void *p);                    /* NULL is fine; size is remembered */

#endif
