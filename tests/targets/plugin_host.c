/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads and unloads libraries by commands on standard input, each answered by a line:
 *
 *     open FILE...      dlopen() each; tells the address of the last one's plugin_run, or 0
 *     deep FILE...      the same, each bound to what it brings itself before all else
 *     close             dlclose() the last one
 *     run COUNT SIZE    plugin_run() keeps COUNT blocks of SIZE bytes
 *     pace COUNT SIZE   the same, a block a millisecond
 *     free              frees all that is kept, by plugin_drop() if the last library has one
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	KEPT_MAX = 100000
};

typedef void plugin_run_fn(void **kept, unsigned count, size_t size);

static void *kept[KEPT_MAX];
static unsigned kept_count;
static void *library;
typedef void plugin_drop_fn(void **kept, unsigned count);

static plugin_run_fn *plugin_run;
static plugin_drop_fn *plugin_drop;

static void open_libraries(char *names, int scope)
{
	unsigned opened = 0;

	for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
		void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | scope);

		if (!handle)
			continue;
		library = handle;
		opened++;
	}
	plugin_run = opened ? (plugin_run_fn *)(uintptr_t)dlsym(library, "plugin_run") : NULL;
	plugin_drop = opened ? (plugin_drop_fn *)(uintptr_t)dlsym(library, "plugin_drop") : NULL;
	printf("%u %lx\n", opened, (unsigned long)(uintptr_t)plugin_run);
}

static void run(unsigned count, size_t size)
{
	if (!plugin_run || count > KEPT_MAX - kept_count)
		return;
	plugin_run(kept + kept_count, count, size);
	kept_count += count;
}

static void pace(unsigned count, size_t size)
{
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (unsigned i = 0; i < count; i++) {
		run(1, size);
		next.tv_nsec += 1000000;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}

static void command(char *line)
{
	unsigned count = 0;
	size_t size = 0;

	if (!strncmp(line, "open ", 5)) {
		open_libraries(line + 5, 0);
		return;
	}
	if (!strncmp(line, "deep ", 5)) {
		open_libraries(line + 5, RTLD_DEEPBIND);
		return;
	}
	if (!strcmp(line, "close")) {
		dlclose(library);
		plugin_run = NULL;
		plugin_drop = NULL;
	} else if (sscanf(line, "run %u %zu", &count, &size) == 2) {
		run(count, size);
	} else if (sscanf(line, "pace %u %zu", &count, &size) == 2) {
		pace(count, size);
	} else if (!strcmp(line, "free")) {
		if (plugin_drop) {
			plugin_drop(kept, kept_count);
			kept_count = 0;
		}
		while (kept_count)
			free(kept[--kept_count]);
	}
	puts("done");
}

int main(void)
{
	static char in_buffer[4096], out_buffer[4096], line[1 << 16];

	setvbuf(stdin, in_buffer, _IOFBF, sizeof(in_buffer));
	setvbuf(stdout, out_buffer, _IOFBF, sizeof(out_buffer));
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		command(line);
		fflush(stdout);
	}
	return 0;
}
