/* SPDX-License-Identifier: GPL-2.0-only */
/* A whole file of the user's that a run depends on, read or refused. */
#ifndef MEMTOP_EXPORT_FILE_H
#define MEMTOP_EXPORT_FILE_H

#include <stddef.h>

/*
 * 0, or -errno with one line for the user in `error`; a file of more than `most` bytes is too
 * large. A NUL byte stands behind the text, which the caller frees.
 */
int file_read(const char *path, size_t most, char **ret, size_t *ret_length, char *error,
	      size_t size);

#endif
