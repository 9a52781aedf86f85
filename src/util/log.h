/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What memtop has to say to its user. While the screen is up nothing may go to stderr: messages
 * are kept and said when it is down (log_hold(false)).
 */
#ifndef MEMTOP_UTIL_LOG_H
#define MEMTOP_UTIL_LOG_H

#include <stdbool.h>

/* One line to stderr, "memtop: " before it, control bytes cleaned. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Keep lines (the last 32) instead of writing them; on release they are written. */
void log_hold(bool hold);

#endif
