/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The number of the target's next page fault: a map of one element that the programs of faults,
 * which count in it, and those of mappings share, so that both kinds of records have one order.
 */
#ifndef MEMTOP_FAULT_SEQUENCE_BPF_H
#define MEMTOP_FAULT_SEQUENCE_BPF_H

unsigned long long fault_sequence SEC(".data.sequence");

#endif
