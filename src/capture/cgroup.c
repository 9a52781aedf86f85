/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A hierarchy of cgroups is seen through a mount, which may show only a part of it: its root (field
 * 4 of mountinfo) is a cgroup too. A path of /proc/PID/cgroup lies at mount point + (path - root),
 * if the root is an ancestor of it; a path that leads out of the own cgroup namespace ("/../x")
 * lies nowhere. Of several mounts the one that shows most is used.
 */
#include "capture/cgroup.h"

#include "capture/procfs.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The limit of version 1 that stands for none is LONG_MAX cut to pages, of whatever size. */
#define NO_LIMIT (1ull << 62)

struct version {
	const char *limit, *usage, *oom_events;
	const char *high; /* NULL: not known there */
	/* memory.stat: what of the usage can be taken back. */
	const char *reclaimable[3];
};

static const struct version versions[] = {
	[0] = {"memory.limit_in_bytes",
	       "memory.usage_in_bytes",
	       "memory.oom_control",
	       NULL,
	       {"total_inactive_file", "total_active_file", "total_slab_reclaimable"}},
	[1] = {"memory.max",
	       "memory.current",
	       "memory.events",
	       "memory.high",
	       {"inactive_file", "active_file", "slab_reclaimable"}},
};

struct hierarchy {
	const struct version *version;
	char *top;     /* mount point, with the reader's root before it */
	char *visible; /* the cgroup that the mount point is */
	char *path;    /* of the target, under `top`: "" or "/a/b" */
};

struct charge_reader {
	pid_t pid;
	char *root;
	char *membership; /* text of /proc/PID/cgroup as last taken in */
	struct hierarchy hierarchies[2];
	unsigned hierarchy_count;
	uint64_t high_bytes;
};

static int read_text(const struct charge_reader *reader, const char *path, char **ret)
{
	_cleanup_free_ char *full = xasprintf("%s%s", reader->root, path);

	return procfs_read_path(full, ret, NULL);
}

static int read_of_pid(const struct charge_reader *reader, const char *name, char **ret)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/%s", reader->pid, name);

	return read_text(reader, path, ret);
}

/* --- where the cgroups are --- */

/* The next blank-separated field, cut off in place; NULL if there is none. */
static char *next_field(char **at)
{
	char *field = *at + strspn(*at, " ");

	if (!*field)
		return NULL;
	*at = field + strcspn(field, " ");
	if (**at)
		*(*at)++ = '\0';
	return field;
}

/* mountinfo writes blanks, tabs, newlines and backslashes as three octal digits. */
static void unescape_octal(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
		    from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += length)
		if ((at == list || at[-1] == ',') && (!at[length] || at[length] == ','))
			return true;
	return false;
}

/* The part of `path` below `root`; NULL if it is not below. */
static const char *path_below(const char *path, const char *root)
{
	size_t length = strcmp(root, "/") ? strlen(root) : 0;

	if (strncmp(path, root, length) || (path[length] && path[length] != '/'))
		return NULL;
	path += length;
	if (!strncmp(path, "/..", 3) && (!path[3] || path[3] == '/'))
		return NULL;
	return strcmp(path, "/") ? path : "";
}

struct mount {
	char *root, *point, *type, *options;
};

static bool parse_mount(char *line, struct mount *ret)
{
	char *field;

	for (int i = 0; i < 3; i++)
		if (!next_field(&line))
			return false;
	ret->root = next_field(&line);
	ret->point = next_field(&line);
	do {
		field = next_field(&line);
	} while (field && strcmp(field, "-"));
	ret->type = next_field(&line);
	if (!ret->type || !next_field(&line))
		return false;
	ret->options = next_field(&line);
	if (!ret->options)
		return false;
	unescape_octal(ret->root);
	unescape_octal(ret->point);
	return true;
}

static bool mount_is_of(const struct mount *mount, const struct version *version)
{
	if (version == &versions[1])
		return !strcmp(mount->type, "cgroup2");
	return !strcmp(mount->type, "cgroup") && list_has(mount->options, "memory");
}

static bool find_hierarchy(struct charge_reader *reader, const struct version *version,
			   const char *path)
{
	struct hierarchy *ret = &reader->hierarchies[reader->hierarchy_count];
	_cleanup_free_ char *text = NULL;
	size_t shortest = SIZE_MAX;

	if (read_text(reader, "/proc/self/mountinfo", &text))
		return false;
	for (char *line = text, *next; *line; line = next) {
		struct mount mount;
		const char *below;

		next = strchrnul(line, '\n');
		if (*next)
			*next++ = '\0';
		if (!parse_mount(line, &mount) || !mount_is_of(&mount, version))
			continue;
		below = path_below(path, mount.root);
		if (!below || strlen(mount.root) >= shortest)
			continue;
		shortest = strlen(mount.root);
		free(ret->top);
		free(ret->visible);
		free(ret->path);
		ret->version = version;
		ret->top = xasprintf("%s%s", reader->root, mount.point);
		ret->visible = xstrdup(mount.root);
		ret->path = xstrdup(below);
	}
	return shortest != SIZE_MAX;
}

static void forget_hierarchies(struct charge_reader *reader)
{
	for (unsigned i = 0; i < 2; i++) {
		free(reader->hierarchies[i].top);
		free(reader->hierarchies[i].visible);
		free(reader->hierarchies[i].path);
	}
	memset(reader->hierarchies, 0, sizeof(reader->hierarchies));
	reader->hierarchy_count = 0;
}

/* Lines "ID:CONTROLLERS:PATH"; version 2 is "0::PATH". */
static void take_membership(struct charge_reader *reader)
{
	_cleanup_free_ char *text = xstrdup(reader->membership);

	forget_hierarchies(reader);
	for (char *line = text, *next; *line; line = next) {
		const struct version *version = NULL;
		char *controllers, *path;

		next = strchrnul(line, '\n');
		if (*next)
			*next++ = '\0';
		controllers = strchr(line, ':');
		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*controllers++ = '\0';
		*path++ = '\0';
		if (!strcmp(line, "0") && !*controllers)
			version = &versions[1];
		else if (list_has(controllers, "memory"))
			version = &versions[0];
		if (version && reader->hierarchy_count < 2 && find_hierarchy(reader, version, path))
			reader->hierarchy_count++;
	}
}

/* A process that has ended is moved to the root, where it never was. */
static bool has_ended(const struct charge_reader *reader)
{
	_cleanup_free_ char *text = NULL;
	struct procstat stat;

	return read_of_pid(reader, "stat", &text) || procstat_parse(text, &stat) ||
	       strchr("ZXx", stat.state);
}

static void follow_target(struct charge_reader *reader)
{
	_cleanup_free_ char *text = NULL;

	if (read_of_pid(reader, "cgroup", &text) || !strcmp(text, reader->membership) ||
	    has_ended(reader))
		return;
	free(reader->membership);
	reader->membership = text;
	text = NULL;
	take_membership(reader);
}

int charge_open(pid_t pid, const char *root, struct charge_reader **ret)
{
	struct charge_reader *reader = xcalloc(1, sizeof(*reader));
	_cleanup_free_ char *stat = NULL;

	reader->pid = pid;
	reader->root = xstrdup(root);
	reader->membership = xstrdup("");
	if (read_of_pid(reader, "stat", &stat)) {
		charge_close(reader);
		return -ESRCH;
	}
	follow_target(reader);
	*ret = reader;
	return 0;
}

void charge_close(struct charge_reader *reader)
{
	if (!reader)
		return;
	forget_hierarchies(reader);
	free(reader->membership);
	free(reader->root);
	free(reader);
}

/* --- what they say --- */

static bool read_number(const char *directory, const char *name, uint64_t *ret)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", directory, name);
	_cleanup_free_ char *text = NULL;
	char *end;

	if (procfs_read_path(path, &text, NULL))
		return false;
	if (!strncmp(text, "max", 3)) {
		*ret = UINT64_MAX;
		return true;
	}
	*ret = strtoull(text, &end, 10);
	return end != text;
}

static uint64_t read_reclaimable(const char *directory, const struct version *version)
{
	_cleanup_free_ char *path = xasprintf("%s/memory.stat", directory);
	_cleanup_free_ char *text = NULL;
	uint64_t sum = 0, value;

	if (procfs_read_path(path, &text, NULL))
		return 0;
	for (size_t i = 0; i < 3; i++)
		if (proctext_number(text, version->reclaimable[i], &value))
			sum += value;
	return sum;
}

/* Takes a candidate if there is none yet, or if it is tighter. */
static void offer(struct charge *best, enum limit_source source, uint64_t limit, uint64_t used,
		  const char *cgroup)
{
	uint64_t headroom = limit > used ? limit - used : 0;

	if (best->source != LIMIT_NONE && best->headroom_bytes <= headroom)
		return;
	best->source = source;
	best->limit_bytes = limit;
	best->used_bytes = used;
	best->headroom_bytes = headroom;
	snprintf(best->cgroup, sizeof(best->cgroup), "%s", cgroup);
}

static void offer_cgroup(struct charge_reader *reader, const struct hierarchy *hierarchy,
			 const char *path, struct charge *best)
{
	const struct version *version = hierarchy->version;
	_cleanup_free_ char *directory = xasprintf("%s%s", hierarchy->top, path);
	_cleanup_free_ char *name = NULL;
	uint64_t limit, usage, high, reclaimable;

	if (version->high && read_number(directory, version->high, &high) && high < NO_LIMIT &&
	    (!reader->high_bytes || high < reader->high_bytes))
		reader->high_bytes = high;
	if (!read_number(directory, version->limit, &limit) || limit >= NO_LIMIT ||
	    !read_number(directory, version->usage, &usage))
		return;
	reclaimable = read_reclaimable(directory, version);
	name = xasprintf("%s%s", strcmp(hierarchy->visible, "/") ? hierarchy->visible : "", path);
	offer(best, LIMIT_CGROUP, limit, usage > reclaimable ? usage - reclaimable : 0,
	      *name ? name : "/");
}

static void offer_hierarchy(struct charge_reader *reader, const struct hierarchy *hierarchy,
			    struct charge *best)
{
	_cleanup_free_ char *path = xstrdup(hierarchy->path);
	char *slash;

	for (;;) {
		offer_cgroup(reader, hierarchy, path, best);
		slash = strrchr(path, '/');
		if (!slash)
			break;
		*slash = '\0';
	}
}

static void offer_system(const struct charge_reader *reader, struct charge *best)
{
	_cleanup_free_ char *text = NULL;
	uint64_t total, available;

	if (read_text(reader, "/proc/meminfo", &text) ||
	    !proctext_number(text, "MemTotal", &total) ||
	    !proctext_number(text, "MemAvailable", &available))
		return;
	offer(best, LIMIT_SYSTEM, total, total > available ? total - available : 0, "");
}

int charge_read(struct charge_reader *reader, const struct charge_user *user, struct charge *ret)
{
	memset(ret, 0, sizeof(*ret));
	follow_target(reader);
	reader->high_bytes = 0;
	if (user && user->limit_bytes)
		offer(ret, LIMIT_USER, user->limit_bytes, user->used_bytes, "");
	for (unsigned i = 0; i < reader->hierarchy_count; i++)
		offer_hierarchy(reader, &reader->hierarchies[i], ret);
	offer_system(reader, ret);
	return ret->source == LIMIT_NONE ? -ENODATA : 0;
}

uint64_t charge_high_bytes(const struct charge_reader *reader)
{
	return reader->high_bytes;
}

void charge_oom_kills(const struct charge_reader *reader, struct oom_kills *ret)
{
	_cleanup_free_ char *text = NULL;

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < reader->hierarchy_count && !ret->cgroup_known; i++) {
		const struct hierarchy *hierarchy = &reader->hierarchies[i];
		_cleanup_free_ char *path = xasprintf("%s%s/%s", hierarchy->top, hierarchy->path,
						      hierarchy->version->oom_events);
		_cleanup_free_ char *events = NULL;

		ret->cgroup_known = !procfs_read_path(path, &events, NULL) &&
				    proctext_number(events, "oom_kill", &ret->cgroup);
	}
	ret->system_known = !read_text(reader, "/proc/vmstat", &text) &&
			    proctext_number(text, "oom_kill", &ret->system);
}
