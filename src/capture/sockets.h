/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How much memory sockets take, as the kernel tells for all of a network namespace (sock_diag(7)).
 * memtop asks in its own namespace: a target in another one cannot be answered.
 *
 * What counts is what is queued to be read and to be sent, options, and what is reserved for more
 * of it, of TCP, UDP and Unix sockets. Of others the kernel does not tell.
 */
#ifndef MEMTOP_CAPTURE_SOCKETS_H
#define MEMTOP_CAPTURE_SOCKETS_H

#include "util/map.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct sockets;

struct sockets *sockets_open(void);
void sockets_close(struct sockets *sockets);

/* Whether the target is in memtop's network namespace. */
bool sockets_same_namespace(pid_t pid);

/*
 * Begins to ask, or goes on with it, until `until_ns`; `wanted` holds inode numbers and may change
 * between two steps. 1: all answered, and `ret` is the sum; 0: there is more; -errno.
 */
int sockets_step(struct sockets *sockets, const struct map *wanted, uint64_t until_ns,
		 uint64_t *ret);

/*
 * The sum of one piece of an answer, whatever it holds. 1: it was the last; 0: there is more;
 * -errno as the kernel answered, -EBADMSG if that is no answer.
 */
int sockets_parse(const void *piece, size_t size, const struct map *wanted, uint64_t *sum);

#endif
