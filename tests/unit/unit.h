/* SPDX-License-Identifier: GPL-2.0-only */
/* What every unit test includes: cmocka wants these headers before its own. */
#ifndef MEMTOP_TESTS_UNIT_H
#define MEMTOP_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

/* A cgroup whose last process has just been reaped may still count as busy. */
static inline int remove_cgroup(const char *directory)
{
	int error;

	for (int i = 0; (error = rmdir(directory) ? errno : 0) == EBUSY && i < 120000; i++)
		usleep(1000);
	return error;
}

#endif
