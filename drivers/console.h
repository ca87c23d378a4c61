/*
 * The hypervisor's console. printk writes to a serial port and to a ring that `xl dmesg` reads;
 * lib/base.h declares it. The service domain writes to the port too, and reads what the user types
 * there.
 */
#ifndef DRIVERS_CONSOLE_H
#define DRIVERS_CONSOLE_H

/*
 * Opens the UART at this I/O address and sends the log so far. Returns false if there is none. The
 * log works in any case, also before this call.
 */
bool console_init(u16 port, u32 baud);
/* Drops lines above this level from now on (0 errors .. 3 debug; the default is 2). */
void console_set_level(unsigned level);
/*
 * From now on output waits until console_send() takes it to the port. Before this call, and after
 * the two calls below, output leaves at once and the caller waits for the port: milliseconds for a
 * line.
 */
void console_queue(void);
/*
 * Sends as much as the port has room for, a bounded number of bytes. Returns the ns until there is
 * room again, or 0 if no output waits.
 */
u64 console_send(void);
/*
 * Returns true if little output waits. Callers that can wait ask this before they write, and so
 * leave the rest of the room to those that can't. If all room is used up, bytes are left out on the
 * port, not in the log. The next line then says how many.
 */
bool console_ready(void);
/* Sends all output that waits. Context: the machine is about to end. */
void console_flush(void);
/*
 * As console_flush, in a panic. From now on no function takes the console's lock, because its
 * holder may never release it.
 */
void console_emergency(void);

/* Sends the service domain's bytes unchanged to the serial port, not to the log. */
void console_write_guest(const char *buf, size_t len);

/*
 * Moves received bytes to the input ring. Returns true if there were any; the service domain then
 * gets VIRQ_CONSOLE.
 */
bool console_poll(void);
/* Takes up to len bytes of input. Returns their number. */
size_t console_read(char *buf, size_t len);

/*
 * The log is a stream of bytes, numbered from 0 modulo 2^32, of which the ring holds the last ones.
 * Copies bytes from *pos on, or from the oldest byte if *pos is gone. Returns their number and
 * moves *pos behind them.
 */
size_t console_log_read(u32 *pos, char *buf, size_t len);
/* Returns the start of the log: its oldest byte, or the place of the last console_log_clear. */
u32 console_log_start(void);
/* Forgets all bytes before `pos`: no reader gets them any more. */
void console_log_clear(u32 pos);

#endif
