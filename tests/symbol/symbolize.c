/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The resolver on a command line, for tests: symbolize PID [DEBUG-DIR]. Each line of input is a
 * word and an address in hexadecimal; each answer is one line of JSON:
 *   first ADDRESS	the answer of the first look, with nothing waited for
 *   user ADDRESS	frames of the address, once all is known
 *   kernel ADDRESS	the same for an address of the kernel
 *   reason ADDRESS	why its module has no names
 *   revision 0		the resolver's revision
 *   maps 0		reads the target's mappings anew
 */
#include "capture/procmaps.h"
#include "symbol/symbol.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_MS 300000

struct session {
	pid_t pid;
	struct modules *modules;
	struct resolver *resolver;
	uint64_t now_ns;
};

static json_t *text(const char *value)
{
	return value ? json_string(value) : json_null();
}

static json_t *frame_json(const struct frame *frame)
{
	return json_pack("{so sI ss ss sI so sI sb sb sb}", "symbol", text(frame->symbol), "offset",
			 (json_int_t)frame->offset, "module", frame->module, "build_id",
			 frame->build_id, "module_offset", (json_int_t)frame->module_offset, "file",
			 text(frame->file), "line", (json_int_t)frame->line, "inlined",
			 frame->inlined, "wrapper", frame->wrapper, "pending", frame->pending);
}

static json_t *resolve(struct session *session, enum side side, uint64_t address)
{
	const struct site_info site = {.id = 1,
				       .side = side,
				       .born_ns = session->now_ns,
				       .nframes = 1,
				       .addresses = &address};
	struct frame frames[RESOLVER_MAX_INLINED + 1];
	json_t *ret = json_array();
	size_t count = resolver_resolve(session->resolver, session->modules, &site, 0, frames,
					RESOLVER_MAX_INLINED + 1);

	for (size_t i = 0; i < count; i++)
		json_array_append_new(ret, frame_json(&frames[i]));
	return ret;
}

static json_t *settled(struct session *session, enum side side, uint64_t address)
{
	json_decref(resolve(session, side, address));
	session->resolver->ops->settle(session->resolver, SETTLE_MS);
	return resolve(session, side, address);
}

static json_t *do_first(struct session *session, uint64_t address)
{
	return resolve(session, SIDE_USER, address);
}

static json_t *do_user(struct session *session, uint64_t address)
{
	return settled(session, SIDE_USER, address);
}

static json_t *do_kernel(struct session *session, uint64_t address)
{
	return settled(session, SIDE_KERNEL, address);
}

static json_t *do_reason(struct session *session, uint64_t address)
{
	const struct site_info site = {.id = 1,
				       .side = SIDE_USER,
				       .born_ns = session->now_ns,
				       .nframes = 1,
				       .addresses = &address};

	json_decref(settled(session, SIDE_USER, address));
	return text(resolver_reason(session->resolver, session->modules, &site, 0));
}

static json_t *do_revision(struct session *session, uint64_t unused)
{
	(void)unused;
	return json_integer((json_int_t)session->resolver->ops->revision(session->resolver));
}

static json_t *do_maps(struct session *session, uint64_t unused)
{
	struct procmaps maps;
	int status = procmaps_read(session->pid, &maps);

	(void)unused;
	session->now_ns++;
	if (!status) {
		procmaps_update_modules(session->modules, &maps, session->pid, session->now_ns);
		procmaps_deinit(&maps);
	}
	return json_integer(status);
}

static const struct command {
	const char *name;
	json_t *(*run)(struct session *session, uint64_t address);
} commands[] = {
	{"first", do_first},   {"user", do_user},	  {"kernel", do_kernel},
	{"reason", do_reason}, {"revision", do_revision}, {"maps", do_maps},
};

static void answer(struct session *session, const char *line)
{
	char name[16];
	uint64_t address;

	if (sscanf(line, "%15s %" SCNx64, name, &address) != 2)
		return;
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		json_t *value;

		if (strcmp(commands[i].name, name) != 0)
			continue;
		value = commands[i].run(session, address);
		json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
		json_decref(value);
		putchar('\n');
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct session session = {.modules = modules_new(), .now_ns = 1};
	char *line = NULL;
	size_t capacity = 0;

	if (argc < 2)
		return 1;
	session.pid = atoi(argv[1]);
	if (symbol_resolver_new(session.pid, argc > 2 ? argv[2] : NULL, &session.resolver))
		return 2;
	json_decref(do_maps(&session, 0));
	while (getline(&line, &capacity, stdin) > 0)
		answer(&session, line);
	free(line);
	resolver_close(session.resolver);
	modules_free(session.modules);
	return 0;
}
