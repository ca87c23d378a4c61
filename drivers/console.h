/*
 * The hypervisor's console: where printk goes (a serial port and a ring that `xl dmesg` reads), what dom0 writes there, and
 * what is typed there for dom0. printk itself is declared in lib/base.h.
 */
#ifndef DRIVERS_CONSOLE_H
#define DRIVERS_CONSOLE_H

#include "lib/base.h"

/*
 * Opens the port that `spec` (the console= option, NULL: com1) names: com1[,baud], com2[,baud] or none. -EINVAL if it is not
 * understood and -ENODEV if there is no such UART; the ring works in any case, also before this is called.
 */
int console_init(const char *spec);
/* Lines above this level (0 errors .. 3 debug, default 2) are dropped. */
void console_set_level(unsigned level);
/* From now on the console's lock is not taken: the machine is going down, and whoever holds it may never let go. */
void console_emergency(void);

/* A guest's bytes as they are: to the serial port, not to the ring. */
void console_write_guest(u16 domid, const char *buf, size_t len);

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
