/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The thread that reads files so that the display does not. It takes up to BATCH addresses of one
 * object at a time: those whose quick step is open first, of any object, so that a screen has its
 * names before the first debug file is looked for.
 *
 * Where a debug file has to be fetched the object's deep questions are put off until that has ended
 * (fetch.h), and the other objects' go on.
 *
 * Memory: what an object has loaded stays for the next question, up to MAX_LOADED_BYTES over all
 * (the least recently used goes first; a single bigger one once it has no more questions), and all
 * of it goes after IDLE_MS without questions.
 *
 * It runs at a lower priority than the display and takes no signals but its own faults.
 */
#include "symbol/worker.h"

#include "symbol/wrappers.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH		 64
#define MAX_LOADED_BYTES ((size_t)256 << 20)
#define MAX_LOADED	 64
#define IDLE_MS		 16000 /* a multiple of JIT_MS */
#define JIT_MS		 2000  /* between two looks whether a JIT's map has changed */
#define STACK_BYTES	 ((size_t)8 << 20)
#define NICE		 5

struct batch {
	struct object *object;
	enum names_step step;
	size_t count;
	struct answer *answers[BATCH];
	uint64_t addresses[BATCH];
	uint64_t fetches; /* downloads that had ended when it was taken */
};

/* Found for one address, before it is published. */
struct found {
	size_t count;
	struct name names[RESOLVER_MAX_INLINED];
};

struct timespec worker_deadline(unsigned timeout_ms)
{
	struct timespec ret;

	clock_gettime(CLOCK_MONOTONIC, &ret);
	ret.tv_sec += timeout_ms / 1000;
	ret.tv_nsec += timeout_ms % 1000 * 1000000l;
	if (ret.tv_nsec >= 1000000000l) {
		ret.tv_sec++;
		ret.tv_nsec -= 1000000000l;
	}
	return ret;
}

static bool is_ready(const struct object *object, enum names_step step)
{
	return object->wanted[step].count && (step != NAMES_DEEP || !object->fetching);
}

static struct object *find_wanted(const struct state *state, enum names_step step)
{
	struct object **object;

	vec_for_each(object, &state->objects)
		if (is_ready(*object, step))
			return *object;
	return NULL;
}

bool worker_is_idle(const struct state *state)
{
	struct object **object;

	vec_for_each(object, &state->objects)
		if ((*object)->wanted[NAMES_QUICK].count || (*object)->wanted[NAMES_DEEP].count)
			return false;
	return !state->busy;
}

void worker_fetched(void *opaque)
{
	struct state *state = opaque;
	struct object **object;

	pthread_mutex_lock(&state->lock);
	state->fetches++;
	vec_for_each(object, &state->objects)
		(*object)->fetching = false;
	pthread_cond_signal(&state->work);
	pthread_mutex_unlock(&state->lock);
}

/* Under the lock; false if there is nothing to do. */
static bool take_batch(struct state *state, struct batch *ret)
{
	struct object *object = NULL;

	for (ret->step = NAMES_QUICK; ret->step < NAMES_STEPS; ret->step++) {
		object = find_wanted(state, ret->step);
		if (object)
			break;
	}
	if (!object)
		return false;
	ret->object = object;
	ret->fetches = state->fetches;
	ret->count = 0;
	while (ret->count < BATCH && object->wanted[ret->step].count) {
		struct answer *answer =
			object->wanted[ret->step].data[--object->wanted[ret->step].count];

		ret->answers[ret->count] = answer;
		ret->addresses[ret->count++] = answer->address;
	}
	return true;
}

static const char *pooled(struct state *state, const char *text)
{
	return text ? strpool_add(state->strings, text) : NULL;
}

/* Under the lock. An answer of the deep step that found nothing leaves that of the quick one. */
static void publish(struct state *state, struct answer *answer, struct found *found)
{
	if (!found->count)
		return;
	free(answer->frames);
	answer->frames = xcalloc(found->count, sizeof(*answer->frames));
	answer->count = found->count;
	for (size_t i = 0; i < found->count; i++) {
		const struct name *name = &found->names[i];

		answer->frames[i] = (struct answer_frame){
			.symbol = pooled(state, name->symbol),
			.file = pooled(state, name->file),
			.module = pooled(state, name->module),
			.start = name->start,
			.line = name->line,
			.inlined = name->inlined,
			.wrapper = wrapper_is(name->symbol),
		};
	}
}

static bool stopping(const struct state *state)
{
	return atomic_load(&state->context.stop);
}

static void find_one(struct state *state, struct batch *batch, size_t index, int status)
{
	struct object *object = batch->object;
	struct answer *answer = batch->answers[index];
	struct found found = {0};

	if (!status)
		found.count = names_find(object->names, batch->step, batch->addresses[index],
					 found.names, RESOLVER_MAX_INLINED);
	pthread_mutex_lock(&state->lock);
	publish(state, answer, &found);
	if (batch->step == NAMES_QUICK && !status &&
	    (object->kind == NAMES_FILE || object->kind == NAMES_VDSO))
		*vec_push(&object->wanted[NAMES_DEEP]) = answer;
	else
		answer->pending = false;
	state->revision++;
	pthread_mutex_unlock(&state->lock);
	for (size_t i = 0; i < found.count; i++)
		name_deinit(&found.names[i]);
}

static void publish_object(struct state *state, struct object *object)
{
	pthread_mutex_lock(&state->lock);
	object->reason = pooled(state, names_reason(object->names));
	object->not_elf = names_not_elf(object->names);
	object->base = names_base(object->names);
	pthread_mutex_unlock(&state->lock);
}

/* Puts the questions back until the download has ended, if it has not yet. */
static void put_off(struct state *state, const struct batch *batch)
{
	struct object *object = batch->object;

	pthread_mutex_lock(&state->lock);
	for (size_t i = batch->count; i-- > 0;)
		*vec_push(&object->wanted[batch->step]) = batch->answers[i];
	object->fetching = state->fetches == batch->fetches;
	pthread_mutex_unlock(&state->lock);
}

static void run_batch(struct state *state, struct batch *batch)
{
	int status = names_load(batch->object->names, batch->step);

	batch->object->used = ++state->uses;
	publish_object(state, batch->object);
	if (status == -EAGAIN) {
		put_off(state, batch);
		return;
	}
	for (size_t i = 0; i < batch->count && !stopping(state); i++)
		find_one(state, batch, i, status);
	publish_object(state, batch->object);
}

/* To open a big file again costs more than it gives back, while there are questions to it; what
 * grows with the questions has its bound all the same. */
static bool is_needed(struct state *state, const struct object *object, size_t most_bytes)
{
	bool ret;

	pthread_mutex_lock(&state->lock);
	ret = object->wanted[NAMES_QUICK].count || object->wanted[NAMES_DEEP].count;
	pthread_mutex_unlock(&state->lock);
	return ret && names_grown_bytes(object->names) <= most_bytes;
}

/*
 * `objects` grows in the other thread: a copy of the list is taken under the lock. The objects
 * themselves stay.
 */
static void unload(struct state *state, size_t most_bytes, size_t most)
{
	VEC(struct object *) objects = {0};

	pthread_mutex_lock(&state->lock);
	for (size_t i = 0; i < state->objects.count; i++)
		*vec_push(&objects) = state->objects.data[i];
	pthread_mutex_unlock(&state->lock);
	for (;;) {
		struct object *oldest = NULL;
		size_t bytes = 0, count = 0;
		struct object **object;

		vec_for_each(object, &objects) {
			size_t own = names_bytes((*object)->names);

			if (!own)
				continue;
			bytes += own;
			count++;
			if (!oldest || (*object)->used < oldest->used)
				oldest = *object;
		}
		if (!oldest || (bytes <= most_bytes && count <= most) ||
		    (count == 1 && most && is_needed(state, oldest, most_bytes)))
			break;
		names_unload(oldest->names);
	}
	vec_deinit(&objects);
}

/* Addresses of generated code that had no name are asked anew once the JIT has written more. */
static void look_at_jit(struct state *state)
{
	struct object *jit = NULL;
	struct object **object;
	struct answer **answer;
	bool unnamed = false;

	pthread_mutex_lock(&state->lock);
	vec_for_each(object, &state->objects)
		if ((*object)->kind == NAMES_JIT)
			jit = *object;
	if (jit)
		vec_for_each(answer, &jit->answers)
			unnamed |= !(*answer)->count;
	pthread_mutex_unlock(&state->lock);
	if (!unnamed || !names_changed(jit->names))
		return;
	names_unload(jit->names);
	pthread_mutex_lock(&state->lock);
	jit->wanted[NAMES_QUICK].count = 0;
	vec_for_each(answer, &jit->answers)
		if (!(*answer)->count)
			*vec_push(&jit->wanted[NAMES_QUICK]) = *answer;
	pthread_mutex_unlock(&state->lock);
}

/* Nothing to do: wait for work; false once something is there or time is up. Under the lock. */
static void wait_for_work(struct state *state, unsigned *idle_ms)
{
	struct timespec deadline = worker_deadline(JIT_MS);

	pthread_cond_broadcast(&state->idle);
	if (pthread_cond_timedwait(&state->work, &state->lock, &deadline) != ETIMEDOUT)
		return;
	*idle_ms += JIT_MS;
	pthread_mutex_unlock(&state->lock);
	look_at_jit(state);
	if (*idle_ms == IDLE_MS) {
		unload(state, 0, 0);
		malloc_trim(0);
	}
	pthread_mutex_lock(&state->lock);
}

static void *run(void *argument)
{
	struct state *state = argument;
	struct batch batch;
	unsigned idle_ms = 0;

	pthread_setname_np(pthread_self(), "memtop-names");
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
	pthread_mutex_lock(&state->lock);
	while (!stopping(state)) {
		if (!take_batch(state, &batch)) {
			wait_for_work(state, &idle_ms);
			continue;
		}
		idle_ms = 0;
		state->busy = true;
		pthread_mutex_unlock(&state->lock);
		run_batch(state, &batch);
		unload(state, MAX_LOADED_BYTES, MAX_LOADED);
		pthread_mutex_lock(&state->lock);
		state->busy = false;
	}
	pthread_mutex_unlock(&state->lock);
	return NULL;
}

int worker_start(struct state *state)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int status;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	status = pthread_create(&state->thread, &attributes, run, state);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -status;
}
