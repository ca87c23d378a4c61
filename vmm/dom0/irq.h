/* Physical device interrupts and the service domain. */
#ifndef VMM_DOM0_IRQ_H
#define VMM_DOM0_IRQ_H

/* From now on device interrupts reach the service domain. Context: the boot CPU, once. */
void irq_init(void);

#endif
