/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/target.h"

#include "capture/procfs.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void cleanup_closedir(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* The thread group of a thread; 0 if there is no such thread. */
static pid_t read_tgid(pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	uint64_t tgid = 0;

	if (procfs_read(tid, "status", &text, NULL) || !proctext_number(text, "Tgid", &tgid))
		return 0;
	return (pid_t)tgid;
}

static bool has_ended(const struct procstat *stat)
{
	return stat->state == 'Z' || stat->state == 'X' || stat->state == 'x';
}

int target_check(pid_t pid, char *error, size_t size)
{
	struct procstat stat;
	pid_t tgid;

	if (pid <= 0 || procstat_read(pid, &stat)) {
		snprintf(error, size, "no process with PID %d", pid);
		return -ESRCH;
	}
	if (pid == getpid()) {
		snprintf(error, size, "PID %d is memtop itself: it cannot watch its own memory",
			 pid);
		return -ELOOP;
	}
	if (stat.flags & PROCSTAT_KTHREAD) {
		snprintf(error, size,
			 "PID %d (%s) is a kernel thread: it has no memory of its own to watch",
			 pid, stat.comm);
		return -EINVAL;
	}
	tgid = read_tgid(pid);
	if (tgid && tgid != pid) {
		snprintf(error, size, "%d is a thread of process %d: use -p %d", pid, tgid, tgid);
		return -ESRCH;
	}
	if (has_ended(&stat) || !tgid) {
		snprintf(error, size, "PID %d (%s) has already ended", pid, stat.comm);
		return -ESRCH;
	}
	return 0;
}

static int read_exe(pid_t pid, pid_t thread, char *ret, size_t size)
{
	_cleanup_free_ char *path = procfs_path(pid, thread, "exe");
	ssize_t n = readlink(path, ret, size - 1);

	ret[n > 0 ? n : 0] = '\0';
	return n < 0 ? -errno : 0;
}

int target_state_read(pid_t pid, struct target_state *ret)
{
	struct procstat stat;
	int error = procstat_read(pid, &stat);

	if (error)
		return error;
	memset(ret, 0, sizeof(*ret));
	ret->pid = pid;
	snprintf(ret->comm, sizeof(ret->comm), "%.15s", stat.comm);
	/* May be forbidden where the rest is not: the name is for people only. */
	if (read_exe(pid, pid, ret->exe, sizeof(ret->exe)) && has_ended(&stat))
		read_exe(pid, procfs_live_thread(pid), ret->exe, sizeof(ret->exe));
	ret->status = TARGET_RUNNING;
	ret->exit_code = -1;
	ret->threads = stat.threads;
	return 0;
}

/* Calls `visit` for each process that could be a target; stops at the first error. */
static int for_each_process(int (*visit)(pid_t pid, const struct procstat *stat, void *data),
			    void *data)
{
	_cleanup_(cleanup_closedir) DIR *directory = opendir("/proc");
	struct dirent *entry;

	if (!directory)
		return -errno;
	while ((entry = readdir(directory))) {
		pid_t pid = isdigit(entry->d_name[0]) ? atoi(entry->d_name) : 0;
		struct procstat stat;
		int error;

		/* One that ends meanwhile is one that is not there. */
		if (pid <= 0 || pid == getpid() || procstat_read(pid, &stat) ||
		    (stat.flags & PROCSTAT_KTHREAD) || has_ended(&stat))
			continue;
		error = visit(pid, &stat, data);
		if (error)
			return error;
	}
	return 0;
}

struct pid_list {
	pid_t *data;
	size_t count, capacity;
};

static int compare_pids(const void *a, const void *b)
{
	pid_t left = *(const pid_t *)a, right = *(const pid_t *)b;

	return (left > right) - (left < right);
}

static int give_pids(struct pid_list *found, pid_t *pids, size_t capacity)
{
	int count = (int)found->count;

	if (found->count) {
		qsort(found->data, found->count, sizeof(*found->data), compare_pids);
		memcpy(pids, found->data,
		       sizeof(*pids) * (found->count < capacity ? found->count : capacity));
	}
	return count;
}

struct name_search {
	const char *name;
	struct pid_list by_exe, by_comm;
};

static int visit_name(pid_t pid, const struct procstat *stat, void *data)
{
	static const char suffix[] = " (deleted)";
	struct name_search *search = data;
	char exe[4096], *base, *cut;

	if (!read_exe(pid, pid, exe, sizeof(exe))) {
		cut = strstr(exe, suffix);
		if (cut && !cut[sizeof(suffix) - 1])
			*cut = '\0';
		base = strrchr(exe, '/');
		if (!strcmp(base ? base + 1 : exe, search->name))
			*vec_push(&search->by_exe) = pid;
	}
	/* The kernel keeps 15 bytes of a name. */
	if (!strncmp(stat->comm, search->name, 15))
		*vec_push(&search->by_comm) = pid;
	return 0;
}

int target_find_by_name(const char *name, pid_t *pids, size_t capacity)
{
	struct name_search search = {.name = name};
	int error = for_each_process(visit_name, &search);

	if (!error)
		error = give_pids(search.by_exe.count ? &search.by_exe : &search.by_comm, pids,
				  capacity);
	vec_deinit(&search.by_exe);
	vec_deinit(&search.by_comm);
	return error;
}

struct match_search {
	regex_t regex;
	struct pid_list found;
};

static int visit_match(pid_t pid, const struct procstat *stat, void *data)
{
	struct match_search *search = data;
	_cleanup_free_ char *line = NULL;
	size_t size;

	(void)stat;
	if (procfs_read(pid, "cmdline", &line, &size))
		return 0;
	while (size && !line[size - 1])
		size--;
	for (size_t i = 0; i < size; i++)
		if (!line[i])
			line[i] = ' ';
	if (size && !regexec(&search->regex, line, 0, NULL, 0))
		*vec_push(&search->found) = pid;
	return 0;
}

int target_find_by_match(const char *regex, pid_t *pids, size_t capacity, char *error, size_t size)
{
	struct match_search search = {0};
	int status = regcomp(&search.regex, regex, REG_EXTENDED | REG_NOSUB);

	if (status) {
		int length = snprintf(error, size, "bad regular expression '%s': ", regex);

		if (length >= 0 && (size_t)length < size)
			regerror(status, &search.regex, error + length, size - (size_t)length);
		return -EINVAL;
	}
	status = for_each_process(visit_match, &search);
	if (!status)
		status = give_pids(&search.found, pids, capacity);
	else
		snprintf(error, size, "cannot list processes: %s", strerror(-status));
	vec_deinit(&search.found);
	regfree(&search.regex);
	return status;
}

int target_identity_read(pid_t pid, struct target_identity *ret)
{
	struct procstat process;
	struct stat exe;
	char path[32];
	int error = procstat_read(pid, &process);

	if (error)
		return error;
	if (has_ended(&process))
		return -ESRCH;
	/* On its way out a process has no memory any more, and still runs for a while; within an
	 * exec it has memory, of which these come last. Without the right to see them they are
	 * 1 and 0. */
	if (!process.start_code || (process.start_code != 1 && !process.start_stack))
		return process.flags & PROCSTAT_EXITING ? -ESRCH : -EAGAIN;
	memset(ret, 0, sizeof(*ret));
	ret->start_time = process.start_time;
	ret->start_code = process.start_code;
	ret->start_stack = process.start_stack;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (!stat(path, &exe)) {
		ret->exe_device = exe.st_dev;
		ret->exe_inode = exe.st_ino;
	}
	return 0;
}

enum target_change target_identity_compare(const struct target_identity *before,
					   const struct target_identity *now)
{
	if (before->start_time != now->start_time)
		return TARGET_REPLACED;
	/* One that cannot be told is no other: its memory went right after its numbers were read.
	 */
	if ((now->exe_inode &&
	     (before->exe_device != now->exe_device || before->exe_inode != now->exe_inode)) ||
	    before->start_code != now->start_code || before->start_stack != now->start_stack)
		return TARGET_EXECED;
	return TARGET_SAME;
}
