/* A 16550 serial port, polled: the only device that the hypervisor drives for itself. One port at most. */
#ifndef DRIVERS_UART_H
#define DRIVERS_UART_H

#include "lib/base.h"

#define UART_COM1 0x3f8
#define UART_COM2 0x2f8

/* Takes over the port at I/O address `base`, 8n1 at `baud`. False (and the port stays unused) if no UART is there. */
bool uart_init(u16 base, u32 baud);
/* I/O address in use, 0 if none: for hiding it from dom0. */
u16 uart_base(void);
/* Sends one byte. Waits a bounded time for room, then drops it: a stuck line must not stop the machine. */
void uart_putc(char c);
/* The next byte received, or -1. */
int uart_getc(void);

#endif
