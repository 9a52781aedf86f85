/* SPDX-License-Identifier: GPL-2.0-only */
#include "options_file.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_FILE "/etc/memtop.conf"
#define MAX_BYTES   65536
#define REASON_SIZE 256

static const char *const allowed[] = {
	"baseline",   "budget",		  "debug-dir", "delay",
	"filter",     "function",	  "level",     "limit",
	"max-blocks", "min-size",	  "older",     "prefix",
	"side",	      "no-return-probes", "sort",      "suppress",
	"top",	      "unwind-memory",
};

bool options_file_allows(const char *name)
{
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		if (!strcmp(allowed[i], name))
			return true;
	return false;
}

/* Could anybody else have written what is in it? */
static int check_file(int fd, const char *path, struct stat *file, char *error, size_t size)
{
	if (fstat(fd, file)) {
		snprintf(error, size, "%s: %s", path, strerror(errno));
		return -errno;
	}
	if (!S_ISREG(file->st_mode)) {
		snprintf(error, size, "%s: not a regular file", path);
		return -EINVAL;
	}
	if (file->st_uid && file->st_uid != geteuid()) {
		snprintf(error, size,
			 "%s: belongs to user %u, so it is not taken; chown it to yours (%u), or "
			 "use --no-config",
			 path, file->st_uid, geteuid());
		return -EPERM;
	}
	if (file->st_mode & (S_IWGRP | S_IWOTH)) {
		snprintf(error, size,
			 "%s: others may write it, so it is not taken; chmod go-w it, or use "
			 "--no-config",
			 path);
		return -EPERM;
	}
	if (file->st_size > MAX_BYTES) {
		snprintf(error, size, "%s: longer than %d bytes", path, MAX_BYTES);
		return -EFBIG;
	}
	return 0;
}

static int read_text(int fd, const char *path, char **ret, char *error, size_t size)
{
	char *text = xmalloc(MAX_BYTES + 1);
	size_t length = 0;
	ssize_t n = 1;

	while (n > 0 && length < MAX_BYTES) {
		n = read(fd, text + length, MAX_BYTES - length);
		length += n > 0 ? (size_t)n : 0;
	}
	if (n < 0) {
		int status = -errno;

		snprintf(error, size, "%s: %s", path, strerror(errno));
		free(text);
		return status;
	}
	text[length] = '\0';
	if (strlen(text) < length) {
		snprintf(error, size, "%s: not a text file", path);
		free(text);
		return -EINVAL;
	}
	*ret = text;
	return 0;
}

static char *without_blanks(char *text)
{
	size_t length;

	while (isspace((unsigned char)*text))
		text++;
	length = strlen(text);
	while (length && isspace((unsigned char)text[length - 1]))
		text[--length] = '\0';
	return text;
}

static int take_line(char *line, options_file_take_fn *take, void *context, char *error,
		     size_t size)
{
	char *argument = strchr(line, '=');
	char *name;

	if (argument)
		*argument++ = '\0';
	name = without_blanks(line);
	if (!options_file_allows(name)) {
		snprintf(error, size, "'%.40s' is nothing that a configuration file sets", name);
		return -EINVAL;
	}
	return take(context, name, argument ? without_blanks(argument) : NULL, error, size);
}

static int take_lines(char *text, const char *path, options_file_take_fn *take, void *context,
		      char *error, size_t size)
{
	unsigned number = 0;
	char *line;

	while ((line = strsep(&text, "\n"))) {
		char why[REASON_SIZE] = "";

		number++;
		line = without_blanks(line);
		if (!*line || *line == '#' || *line == ';' ||
		    !take_line(line, take, context, why, sizeof(why)))
			continue;
		snprintf(error, size, "%s:%u: %s", path, number, why);
		return -EINVAL;
	}
	return 0;
}

/* 0 too if there is none and that is no error. */
static int read_file(struct options_files *files, const char *path, bool optional,
		     options_file_take_fn *take, void *context, char *error, size_t size)
{
	/* Not blocking: a FIFO would wait for somebody to write it. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat file;
	int status;

	if (fd < 0) {
		status = -errno;
		if (optional && (status == -ENOENT || status == -ENOTDIR))
			return 0;
		snprintf(error, size, "%s: %s", path, strerror(-status));
		return status;
	}
	status = check_file(fd, path, &file, error, size);
	if (!status)
		status = read_text(fd, path, &files->texts[files->count], error, size);
	if (status)
		return status;
	return take_lines(files->texts[files->count++], path, take, context, error, size);
}

/* False if there is no home, or nothing that could be one. */
static bool users_file(char *ret, size_t size)
{
	const char *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int length;

	if (folder && *folder == '/')
		length = snprintf(ret, size, "%s/memtop/memtop.conf", folder);
	else if (home && *home == '/')
		length = snprintf(ret, size, "%s/.config/memtop/memtop.conf", home);
	else
		return false;
	return length > 0 && (size_t)length < size;
}

int options_file_read(struct options_files *files, const char *file, options_file_take_fn *take,
		      void *context, char *error, size_t size)
{
	const char *chosen = file ? file : getenv("MEMTOP_CONFIG");
	char path[PATH_MAX];
	int status;

	if (chosen)
		return *chosen ? read_file(files, chosen, false, take, context, error, size) : 0;
	status = read_file(files, SYSTEM_FILE, true, take, context, error, size);
	if (!status && users_file(path, sizeof(path)))
		status = read_file(files, path, true, take, context, error, size);
	return status;
}

void options_file_deinit(struct options_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->texts[i]);
	files->count = 0;
}
