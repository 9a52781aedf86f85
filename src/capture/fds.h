/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The open file descriptors of a process by kind, and the memory behind those that are buffers.
 *
 * A kind is told by what /proc/PID/fd/N links to, which is text: no file is opened or asked for its
 * attributes, which could wait for a server. Two are asked for more: a memfd for its pages, and a
 * dma-buf for what /proc/PID/fdinfo/N tells. A buffer that several descriptors share counts once.
 *
 * A look is taken in pieces: fds_step() works for so long and goes on where it was the next time.
 */
#ifndef MEMTOP_CAPTURE_FDS_H
#define MEMTOP_CAPTURE_FDS_H

#include "capture/lives.h"

struct fds;

struct fds *fds_open(pid_t pid);
void fds_close(struct fds *fds);
/* Another program runs: what was seen is forgotten. */
void fds_restart(struct fds *fds);

/*
 * Begins a look, or goes on with it, until `until_ns`. 1: it ended; 0: there is more; -errno: the
 * process is gone, or may not be looked at. Sockets' inode numbers are in fds_sockets() then.
 */
int fds_step(struct fds *fds, uint64_t until_ns);

const struct lives *fds_lives(const struct fds *fds);
/* Inodes of the sockets that the last whole look saw, each a key with value 1. */
const struct map *fds_sockets(const struct fds *fds);
/* Names of the exporters, in the order of their holdings; NULL past the end. */
const char *fds_exporter(const struct fds *fds, unsigned index);

/* The kind of descriptor that a link of /proc/PID/fd stands for: HOLDING_FILES and so on. */
enum holding fds_kind_of(const char *link);
/* The number in "socket:[123]"; 0 if there is none. */
uint64_t fds_inode_of(const char *link);

/* What fdinfo tells of a dma-buf. */
struct fds_buffer {
	uint64_t size, inode;
	char exporter[32];
};

/* False where the text is of no dma-buf. Bytes that are not printable become '?'. */
bool fds_parse_buffer(const char *fdinfo, struct fds_buffer *ret);

#endif
