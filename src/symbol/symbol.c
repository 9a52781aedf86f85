/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two halves. The caller's thread looks into tables of answers under a mutex that is never held
 * while a file is read: what is not there yet becomes a question in the queue of its object (a
 * module's file, the vdso, the kernel, the JIT's map). The worker (worker.c) takes questions object
 * by object, first the quick step of all, then the deep one.
 *
 * Answers are never taken back, only made better, and their strings stay in one pool: a frame that
 * was given out is valid until the resolver is closed. Both are bounded by MAX_ANSWERS.
 */
#include "symbol/symbol.h"

#include "symbol/fetch.h"
#include "symbol/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ANSWERS    500000
#define CLOSE_WAIT_MS  1000
#define FETCH_WAIT_MS  3000
#define KERNEL_ADDRESS ((uint64_t)1 << 63)

static bool same_file(const struct object *object, const struct module *module)
{
	const struct module *mine = &object->module;

	if (object->kind != NAMES_FILE && object->kind != NAMES_VDSO)
		return false;
	if (mine->build_id_size != module->build_id_size ||
	    memcmp(mine->build_id, module->build_id, module->build_id_size) != 0)
		return false;
	return !strcmp(mine->path, module->path) &&
	       (module->build_id_size ||
		(mine->inode == module->inode && mine->device == module->device &&
		 mine->from_ns == module->from_ns));
}

static struct object *object_add(struct state *state, enum names_kind kind,
				 const struct module *module)
{
	struct object *object = xcalloc(1, sizeof(*object));
	char id[2 * BUILD_ID_MAX + 1] = "";

	object->kind = kind;
	if (module) {
		module_build_id_text(module, id);
		object->module = *module;
		object->module.path = strpool_add(state->strings, module->path);
	} else {
		object->module.path = kind == NAMES_KERNEL ? "[kernel]" : "";
	}
	object->build_id = strpool_add(state->strings, id);
	object->names = names_new(kind, &object->module, &state->context);
	*vec_push(&state->objects) = object;
	return object;
}

/* The object whose row in `modules` was last seen with this id, if it still is that. */
static struct object *object_of_module(struct state *state, const struct module *module)
{
	enum names_kind kind = strcmp(module->path, "[vdso]") ? NAMES_FILE : NAMES_VDSO;
	uint64_t index;

	if (map_get(&state->by_module, module->id, &index) &&
	    same_file(state->objects.data[index], module))
		return state->objects.data[index];
	for (index = 0; index < state->objects.count; index++)
		if (same_file(state->objects.data[index], module))
			break;
	if (index == state->objects.count)
		object_add(state, kind, module);
	map_set(&state->by_module, module->id, index);
	return state->objects.data[index];
}

static struct object *object_of_kind(struct state *state, enum names_kind kind)
{
	struct object **object;

	vec_for_each(object, &state->objects)
		if ((*object)->kind == kind)
			return *object;
	return object_add(state, kind, NULL);
}

static struct answer *ask(struct state *state, struct object *object, uint64_t address)
{
	struct answer *answer;

	if (state->answer_count >= MAX_ANSWERS)
		return NULL;
	state->answer_count++;
	answer = xcalloc(1, sizeof(*answer));
	answer->address = address;
	answer->pending = true;
	*vec_push(&object->answers) = answer;
	map_set(&object->by_address, address, object->answers.count);
	*vec_push(&object->wanted[NAMES_QUICK]) = answer;
	pthread_cond_signal(&state->work);
	return answer;
}

/* What is known of the address, asking for it where it was never asked for. */
static const struct answer *find_answer(struct state *state, struct object *object,
					uint64_t address)
{
	uint64_t index;

	if (!address)
		return NULL;
	if (map_get(&object->by_address, address, &index))
		return object->answers.data[index - 1];
	return ask(state, object, address);
}

static size_t fill(const struct answer *answer, const struct frame *plain, uint64_t address,
		   struct frame *ret, size_t cap)
{
	size_t count = answer ? answer->count : 0;

	ret[0] = *plain;
	ret[0].pending = answer && answer->pending;
	for (size_t i = 0; i < count && i < cap; i++) {
		/* Where there is no room the outermost, the physical one, is still told. */
		const struct answer_frame *known = &answer->frames[i + 1 == cap ? count - 1 : i];

		ret[i] = *plain;
		ret[i].symbol = known->symbol;
		ret[i].offset = known->symbol && !known->inlined ? address - known->start : 0;
		ret[i].file = known->file;
		ret[i].line = known->line;
		ret[i].inlined = known->inlined;
		ret[i].wrapper = known->wrapper;
		ret[i].pending = answer->pending;
		if (known->module)
			ret[i].module = known->module;
	}
	return !count ? 1 : count < cap ? count : cap;
}

static size_t resolve_kernel(struct state *state, struct frame *plain, struct frame *ret,
			     size_t cap)
{
	struct object *object = object_of_kind(state, NAMES_KERNEL);
	const struct answer *answer = find_answer(state, object, plain->address - 1);

	plain->module = object->module.path;
	if (object->base && plain->address >= object->base)
		plain->module_offset = plain->address - object->base;
	return fill(answer, plain, plain->address, ret, cap);
}

static bool is_file(const struct module *module)
{
	return module && (module->path[0] == '/' || !strcmp(module->path, "[vdso]"));
}

static size_t resolve_user(struct state *state, const struct module *module, struct frame *plain,
			   struct frame *ret, size_t cap)
{
	struct object *object = is_file(module) ? object_of_module(state, module) : NULL;

	if (module) {
		plain->module =
			object ? object->module.path : strpool_add(state->strings, module->path);
		plain->build_id = object ? object->build_id : "";
		plain->module_offset = plain->address - module->bias;
	}
	if (object && !object->not_elf)
		return fill(find_answer(state, object, plain->module_offset - 1), plain,
			    plain->module_offset, ret, cap);
	object = object_of_kind(state, NAMES_JIT);
	return fill(find_answer(state, object, plain->address - 1), plain, plain->address, ret,
		    cap);
}

static size_t resolve(struct resolver *resolver, const struct modules *modules,
		      const struct site_info *site, unsigned index, struct frame *ret, size_t cap)
{
	struct state *state = (struct state *)resolver;
	struct frame plain = {.module = "", .build_id = ""};
	size_t count;

	if (!cap || index >= site->nframes)
		return 0;
	plain.address = plain.module_offset = site->addresses[index];
	pthread_mutex_lock(&state->lock);
	if (site->side == SIDE_KERNEL && plain.address >= KERNEL_ADDRESS)
		count = resolve_kernel(state, &plain, ret, cap);
	else
		count = resolve_user(state, modules_find(modules, plain.address - 1, site->born_ns),
				     &plain, ret, cap);
	pthread_mutex_unlock(&state->lock);
	return count;
}

static const char *reason(struct resolver *resolver, const struct modules *modules,
			  const struct site_info *site, unsigned index)
{
	struct state *state = (struct state *)resolver;
	const struct module *module;
	const struct object *object;
	const char *ret;

	if (index >= site->nframes)
		return NULL;
	pthread_mutex_lock(&state->lock);
	module = modules_find(modules, site->addresses[index] - 1, site->born_ns);
	if (site->side == SIDE_KERNEL && site->addresses[index] >= KERNEL_ADDRESS)
		object = object_of_kind(state, NAMES_KERNEL);
	else
		object = is_file(module) ? object_of_module(state, module) :
					   object_of_kind(state, NAMES_JIT);
	ret = object->reason;
	pthread_mutex_unlock(&state->lock);
	return ret;
}

static uint64_t revision(struct resolver *resolver)
{
	struct state *state = (struct state *)resolver;
	uint64_t ret;

	pthread_mutex_lock(&state->lock);
	ret = state->revision;
	pthread_mutex_unlock(&state->lock);
	return ret;
}

static void settle(struct resolver *resolver, unsigned timeout_ms)
{
	struct state *state = (struct state *)resolver;
	struct timespec deadline = worker_deadline(timeout_ms);

	pthread_mutex_lock(&state->lock);
	while (!worker_is_idle(state) &&
	       pthread_cond_timedwait(&state->idle, &state->lock, &deadline) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&state->lock);
}

static void state_free(struct state *state)
{
	struct object **object;
	struct answer **answer;

	vec_for_each(object, &state->objects) {
		vec_for_each(answer, &(*object)->answers) {
			free((*answer)->frames);
			free(*answer);
		}
		vec_deinit(&(*object)->answers);
		for (unsigned i = 0; i < NAMES_STEPS; i++)
			vec_deinit(&(*object)->wanted[i]);
		map_deinit(&(*object)->by_address);
		names_free((*object)->names);
		free(*object);
	}
	vec_deinit(&state->objects);
	map_deinit(&state->by_module);
	strpool_free(state->strings);
	targetfs_deinit(&state->fs);
	free(state->debug_dir);
	pthread_cond_destroy(&state->work);
	pthread_cond_destroy(&state->idle);
	pthread_mutex_destroy(&state->lock);
	free(state);
}

/*
 * The worker looks at `stop` between two addresses, a download once a second. If one hangs in a
 * file system or in a damaged file all the same, it is left behind with what it works on: memtop
 * ends.
 */
static void close_resolver(struct resolver *resolver)
{
	struct state *state = (struct state *)resolver;
	struct timespec deadline = worker_deadline(CLOSE_WAIT_MS);

	pthread_mutex_lock(&state->lock);
	atomic_store(&state->context.stop, true);
	pthread_cond_broadcast(&state->work);
	pthread_mutex_unlock(&state->lock);
	fetcher_stop(state->context.fetcher);
	if (pthread_clockjoin_np(state->thread, NULL, CLOCK_MONOTONIC, &deadline)) {
		pthread_detach(state->thread);
		return;
	}
	if (fetcher_free(state->context.fetcher, FETCH_WAIT_MS))
		state_free(state);
}

static const struct resolver_ops ops = {
	.resolve = resolve,
	.reason = reason,
	.revision = revision,
	.settle = settle,
	.close = close_resolver,
};

int symbol_resolver_new(pid_t pid, const char *debug_dir, struct resolver **ret)
{
	struct state *state = xcalloc(1, sizeof(*state));
	pthread_condattr_t attributes;
	int status;

	state->resolver.ops = &ops;
	state->strings = strpool_new();
	state->debug_dir = debug_dir ? xstrdup(debug_dir) : NULL;
	state->context.debug_dir = state->debug_dir;
	state->context.fs = &state->fs;
	pthread_mutex_init(&state->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&state->work, &attributes);
	pthread_cond_init(&state->idle, &attributes);
	pthread_condattr_destroy(&attributes);
	status = targetfs_init(&state->fs, pid);
	if (!status) {
		state->context.fetcher = fetcher_new(worker_fetched, state);
		status = worker_start(state);
	}
	if (status) {
		fetcher_free(state->context.fetcher, FETCH_WAIT_MS);
		state_free(state);
		return status;
	}
	*ret = &state->resolver;
	return 0;
}
