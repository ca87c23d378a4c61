/* Physical device interrupts and the service domain. */
#ifndef VMM_DOM0_IRQ_H
#define VMM_DOM0_IRQ_H

/* From now on device interrupts reach dom0. */
void irq_init(void);

#endif
