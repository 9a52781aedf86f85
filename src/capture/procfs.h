/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Small readers of /proc. Texts of /proc have no size to ask for and are read until they end.
 */
#ifndef MEMTOP_CAPTURE_PROCFS_H
#define MEMTOP_CAPTURE_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The whole content of a file as one text, NUL-terminated (it may hold NULs of its own: `size`
 * counts without the last one). The caller frees *ret. -errno as open() and read() give it; a
 * process that ended while it was read is -ESRCH.
 */
int procfs_read_path(const char *path, char **ret, size_t *size);
/* The same for /proc/PID/NAME. A missing process is -ESRCH rather than -ENOENT. */
int procfs_read(pid_t pid, const char *name, char **ret, size_t *size);

/*
 * The process itself while its first thread runs. Where that one has ended (pthread_exit) and
 * others run, /proc/PID tells neither of memory nor of descriptors any more: one of the others,
 * whose files do. 0: all have ended.
 */
pid_t procfs_live_thread(pid_t pid);
/* /proc/PID/NAME, or /proc/PID/task/THREAD/NAME where that is another one; the caller frees it. */
char *procfs_path(pid_t pid, pid_t thread, const char *name);

/* What one line of /proc/PID/stat tells. Addresses are 0 or 1 for who may not trace the process. */
struct procstat {
	pid_t pid;
	char comm[64]; /* kernel threads have long ones */
	char state;    /* R S D T t Z X ... */
	pid_t parent;
	unsigned flags;
	unsigned threads;
	uint64_t reaped_faults; /* minor page faults of children that were waited for */
	uint64_t start_time;	/* clock ticks after boot */
	uint64_t start_code;
	uint64_t start_stack;
	uint64_t stack_pointer; /* 0 where the kernel does not tell */
};

#define PROCSTAT_EXITING 0x00000004u /* PF_EXITING in flags */
#define PROCSTAT_KTHREAD 0x00200000u /* PF_KTHREAD in flags */

/* -EINVAL if the text is not such a line. A ')' or a newline in comm does not mislead it. */
int procstat_parse(const char *text, struct procstat *ret);
int procstat_read(pid_t pid, struct procstat *ret);

/*
 * The number after `key` in a text of lines "key: 123 kB" or "key 123"; the key is the whole first
 * word without its colon. "kB" multiplies by 1024. False if there is no such line.
 */
bool proctext_number(const char *text, const char *key, uint64_t *ret);

/* BPF programs know processes by their numbers in the first PID namespace. */
bool procfs_in_first_pid_namespace(void);

#endif
