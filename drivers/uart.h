/*
 * A 16550 serial port without its interrupt, one at most. It is the only device that the hypervisor
 * drives for itself.
 */
#ifndef DRIVERS_UART_H
#define DRIVERS_UART_H

#define UART_COM1 0x3f8
#define UART_COM2 0x2f8

/*
 * Takes over the port at I/O address `base`, 8n1 at `baud`. Returns false if no UART is there; the
 * port then stays unused.
 */
bool uart_init(u16 base, u32 baud);
/*
 * Sends one byte. Waits a bounded time for room and then drops the byte: a stuck line must not stop
 * the machine.
 */
void uart_putc(char c);
/*
 * Returns how many bytes uart_put() can take now: a full transmitter if it is empty, otherwise 0.
 */
unsigned uart_room(void);
/* Sends one byte without waiting. uart_room() has said that there is room. */
void uart_put(char c);
/* Returns the ns that the line takes to send a full transmitter. */
u64 uart_drain_ns(void);
/* Returns the next received byte, or -1. */
int uart_getc(void);

#endif
