/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdlib.h>

void leak_in_library(void);

void leak_in_library(void)
{
	void *volatile block = malloc(123);

	(void)block;
}
