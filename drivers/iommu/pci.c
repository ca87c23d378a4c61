/*
 * PCI's configuration, and the functions in it that the service domain must not reach: AMD's IOMMUs
 * are such. A write to the address port that would select one selects nothing instead, so the data
 * port needs no exit. Their pages in the range of memory that shows PCI's configuration are
 * reserved.
 */
#include <asm/insn.h>
#include "drivers/acpi.h"
#include "drivers/iommu/iommu.h"
#include "drivers/iommu/unit.h"

enum { CONFIG_ADDRESS = 0xcf8, CONFIG_DATA = 0xcfc };
#define CONFIG_ENABLE  BIT(31)
#define CONFIG_NOTHING 0u               /* not enabled: the data port is then an ordinary port */
#define FUNCTION(address) ((u16)((address) >> 8))

/* PCI Firmware Specification, "MCFG Table Description", 4.1.2: a page for each function. */
struct mcfg {
	struct acpi_header header;
	u64 reserved;
	struct { u64 base; u16 segment; u8 first_bus, last_bus; u32 reserved; } __packed range[];
} __packed;

static const struct iommu_unit *hidden[IOMMU_UNITS];    /* [I] */
static unsigned nr_hidden;                              /* [I] */

void iommu_hide_function(const struct iommu_unit *u) { hidden[nr_hidden++] = u; }

void iommu_reserve_functions(const struct acpi *acpi, void (*reserve)(paddr_t start, u64 size))
{
	const struct mcfg *m = (const void *)acpi_find(acpi, "MCFG");
	size_t nr = m && m->header.length > sizeof(*m) ? (m->header.length - sizeof(*m)) / sizeof(m->range[0]) : 0;

	for (unsigned i = 0; i < nr_hidden; i++)
		for (size_t n = 0; n < nr; n++)
			if (m->range[n].segment == hidden[i]->segment && hidden[i]->function >> 8 >= m->range[n].first_bus &&
			    hidden[i]->function >> 8 <= m->range[n].last_bus)
				reserve(m->range[n].base + hidden[i]->function * PAGE_SIZE, PAGE_SIZE);
	/* The last function that was read would stay selected, and the data port has no exit. */
	iommu_select_config(CONFIG_NOTHING);
}

bool iommu_hides_functions(void) { return nr_hidden; }

void iommu_select_config(u32 address)
{
	for (unsigned i = 0; i < nr_hidden; i++)
		if (!hidden[i]->segment && FUNCTION(address) == hidden[i]->function)
			address = CONFIG_NOTHING;
	outl(CONFIG_ADDRESS, address);
}

u32 iommu_selected_config(void) { return inl(CONFIG_ADDRESS); }

u32 iommu_read_config(u16 function, u16 at)
{
	outl(CONFIG_ADDRESS, (u32)(CONFIG_ENABLE | (u32)function << 8 | (at & 0xfc)));
	return inl(CONFIG_DATA);
}

void iommu_write_config(u16 function, u16 at, u32 value)
{
	outl(CONFIG_ADDRESS, (u32)(CONFIG_ENABLE | (u32)function << 8 | (at & 0xfc)));
	outl(CONFIG_DATA, value);
}
