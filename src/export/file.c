/* SPDX-License-Identifier: GPL-2.0-only */
#include "export/file.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FIRST_BYTES 65536

int file_read(const char *path, size_t most, char **ret, size_t *ret_length, char *error,
	      size_t size)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	size_t capacity = FIRST_BYTES, length = 0;
	char *text;

	if (!file) {
		int status = -errno;

		snprintf(error, size, "cannot read %s: %s", path, strerror(-status));
		return status;
	}
	text = xmalloc(capacity);
	for (size_t n; (n = fread(text + length, 1, capacity - length - 1, file));) {
		length += n;
		if (length + 1 == capacity && length <= most) {
			capacity *= 2;
			text = xreallocarray(text, capacity, 1);
		}
	}
	if (ferror(file) || length > most) {
		int status = ferror(file) ? -EIO : -EFBIG;

		snprintf(error, size, "cannot read %s: %s", path, strerror(-status));
		free(text);
		return status;
	}
	text[length] = '\0';
	*ret = text;
	*ret_length = length;
	return 0;
}
