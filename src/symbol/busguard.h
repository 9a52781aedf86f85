/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ELF files are read through mappings. A file that is cut shorter meanwhile (a build that writes in
 * place) makes the next access a SIGBUS, which would end memtop for a fault of someone else. In a
 * guarded thread such a page reads as zeros instead, and the fault is counted: what was read since
 * is not to be believed.
 */
#ifndef MEMTOP_SYMBOL_BUSGUARD_H
#define MEMTOP_SYMBOL_BUSGUARD_H

/* Guards the calling thread; again whenever another handler may have been put in place. Faults of
 * other threads go to the handler that was there. */
void busguard_arm(void);
/* Faults of the calling thread so far. */
unsigned busguard_faults(void);

#endif
