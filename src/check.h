/* SPDX-License-Identifier: GPL-2.0-only */
/* --check: what this machine allows, what each level needs and costs. Changes nothing. */
#ifndef MEMTOP_CHECK_H
#define MEMTOP_CHECK_H

#include <stdio.h>

void check_machine(FILE *out);

#endif
