/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/forks.h"

#include "capture/procfs.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers to ask for in a look: about what reading the children of so many threads costs. */
#define MAX_ASKED 2000
#define FNV_BASIS 1469598103934665603u
#define FNV_PRIME 1099511628211u

/* 0 where it is not told. */
static pid_t newest_process(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/loadavg", "re");
	int newest = 0;

	if (!file || fscanf(file, "%*s %*s %*s %*s %d", &newest) != 1)
		return 0;
	return newest;
}

static uint64_t reaped_faults(pid_t pid)
{
	struct procstat stat = {0};

	procstat_read(pid, &stat);
	return stat.reaped_faults;
}

static bool is_seen(const struct forks *forks, size_t count, pid_t child)
{
	for (size_t i = 0; i < count; i++)
		if (forks->seen.data[i] == child)
			return true;
	return false;
}

/* True if one of the processes numbered (from, to] is a child that was not seen yet. */
static bool ask(struct forks *forks, pid_t from, pid_t to)
{
	size_t known = forks->seen.count;
	bool new = false;

	for (pid_t pid = from + 1; pid <= to; pid++) {
		struct procstat stat;

		if (procstat_read(pid, &stat) || stat.parent != forks->pid)
			continue;
		new = new || !is_seen(forks, known, pid);
		*vec_push(&forks->seen) = pid;
	}
	/* Those of looks before are too old to be asked again. */
	memmove(forks->seen.data, forks->seen.data + known,
		(forks->seen.count - known) * sizeof(*forks->seen.data));
	forks->seen.count -= known;
	return new;
}

/* Adds what a file holds to a hash (FNV-1a). */
static uint64_t hash_file(const char *path, uint64_t hash)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	int byte;

	while (file && (byte = getc(file)) != EOF)
		hash = (hash ^ byte) * FNV_PRIME;
	return hash;
}

/* True if the lists of children are not what they were when they were last read. */
static bool read_children(struct forks *forks)
{
	uint64_t hash = FNV_BASIS;
	struct dirent *entry;
	char path[300];
	DIR *tasks;
	bool changed;

	snprintf(path, sizeof(path), "/proc/%d/task", forks->pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", forks->pid,
			 entry->d_name);
		hash = hash_file(path, hash);
	}
	if (tasks)
		closedir(tasks);
	changed = hash != forks->children;
	forks->children = hash;
	return changed;
}

void forks_init(struct forks *forks, pid_t pid)
{
	memset(forks, 0, sizeof(*forks));
	forks->pid = pid;
	forks->newest = forks->newest_before = newest_process();
	forks->reaped_faults = reaped_faults(pid);
}

void forks_deinit(struct forks *forks)
{
	vec_deinit(&forks->seen);
}

bool forks_look(struct forks *forks)
{
	pid_t from = forks->newest_before, newest = newest_process();
	uint64_t faults = reaped_faults(forks->pid);
	bool new = faults != forks->reaped_faults;

	/* Smaller than before: numbers begin anew at their end. */
	if (from && newest >= from && newest - from <= MAX_ASKED)
		new = ask(forks, from, newest) || new;
	else
		new = read_children(forks) || new;
	forks->reaped_faults = faults;
	forks->newest_before = forks->newest;
	forks->newest = newest;
	return new;
}
