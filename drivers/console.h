/*
 * The hypervisor's console: where printk goes (a serial port and a ring that `xl dmesg` reads), what dom0 writes there, and
 * what is typed there for dom0. printk itself is declared in lib/base.h.
 */
#ifndef DRIVERS_CONSOLE_H
#define DRIVERS_CONSOLE_H

/* Opens the UART at this I/O address: false if there is none. The log works in any case, also before this is called. */
bool console_init(u16 port, u32 baud);
/* Lines above this level (0 errors .. 3 debug, default 2) are dropped. */
void console_set_level(unsigned level);
/*
 * From now on what is to be sent waits until console_send() takes it to the port. Before this, and after the two calls below, it leaves at
 * once, and the caller waits for the port: milliseconds for a line.
 */
void console_queue(void);
/* Sends what the port has room for, a bounded number of bytes. Returns ns until there is room for more; 0: nothing waits. */
u64 console_send(void);
/*
 * True if little waits to be sent. Whoever can wait asks before it writes: the rest of the room is for those that can't. If even that is
 * used up, bytes are left out on the port (not in the log), and the next line says how many.
 */
bool console_ready(void);
/* Sends all that waits: the machine is about to end. */
void console_flush(void);
/* The same, in a panic: from now on the console's lock is not taken, for whoever holds it may never let go. */
void console_emergency(void);

/* The service domain's bytes as they are: to the serial port, not to the log. */
void console_write_guest(const char *buf, size_t len);

/* Moves what has been received to the input ring; true if there was anything (then dom0 gets VIRQ_CONSOLE). */
bool console_poll(void);
/* Takes up to len bytes of input; how many. */
size_t console_read(char *buf, size_t len);

/*
 * The log as a stream of bytes numbered from 0 (modulo 2^32), of which the ring holds the last ones. Copies bytes from *pos on,
 * or from the oldest still there; returns how many and moves *pos behind them.
 */
size_t console_log_read(u32 *pos, char *buf, size_t len);
/* Where the log starts: its oldest byte, or the last console_log_clear. */
u32 console_log_start(void);
/* Forgets what is before `pos`: no reader gets it any more. */
void console_log_clear(u32 pos);

#endif
