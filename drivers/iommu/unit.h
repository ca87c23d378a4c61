/*
 * The contract of the two kinds of IOMMU, Intel's VT-d and AMD-Vi: the operations of a vendor on one
 * screen. A vendor only translates; which frames devices reach is decided in iommu.c.
 */
#ifndef DRIVERS_IOMMU_UNIT_H
#define DRIVERS_IOMMU_UNIT_H

#include "drivers/acpi_tables.h"
#include "mm/pt.h"

struct acpi;

/* 0 only in a build that a test makes to see that it would notice (tests/system/flush.long). */
#ifndef IOMMU_FLUSHES
#define IOMMU_FLUSHES  1
#endif

#define IOMMU_UNITS    32
#define IOMMU_RESERVED 64
/* The domain of all devices. A VT-d unit in caching mode keeps 0 for itself. */
#define IOMMU_DOMAIN   1

/* One IOMMU. [I] after its start, but `tail` and `waits`: [LOCK_P2M]. */
struct iommu_unit {
	paddr_t base;           /* of its registers */
	volatile u8 *regs;
	u64 size;               /* bytes of registers */
	u64 features[2];        /* VT-d: CAP and ECAP; AMD-Vi: EFR and the flags of its IVHD block */
	u16 segment;            /* PCI segment of its devices */
	u16 function;           /* AMD-Vi: the PCI function that it is itself */
	u16 capability;         /* AMD-Vi: its capability block there */
	u8 *queue;              /* a page of commands, and behind it the word that tells of their end */
	u32 tail;               /* the next command's place in it, in bytes */
	u32 waits;              /* the number of ends asked for, and what the word becomes with the last one */
	u8 *events;             /* AMD-Vi: a page for reports of blocked accesses */
};

/*
 * What firmware's table tells. Parsers fill it. `wrong` counts the parts left out that may have
 * named a unit.
 */
struct iommu_found {
	unsigned nr_units, nr_reserved, wrong;
	struct iommu_unit unit[IOMMU_UNITS];
	struct { paddr_t start, end; } reserved[IOMMU_RESERVED];   /* whole pages */
};

/* What all units can do. */
struct iommu_limits {
	u32 levels;             /* bit n: tables of n levels */
	u32 sizes;              /* PT_4K and larger leaves */
	bool coherent;          /* they see the CPUs' caches when they read tables */
	bool forgets_nothing;   /* one remembers entries that were empty */
	bool forgets_only_all;  /* one can't forget a single page */
	bool filters_interrupts; /* they can block all but fixed and arbitrated ones, and shall */
};

struct iommu_fault {
	u16 source;             /* bus, device and function */
	u64 addr;
	bool write;
	bool lost;              /* reports after this one were lost */
	unsigned code;
	const char *why;
};

#define IOMMU_OPS(X) \
	/* reads the table; what is malformed is left out, with a line in the log */ \
	X(void, parse, (const struct acpi_header *table, struct iommu_found *found)) \
	X(const char *, probe, (struct iommu_unit *u, struct iommu_limits *all))        /* NULL, or what it lacks; narrows *all */ \
	X(const struct pt_format *, format, (const struct iommu_limits *all))           /* of tables for all units, or NULL */ \
	/* to all devices, before `start`; may be told to let only ordinary interrupts pass; false: no memory */ \
	X(bool, give_table, (const struct pt *table, bool filter_interrupts)) \
	X(const char *, start, (struct iommu_unit *u))  /* translates from now on; NULL, or what went wrong */ \
	X(void, stop, (struct iommu_unit *u))           /* as if there were none; also if firmware started it */ \
	X(void, forget, (struct iommu_unit *u, u64 gfn))        /* the command for this page's translation, or for all */ \
	X(void, wait, (struct iommu_unit *u, paddr_t at, u32 value))    /* the command that stores this when those before have ended */ \
	X(bool, next_fault, (struct iommu_unit *u, struct iommu_fault *f))     /* takes a report */ \
	/* NULL, or the manual's rule that an entry of the tables or a command breaks: debug builds */ \
	X(const char *, check_entry, (const struct pt *table, u64 entry, unsigned level)) \
	X(const char *, check_command, (const u64 command[2]))
#define IOMMU_ALL_PAGES (~0ull)

struct iommu_ops {
	const char *name;
	char signature[5];      /* of the table in ACPI */
	u32 registers;          /* bytes of a unit's registers that `probe` needs */
	u32 commands_end;       /* the register that says where in the queue commands end */
#define X(ret, op, args) ret (*op) args;
	IOMMU_OPS(X)
#undef X
};

extern const struct iommu_ops vtd_ops, amdvi_ops;

/*
 * Adds a unit, or a range that devices must reach. Returns the unit, or NULL if it is listed twice.
 * What can't be true, or is too much, is left out with a line in the log; then the result is NULL
 * too.
 */
struct iommu_unit *iommu_add_unit(struct iommu_found *found, paddr_t base);
void iommu_add_reserved(struct iommu_found *found, paddr_t start, paddr_t end);
/* Counts a malformed part at byte `at` of the table, and logs it. */
void iommu_malformed(struct iommu_found *found, const struct acpi_header *table, const void *at);

/* What firmware's tables say: dmar.c and ivrs.c. */
void dmar_parse(const struct acpi_header *table, struct iommu_found *found);
void ivrs_parse(const struct acpi_header *table, struct iommu_found *found);

/* Hides the unit's own PCI function from the service domain, once for each unit: pci.c. */
void iommu_hide_function(const struct iommu_unit *u);
/* Reserves the pages of memory that show the hidden functions' configuration. */
void iommu_reserve_functions(const struct acpi *acpi, void (*reserve)(paddr_t start, u64 size));
u32 iommu_read_config(u16 function, u16 at);
void iommu_write_config(u16 function, u16 at, u32 value);

/* Adds a command to the unit's queue, which has room for 255. */
void iommu_command(struct iommu_unit *u, u64 lo, u64 hi);
/* Tells the unit of its new commands. Returns true when it has obeyed them, false after a second. */
bool iommu_obeys(struct iommu_unit *u);
/* Writes cache lines back to memory, for units that don't see caches. */
void iommu_write_back(const void *at, size_t bytes);
/* Waits up to a second until (*reg & mask) == value. Returns true if it is. */
bool iommu_wait32(const volatile u32 *reg, u32 mask, u32 value);

static inline volatile u32 *iommu_reg32(const struct iommu_unit *u, u32 at) { return (volatile u32 *)(u->regs + at); }
static inline volatile u64 *iommu_reg64(const struct iommu_unit *u, u32 at) { return (volatile u64 *)(u->regs + at); }

/* Rules of the manuals for what units read, as check_entry: check.c. */
const char *vtd_check_entry(const struct pt *table, u64 entry, unsigned level);
const char *vtd_check_context(const u64 root[2], const u64 context[2], unsigned levels);
const char *vtd_check_command(const u64 command[2]);
const char *amdvi_check_entry(const struct pt *table, u64 entry, unsigned level);
const char *amdvi_check_device(const u64 device[4]);
const char *amdvi_check_command(const u64 command[2]);

#endif
