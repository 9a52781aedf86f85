/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What level heap would probe in a process, and what that costs there, without doing it.
 */
#ifndef MEMTOP_CAPTURE_SITE_REPORT_H
#define MEMTOP_CAPTURE_SITE_REPORT_H

#include "capture/allocators.h"

#include <stdio.h>

/*
 * A line for each function: where its probe stands and what a call of it costs, by measurements on
 * memtop itself. What cannot be found or measured is said in its place.
 */
void site_report(FILE *out, pid_t pid, const struct allocators_options *options);

#endif
