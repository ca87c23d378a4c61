/*
 * The words that every file uses; the compiler's command line includes this. Fixed-width integers,
 * typed frame numbers, bounds, and the two kinds of wrong.
 */
#ifndef LIB_BASE_H
#define LIB_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

/*
 * Quantities that must not mix: guest frame, machine frame, guest-physical byte, machine-physical
 * byte.
 */
typedef struct { u64 v; } gfn_t;
typedef struct { u64 v; } mfn_t;
typedef struct { u64 v; } gpa_t;
typedef u64 paddr_t;

#define GFN(x) ((gfn_t){ (x) })
#define MFN(x) ((mfn_t){ (x) })
#define INVALID_MFN MFN(~0ull)
#define INVALID_GFN GFN(~0ull)

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull
#define PAGE_MASK  (~(PAGE_SIZE - 1))
#define KiB(n) ((u64)(n) << 10)
#define MiB(n) ((u64)(n) << 20)
#define GiB(n) ((u64)(n) << 30)

#define ARRAY_SIZE(a)       (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)           ((a) < (b) ? (a) : (b))
#define MAX(a, b)           ((a) > (b) ? (a) : (b))
#define ROUND_UP(x, n)      (((x) + (n) - 1) / (n) * (n))
#define ROUND_DOWN(x, n)    ((x) / (n) * (n))
#define BIT(n)              (1ull << (n))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define __packed     __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#define __printf(f, a) __attribute__((format(printf, f, a)))
#define __noinline   __attribute__((noinline))
#define __noreturn   __attribute__((noreturn))
#define __unused     __attribute__((unused))

/*
 * Returns a guest-controlled index after its bounds check, or 0 if speculation ran past the check
 * (index >= size). The empty asm keeps the compiler from using the check's outcome to drop the
 * mask.
 */
static inline u64 array_index_nospec(u64 index, u64 size)
{
	u64 mask;

	__asm__ volatile("cmp %2, %1; sbb %0, %0" : "=r"(mask) : "r"(index), "r"(size) : "cc");
	return index & mask;
}

/* Errors are negative Linux errno numbers. Guests see the same numbers in RAX. */
enum {
	EPERM = 1, ENOENT = 2, ESRCH = 3, E2BIG = 7, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14,
	EBUSY = 16, EEXIST = 17, EXDEV = 18, ENODEV = 19, EINVAL = 22, ENOSPC = 28, ERANGE = 34, ENOSYS = 38,
	ENODATA = 61, EILSEQ = 84, EOPNOTSUPP = 95, ENOBUFS = 105,
};

/*
 * Log levels, as the loglvl= option names them. Each printk line begins with one of these macros.
 */
#define LOG_ERR   "\001" "0"
#define LOG_WARN  "\001" "1"
#define LOG_INFO  "\001" "2"
#define LOG_DEBUG "\001" "3"
/* Writes a line to the log and the serial port. Context: any, with any lock held. */
void printk(const char *fmt, ...) __printf(1, 2);

/*
 * One of our own invariants is broken: prints the state and stops. No argument of a guest can lead
 * here.
 */
void bug(const char *file, int line, const char *what) __noreturn;
#define BUG()        bug(__FILE__, __LINE__, "reached")
#define BUG_ON(cond) do { if (unlikely(cond)) bug(__FILE__, __LINE__, #cond); } while (0)
/* Boot can't go on because of the machine or the user: prints one clear line and stops. */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn;

#endif
