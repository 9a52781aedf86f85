/* SPDX-License-Identifier: GPL-2.0-only */
#include "util/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KEPT_LINES 32
#define LINE_SIZE  1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool held;
static unsigned kept;
static char lines[KEPT_LINES][LINE_SIZE];

static void clean(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++)
		if ((*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f)
			*c = '?';
}

void log_error(const char *format, ...)
{
	char line[LINE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	clean(line);

	pthread_mutex_lock(&lock);
	if (!held)
		fprintf(stderr, "memtop: %s\n", line);
	else
		memcpy(lines[kept++ % KEPT_LINES], line, sizeof(line));
	pthread_mutex_unlock(&lock);
}

void log_hold(bool hold)
{
	pthread_mutex_lock(&lock);
	held = hold;
	if (!hold) {
		for (unsigned i = kept > KEPT_LINES ? kept - KEPT_LINES : 0; i < kept; i++)
			fprintf(stderr, "memtop: %s\n", lines[i % KEPT_LINES]);
		kept = 0;
	}
	pthread_mutex_unlock(&lock);
}
