/*
 * The ACPI tables that Bothy reads or writes, as the firmware lays them out. Numbers are sections
 * of the ACPI specification 6.4.
 */
#ifndef DRIVERS_ACPI_TABLES_H
#define DRIVERS_ACPI_TABLES_H

/* 5.2.5.3 */
struct acpi_rsdp {
	char signature[8];      /* "RSD PTR " */
	u8 checksum;            /* over the first 20 bytes */
	char oem_id[6];
	u8 revision;            /* 0: ACPI 1.0, nothing below `rsdt` is there */
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;   /* over all */
	u8 reserved[3];
} __packed;

/* 5.2.6 */
struct acpi_header {
	char signature[4];
	u32 length;             /* bytes, this header included */
	u8 revision;
	u8 checksum;            /* makes all bytes add up to 0 */
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	u32 creator_id;
	u32 creator_revision;
} __packed;

/* 5.2.3.2 */
struct acpi_gas {
	u8 space, width, offset, access;
	u64 address;
} __packed;
enum { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1 };

/* 5.2.9; up to the fields that are used */
struct acpi_fadt {
	struct acpi_header header;
	u32 facs;
	u32 dsdt;
	u8 reserved, profile;
	u16 sci_irq;
	u32 smi_cmd;            /* port */
	u8 acpi_enable, acpi_disable, s4bios, pstate;
	u32 pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
	u8 pm1_event_len, pm1_control_len, pm2_control_len, pm_timer_len, gpe0_len, gpe1_len, gpe1_base, cst;
	u16 c2_latency, c3_latency, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 boot_flags;
	u8 reserved2;
	u32 flags;
	/* From here on since ACPI 2.0. */
	struct acpi_gas reset;
	u8 reset_value;
	u16 arm_flags;
	u8 minor;
	u64 x_facs, x_dsdt;
	struct acpi_gas x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control, x_pm_timer;
} __packed;
#define ACPI_FADT_V1_SIZE    116
#define ACPI_FADT_RESET      BIT(10)    /* flags: the reset register exists */
_Static_assert(offsetof(struct acpi_fadt, reset) == ACPI_FADT_V1_SIZE, "ACPI 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140 && offsetof(struct acpi_fadt, x_pm1a_control) == 172, "ACPI 5.2.9");

/* 5.2.12 */
struct acpi_madt {
	struct acpi_header header;
	u32 lapic_address;
	u32 flags;
} __packed;

enum {
	ACPI_MADT_LAPIC = 0, ACPI_MADT_IOAPIC = 1, ACPI_MADT_OVERRIDE = 2, ACPI_MADT_NMI_SOURCE = 3,
	ACPI_MADT_X2APIC = 9,
};

struct acpi_madt_entry {
	u8 type, length;
} __packed;

struct acpi_madt_lapic {            /* type 0 */
	struct acpi_madt_entry entry;
	u8 uid, apic_id;
	u32 flags;
} __packed;
#define ACPI_MADT_ENABLED 1         /* flags of types 0 and 9 */

#define ACPI_LEVEL_LOW 0xf          /* level-triggered, active low, as PCI's are */

struct acpi_madt_override {         /* type 2 */
	struct acpi_madt_entry entry;
	u8 bus, irq;
	u32 gsi;
	u16 flags;
} __packed;

struct acpi_madt_x2apic {           /* type 9 */
	struct acpi_madt_entry entry;
	u16 reserved;
	u32 apic_id, flags, uid;
} __packed;

_Static_assert(sizeof(struct acpi_rsdp) == 36 && sizeof(struct acpi_header) == 36 && sizeof(struct acpi_gas) == 12, "ACPI 5.2");
_Static_assert(sizeof(struct acpi_madt) == 44 && sizeof(struct acpi_madt_x2apic) == 16, "ACPI 5.2.12");

#endif
