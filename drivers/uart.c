/* A 16550 serial port. Registers and bits have the names of the PC16550D data sheet. */
#include "drivers/uart.h"
#include <asm/cpu.h>
#include <asm/insn.h>

enum { RBR = 0, THR = 0, DLL = 0, DLM = 1, IER = 1, FCR = 2, IIR = 2, LCR = 3, MCR = 4, LSR = 5, SCR = 7 };

#define LCR_8N1     0x03
#define LCR_DLAB    0x80
#define FCR_ENABLE_AND_CLEAR 0x07
#define IIR_FIFO    0xc0    /* both bits set: the FIFOs exist and work */
#define FIFO_BYTES  16u
#define MCR_DTR_RTS 0x03
#define LSR_DR      0x01    /* a received byte waits */
#define LSR_THRE    0x20    /* room in the transmitter */
#define LSR_ABSENT  0xff    /* no device decodes the port */

#define BAUD_CLOCK  115200u
/* A byte at 9600 baud takes a millisecond; a read of LSR takes about a microsecond. */
#define THRE_POLLS  20000

static u16 port;        /* [I] after init; 0: none */
static unsigned room;   /* [I] after init: bytes that the transmitter holds */
static u64 byte_ns;     /* [I] after init: ns for a byte with its start and stop bits */
/* the transmitter once didn't empty in time: don't wait again until it does */
static bool stuck;

/* The scratch register keeps a written value. LCR selects RBR and IER at offsets 0 and 1 first. */
static bool uart_present(u16 base)
{
	outb(base + LCR, LCR_8N1);
	outb(base + SCR, 0x5a);
	if (inb(base + SCR) != 0x5a)
		return false;
	outb(base + SCR, 0xa5);
	return inb(base + SCR) == 0xa5;
}

bool uart_init(u16 base, u32 baud)
{
	u32 divisor = baud && baud <= BAUD_CLOCK ? BAUD_CLOCK / baud : 1;

	if (!uart_present(base))
		return false;
	outb(base + IER, 0);
	outb(base + LCR, LCR_8N1 | LCR_DLAB);
	outb(base + DLL, (u8)divisor);
	outb(base + DLM, (u8)(divisor >> 8));
	outb(base + LCR, LCR_8N1);
	outb(base + FCR, FCR_ENABLE_AND_CLEAR);
	outb(base + MCR, MCR_DTR_RTS);
	room = (inb(base + IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_BYTES : 1;
	byte_ns = 10 * 1000000000ull / (BAUD_CLOCK / divisor);
	port = base;
	stuck = false;
	return true;
}

unsigned uart_room(void) { return port && inb(port + LSR) & LSR_THRE ? room : 0; }
void uart_put(char c) { outb(port + THR, (u8)c); }
u64 uart_drain_ns(void) { return room * byte_ns; }

void uart_putc(char c)
{
	unsigned polls = stuck ? 1 : THRE_POLLS;

	if (!port)
		return;
	while (!uart_room()) {
		if (!--polls) {
			stuck = true;
			return;
		}
		cpu_relax();
	}
	stuck = false;
	uart_put(c);
}

int uart_getc(void)
{
	u8 status;

	if (!port)
		return -1;
	status = inb(port + LSR);
	return status != LSR_ABSENT && (status & LSR_DR) ? inb(port + RBR) : -1;
}
