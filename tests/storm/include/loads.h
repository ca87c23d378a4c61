/* Before each atomic load of the sources that include this (storm.mk says which) a CPU may be held up: see storm_before_load. */
#ifndef TESTS_STORM_LOADS_H
#define TESTS_STORM_LOADS_H

void storm_before_load(const void *at);

/* A macro isn't expanded within itself. */
#define __atomic_load_n(p, order) ({ storm_before_load((const void *)(p)); __atomic_load_n(p, order); })

#endif
