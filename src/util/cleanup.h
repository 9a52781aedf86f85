/* SPDX-License-Identifier: GPL-2.0-only */
/* Scope guards for locals: `_cleanup_(name_p) type *x = NULL;`. */
#ifndef MEMTOP_UTIL_CLEANUP_H
#define MEMTOP_UTIL_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _cleanup_free_	    _cleanup_(cleanup_free)
#define _cleanup_fclose_    _cleanup_(cleanup_fclose)
#define _cleanup_close_	    _cleanup_(cleanup_close) /* the int starts as -1 */

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#endif
