/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Starting a command so that it is watched from the beginning: it is held at the point where its
 * loader has mapped the libraries and none of their constructors has run (a static program: at its
 * first instruction), and let go once the probes stand.
 */
#ifndef MEMTOP_CAPTURE_LAUNCH_H
#define MEMTOP_CAPTURE_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * -ENOENT, -EACCES and other reasons why the command cannot be executed, with a line for the user
 * in `error`. A command that ended before the point was reached is -ECHILD; it is not waited for.
 */
int launch_held(char *const argv[], pid_t *ret, char *error, size_t size);

/* Whether the child, which ended and was not waited for yet, has had children that it waited for.
 */
bool launch_had_children(pid_t pid);

/*
 * The same for the program that the child executes, at which a SIGSTOP stopped it: holds it where
 * launch_held() would, and takes the stop away. 0; -errno, then it runs on: -EALREADY if it has run
 * already.
 */
int launch_hold_again(pid_t pid);

/* Lets the command run; memtop has no hold on it any more. Same thread as it was held by. */
int launch_go(pid_t pid);

#endif
