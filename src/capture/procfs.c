/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/procfs.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int procfs_read_path(const char *path, char **ret, size_t *size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t capacity = 4096, used = 0;
	char *text;

	if (fd < 0)
		return -errno;
	text = xmalloc(capacity);
	for (;;) {
		ssize_t n = read(fd, text + used, capacity - used - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int error = -errno;

			free(text);
			return error;
		}
		if (!n)
			break;
		used += (size_t)n;
		if (used + 1 == capacity) {
			capacity *= 2;
			text = xreallocarray(text, capacity, 1);
		}
	}
	text[used] = '\0';
	*ret = text;
	if (size)
		*size = used;
	return 0;
}

int procfs_read(pid_t pid, const char *name, char **ret, size_t *size)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", pid, name);
	char directory[32];
	int error = procfs_read_path(path, ret, size);

	if (error != -ENOENT)
		return error;
	snprintf(directory, sizeof(directory), "/proc/%d", pid);
	return access(directory, F_OK) ? -ESRCH : error;
}

/* Numbers of /proc/PID/stat after the state, by their field number in proc(5). */
enum {
	FIELD_FIRST = 4,
	FIELD_PARENT = 4,
	FIELD_FLAGS = 9,
	FIELD_REAPED_FAULTS = 11,
	FIELD_THREADS = 20,
	FIELD_START_TIME = 22,
	FIELD_START_CODE = 26,
	FIELD_START_STACK = 28,
	FIELD_STACK_POINTER = 29,
};

int procstat_parse(const char *text, struct procstat *ret)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	uint64_t fields[FIELD_STACK_POINTER + 1] = {0};
	size_t length;
	char *at;

	memset(ret, 0, sizeof(*ret));
	if (!open || !close || close < open || close[1] != ' ' || !close[2])
		return -EINVAL;
	length = (size_t)(close - open - 1);
	if (length >= sizeof(ret->comm))
		length = sizeof(ret->comm) - 1;
	memcpy(ret->comm, open + 1, length);
	ret->pid = (pid_t)strtol(text, NULL, 10);
	ret->state = close[2];
	at = (char *)close + 3;
	for (int i = FIELD_FIRST; i <= FIELD_STACK_POINTER; i++) {
		char *end;

		fields[i] = strtoull(at, &end, 10);
		if (end == at)
			return -EINVAL;
		at = end;
	}
	ret->parent = (pid_t)fields[FIELD_PARENT];
	ret->flags = (unsigned)fields[FIELD_FLAGS];
	ret->reaped_faults = fields[FIELD_REAPED_FAULTS];
	ret->threads = (unsigned)fields[FIELD_THREADS];
	ret->start_time = fields[FIELD_START_TIME];
	ret->start_code = fields[FIELD_START_CODE];
	ret->start_stack = fields[FIELD_START_STACK];
	ret->stack_pointer = fields[FIELD_STACK_POINTER];
	return 0;
}

int procstat_read(pid_t pid, struct procstat *ret)
{
	_cleanup_free_ char *text = NULL;
	int error = procfs_read(pid, "stat", &text, NULL);

	return error ? error : procstat_parse(text, ret);
}

bool proctext_number(const char *text, const char *key, uint64_t *ret)
{
	size_t length = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		char *end;

		if (*line == '\n')
			line++;
		if (strncmp(line, key, length) || (line[length] != ':' && !isblank(line[length])))
			continue;
		line += length + 1;
		while (isblank(*line))
			line++;
		if (!isdigit(*line))
			return false;
		*ret = strtoull(line, &end, 10);
		if (!strncmp(end, " kB", 3))
			*ret *= 1024;
		return true;
	}
	return false;
}

char *procfs_path(pid_t pid, pid_t thread, const char *name)
{
	if (thread == pid)
		return xasprintf("/proc/%d/%s", pid, name);
	return xasprintf("/proc/%d/task/%d/%s", pid, thread, name);
}

static bool has_ended(pid_t pid, pid_t thread)
{
	_cleanup_free_ char *path = procfs_path(pid, thread, "stat");
	_cleanup_free_ char *text = NULL;
	struct procstat stat;

	/* On its way out it gives back its descriptors and its memory before it is a zombie. */
	return procfs_read_path(path, &text, NULL) || procstat_parse(text, &stat) ||
	       stat.flags & PROCSTAT_EXITING || strchr("ZXx", stat.state);
}

pid_t procfs_live_thread(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/task", pid);
	struct dirent *entry;
	pid_t found = 0;
	DIR *directory;

	if (!has_ended(pid, pid))
		return pid;
	directory = opendir(path);
	while (directory && !found && (entry = readdir(directory))) {
		pid_t thread = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;

		if (thread > 0 && thread != pid && !has_ended(pid, thread))
			found = thread;
	}
	if (directory)
		closedir(directory);
	return found;
}

bool procfs_in_first_pid_namespace(void)
{
	char link[64];
	ssize_t length = readlink("/proc/self/ns/pid", link, sizeof(link) - 1);

	if (length < 0)
		return true;
	link[length] = '\0';
	return !strcmp(link, "pid:[4026531836]"); /* PROC_PID_INIT_INO: ABI */
}
