/* A 16550 serial port, without its interrupt: the only device that the hypervisor drives for itself. One port at most. */
#ifndef DRIVERS_UART_H
#define DRIVERS_UART_H

#define UART_COM1 0x3f8
#define UART_COM2 0x2f8

/* Takes over the port at I/O address `base`, 8n1 at `baud`. False (and the port stays unused) if no UART is there. */
bool uart_init(u16 base, u32 baud);
/* Sends one byte. Waits a bounded time for room, then drops it: a stuck line must not stop the machine. */
void uart_putc(char c);
/* How many bytes can be given to uart_put() now: as many as the transmitter holds if it is empty, otherwise 0. */
unsigned uart_room(void);
void uart_put(char c);
/* ns that the line takes for a full transmitter. */
u64 uart_drain_ns(void);
/* The next byte received, or -1. */
int uart_getc(void);

#endif
