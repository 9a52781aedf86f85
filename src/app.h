/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The event loop: watches one source until it ends or the user does, and introduces the rooms to
 * each other. What it is given it borrows.
 */
#ifndef MEMTOP_APP_H
#define MEMTOP_APP_H

#include "command.h"
#include "core/resolver.h"
#include "core/source.h"
#include "follow.h"
#include "options.h"

#include <signal.h>
#include <stdio.h>

struct app_config {
	const struct options *options;
	struct source *source;
	struct resolver *resolver;
	int signal_fd;
	FILE *out;		 /* batch output */
	pid_t launched;		 /* our child, waited for; 0 if none */
	struct command *command; /* of it; NULL if none */
	struct follow *follow;	 /* what `source` is, if the target is followed; else NULL */
};

/* Returns memtop's exit code; `launched`'s status where there is one. */
int app_run(const struct app_config *config);

#endif
