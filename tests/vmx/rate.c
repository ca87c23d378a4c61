/*
 * Says every two seconds how fast the TSC runs by the kernel's clock, and how far both have come since this program began. It goes on saying so on
 * another machine.
 */
#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct moment { uint64_t tsc, ns; };

/* The closest of some pairs of readings: an interrupt may come between the two. */
static struct moment now(void)
{
	struct moment best = { 0, 0 };
	uint64_t least = ~0ull;

	for (int i = 0; i < 10; i++) {
		struct timespec t;
		uint64_t before = __rdtsc(), after;

		clock_gettime(CLOCK_MONOTONIC, &t);
		after = __rdtsc();
		if (after - before < least) {
			least = after - before;
			best = (struct moment){ before + least / 2, (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec };
		}
	}
	return best;
}

int main(void)
{
	struct moment start = now(), last = start;

	for (int n = 1;; n++) {
		struct moment m;
		unsigned a, b, khz, d;

		nanosleep(&(struct timespec){ .tv_sec = 2 }, NULL);
		m = now();
		__cpuid_count(0x40000003, 0, a, b, khz, d);
		printf("rate %d: told %u is %.3f kHz, since the start %.3f ms by the TSC and %.3f by the clock\n", n, khz,
		       (double)(m.tsc - last.tsc) * 1e6 / (double)(m.ns - last.ns), (double)(m.tsc - start.tsc) / khz, (double)(m.ns - start.ns) / 1e6);
		fflush(stdout);
		last = m;
	}
}
