/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What libbpf has to say. None of it goes to stderr: the last warning is kept, for the line that
 * tells the user why something could not be done.
 */
#ifndef MEMTOP_CAPTURE_BPF_LOG_H
#define MEMTOP_CAPTURE_BPF_LOG_H

#include <stddef.h>

/* From now on libbpf is quiet. May be called again. */
void bpf_log_init(void);

/* Forgets the warning kept; call it before what may fail. */
void bpf_log_clear(void);

/* The last warning in one line, without "libbpf: ", into `ret`; "" if there was none. */
char *bpf_log_last(char *ret, size_t size);

#endif
