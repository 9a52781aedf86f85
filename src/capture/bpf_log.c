/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/bpf_log.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

/* libbpf has one handler for the whole process and gives it no context: hence per thread. */
static _Thread_local char last[256];

static int keep(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN)
		vsnprintf(last, sizeof(last), format, arguments);
	return 0;
}

void bpf_log_init(void)
{
	libbpf_set_print(keep);
}

void bpf_log_clear(void)
{
	last[0] = '\0';
}

char *bpf_log_last(char *ret, size_t size)
{
	static const char prefix[] = "libbpf: ";
	const char *from = last;

	if (!size)
		return ret;
	if (!strncmp(from, prefix, sizeof(prefix) - 1))
		from += sizeof(prefix) - 1;
	snprintf(ret, size, "%.*s", (int)strcspn(from, "\n"), from);
	return ret;
}
