/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The configuration file: options that are taken before those of the command line, which win.
 *
 *	# for the perception stack
 *	function = FramePool::acquire:alloc(2)
 *	function = FramePool::release:free(2)
 *	delay = 0.5
 *	no-return-probes
 *
 * A line is an option by its long name, with its argument behind the first `=`, or without where it
 * takes none; blanks around are none of it. Lines that begin with # or ; and empty ones are
 * comments. What decides whether memtop watches, and whom, is the command line's alone.
 *
 * memtop mostly runs as root, and a file tells it what to write into a target's code: one that
 * somebody else could have written is not taken.
 */
#ifndef MEMTOP_OPTIONS_FILE_H
#define MEMTOP_OPTIONS_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_FILES 2

/* Takes `name` and `argument` (NULL: none) in; 0, or -EINVAL and why. Strings outlive the call. */
typedef int options_file_take_fn(void *context, const char *name, const char *argument, char *error,
				 size_t size);

/* The texts of the files that were read: what was taken points into them. */
struct options_files {
	char *texts[OPTIONS_FILES];
	size_t count;
};

/*
 * Reads `file`; NULL: $MEMTOP_CONFIG if that is set (empty: none), else /etc/memtop.conf and the
 * user's memtop.conf in $XDG_CONFIG_HOME/memtop or ~/.config/memtop, as far as they are there.
 * 0, or -errno and one line that names the file, and its line, in `error`.
 */
int options_file_read(struct options_files *files, const char *file, options_file_take_fn *take,
		      void *context, char *error, size_t size);
void options_file_deinit(struct options_files *files);

/* May an option stand in a file? */
bool options_file_allows(const char *name);

#endif
