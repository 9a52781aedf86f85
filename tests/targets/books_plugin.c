/* SPDX-License-Identifier: GPL-2.0-only */
/* A library that allocates; built twice, with functions of two names, to be loaded at one place. */
#include "ledger.h"

void *PLUGIN_TAKES(const char *name);

/* @name outlives the library: the ledger keeps it. */
SITE void *PLUGIN_TAKES(const char *name)
{
	void *address, *block = ledger_call_malloc(PLUGIN_SIZE, &address);

	ledger_allocated(block, PLUGIN_SIZE, LEDGER_MALLOC, address, name);
	return block;
}
