/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Standard output of batch mode: waits for its reader, but not when memtop is asked to end.
 */
#ifndef MEMTOP_OUTPUT_H
#define MEMTOP_OUTPUT_H

#include <stdio.h>

/*
 * A stream that writes to `fd`, which it does not own. The signals that end memtop must be blocked:
 * when one of them is pending while the reader takes nothing, a write fails with ECANCELED.
 */
FILE *output_open(int fd);

#endif
