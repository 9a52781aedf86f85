/* SPDX-License-Identifier: GPL-2.0-only */
/* What every unit test includes: cmocka wants these headers before its own. */
#ifndef MEMTOP_TESTS_UNIT_H
#define MEMTOP_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
