/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finding and opening the next process takes its time: a thread does it, and says by a descriptor
 * that it is done. It runs only while there is no process, and touches nothing but `next` until it
 * was joined.
 */
#include "follow.h"

#include "util/alloc.h"
#include "util/log.h"
#include "util/vec.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_MS	   100 /* between looks for a process */
#define REFUSED_MS 2000
#define MAX_FOUND  64
#define ERROR_SIZE 512

struct part {
	struct follow_process process;
	const struct modules *modules; /* what its pictures go by; NULL until the first read */
	unsigned generation;	       /* its last one */
};

struct follow {
	struct source source;
	struct resolver resolver;
	const struct follow_ops *ops;
	void *context;
	VEC(struct part) parts; /* the last one is the present */
	unsigned before;	/* generations of the others */
	uint32_t last_id;
	enum level level;
	bool level_set;
	bool kernel_set, kernel_on;

	int wait_fd; /* polls readable for the present one's, and for found_fd */
	int found_fd, stop_fd;
	bool waiting;	/* the present one has ended */
	bool gave_up;	/* its books are closed */
	bool searching; /* the thread is to be joined */
	pthread_t thread;
	struct follow_process next; /* the thread's */
};

static struct follow *of_source(struct source *source)
{
	return (struct follow *)source;
}

static struct follow *of_resolver(struct resolver *resolver)
{
	return (struct follow *)((char *)resolver - offsetof(struct follow, resolver));
}

static struct part *present(const struct follow *follow)
{
	return &follow->parts.data[follow->parts.count - 1];
}

/* --- the search --- */

/* True if it was told to stop. */
static bool stopped(const struct follow *follow, int ms)
{
	struct pollfd stop = {.fd = follow->stop_fd, .events = POLLIN};

	return poll(&stop, 1, ms) > 0;
}

/* 0, -ESRCH if there is none yet, or -errno of one that cannot be watched. */
static int open_next(struct follow *follow, char *error, size_t size)
{
	pid_t pids[MAX_FOUND];
	int count = follow->ops->find(follow->context, pids, MAX_FOUND);
	int status = count < 0 ? count : -ESRCH;

	for (int i = 0; i < count && i < MAX_FOUND; i++) {
		status = follow->ops->open(follow->context, pids[i], follow->last_id,
					   follow->level_set ? &follow->level : NULL, &follow->next,
					   error, size);
		if (!status)
			break;
	}
	return status;
}

static void *search(void *argument)
{
	struct follow *follow = argument;
	char error[ERROR_SIZE], told[ERROR_SIZE] = "";

	for (;;) {
		int status;

		*error = '\0';
		status = open_next(follow, error, sizeof(error));
		if (!status)
			break;
		/* Why it is not watched is said once; it may be another one's turn soon. */
		if (status != -ESRCH && strcmp(error, told)) {
			log_error("%s", *error ? error : strerror(-status));
			memcpy(told, error, sizeof(told));
		}
		if (stopped(follow, status == -ESRCH ? LOOK_MS : REFUSED_MS))
			return NULL;
	}
	eventfd_write(follow->found_fd, 1);
	return NULL;
}

/* Signals are the main thread's. */
static void start_search(struct follow *follow)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	follow->searching = !pthread_create(&follow->thread, NULL, search, follow);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void watch_fd(struct follow *follow, int operation)
{
	struct source *source = present(follow)->process.source;
	struct epoll_event readable = {.events = EPOLLIN};
	int fd = source->ops->wait_fd ? source->ops->wait_fd(source) : -1;

	if (fd >= 0)
		epoll_ctl(follow->wait_fd, operation, fd, &readable);
}

static int watch_kernel(struct follow *follow, bool on)
{
	struct source *source = present(follow)->process.source;

	return source->ops->watch_kernel ? source->ops->watch_kernel(source, on) : -EOPNOTSUPP;
}

/* The thread is done: what it has opened is the present one. */
static bool take_next(struct follow *follow)
{
	eventfd_t found;

	if (!follow->searching) {
		start_search(follow); /* as it could not be, before */
		return false;
	}
	if (eventfd_read(follow->found_fd, &found))
		return false;
	pthread_join(follow->thread, NULL);
	follow->searching = follow->waiting = follow->gave_up = false;
	follow->before = present(follow)->generation;
	*vec_push(&follow->parts) = (struct part){.process = follow->next};
	memset(&follow->next, 0, sizeof(follow->next));
	watch_fd(follow, EPOLL_CTL_ADD);
	if (follow->kernel_set)
		watch_kernel(follow, follow->kernel_on);
	return true;
}

/* --- the source --- */

static int read_present(struct follow *follow, uint64_t now_ns, struct snapshot *ret)
{
	struct part *part = present(follow);
	int status = source_read(part->process.source, now_ns, ret);

	if (status)
		return status;
	ret->generation += follow->before;
	part->generation = ret->generation;
	part->modules = ret->modules;
	for (size_t i = 0; i < ret->site_count; i++)
		if (ret->sites[i].info->id > follow->last_id)
			follow->last_id = ret->sites[i].info->id;
	if (!ret->final || ret->target.status == TARGET_RUNNING)
		return 0;
	ret->followed = follow->waiting = true;
	watch_fd(follow, EPOLL_CTL_DEL);
	start_search(follow);
	return 0;
}

static int follow_read(struct source *source, uint64_t now_ns, struct snapshot *ret)
{
	struct follow *follow = of_source(source);

	if (follow->waiting && !take_next(follow)) {
		/* Asked once more it knows that nobody asks for its books again. */
		if (!follow->gave_up)
			source_read(present(follow)->process.source, now_ns, ret);
		follow->gave_up = true;
		return -EAGAIN;
	}
	return read_present(follow, now_ns, ret);
}

static int follow_cohorts(struct source *source, size_t index, struct cohorts *ret)
{
	return source_cohorts(present(of_source(source))->process.source, index, ret);
}

static int follow_set_level(struct source *source, enum level level)
{
	struct follow *follow = of_source(source);
	struct source *inner = present(follow)->process.source;
	int status;

	if (follow->waiting)
		return -ESRCH;
	status = inner->ops->set_level ? inner->ops->set_level(inner, level) : -EOPNOTSUPP;
	if (!status) {
		follow->level = level;
		follow->level_set = true;
	}
	return status;
}

static int follow_watch_kernel(struct source *source, bool on)
{
	struct follow *follow = of_source(source);

	if (follow->waiting)
		return -ESRCH;
	follow->kernel_set = true;
	follow->kernel_on = on;
	return watch_kernel(follow, on);
}

static int follow_wait_fd(struct source *source)
{
	return of_source(source)->wait_fd;
}

static void close_nothing(struct source *source)
{
	(void)source; /* follow_free() does */
}

static const struct source_ops source_ops = {
	.read = follow_read,
	.cohorts = follow_cohorts,
	.set_level = follow_set_level,
	.watch_kernel = follow_watch_kernel,
	.wait_fd = follow_wait_fd,
	.close = close_nothing,
};

/* --- the resolver --- */

static struct resolver *resolver_of(struct follow *follow, const struct modules *modules)
{
	for (size_t i = follow->parts.count; i--;)
		if (follow->parts.data[i].modules == modules)
			return follow->parts.data[i].process.resolver;
	return present(follow)->process.resolver;
}

static size_t follow_resolve(struct resolver *resolver, const struct modules *modules,
			     const struct site_info *site, unsigned index, struct frame *ret,
			     size_t cap)
{
	return resolver_resolve(resolver_of(of_resolver(resolver), modules), modules, site, index,
				ret, cap);
}

static const char *follow_reason(struct resolver *resolver, const struct modules *modules,
				 const struct site_info *site, unsigned index)
{
	return resolver_reason(resolver_of(of_resolver(resolver), modules), modules, site, index);
}

static uint64_t follow_revision(struct resolver *resolver)
{
	struct follow *follow = of_resolver(resolver);
	uint64_t sum = follow->parts.count;
	const struct part *part;

	vec_for_each(part, &follow->parts)
		sum += part->process.resolver->ops->revision(part->process.resolver);
	return sum;
}

static void follow_settle(struct resolver *resolver, unsigned timeout_ms)
{
	struct resolver *inner = present(of_resolver(resolver))->process.resolver;

	inner->ops->settle(inner, timeout_ms);
}

static void close_no_resolver(struct resolver *resolver)
{
	(void)resolver;
}

static const struct resolver_ops resolver_ops = {
	.resolve = follow_resolve,
	.reason = follow_reason,
	.revision = follow_revision,
	.settle = follow_settle,
	.close = close_no_resolver,
};

/* --- all together --- */

static void process_close(struct follow_process *process)
{
	source_close(process->source);
	resolver_close(process->resolver);
}

int follow_new(const struct follow_ops *ops, void *context, const struct follow_process *first,
	       struct follow **ret)
{
	struct follow *follow = xcalloc(1, sizeof(*follow));
	struct epoll_event readable = {.events = EPOLLIN};
	int status;

	follow->source.ops = &source_ops;
	follow->resolver.ops = &resolver_ops;
	follow->ops = ops;
	follow->context = context;
	*vec_push(&follow->parts) = (struct part){.process = *first};
	follow->found_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	follow->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	follow->wait_fd = epoll_create1(EPOLL_CLOEXEC);
	if (follow->found_fd < 0 || follow->stop_fd < 0 || follow->wait_fd < 0 ||
	    epoll_ctl(follow->wait_fd, EPOLL_CTL_ADD, follow->found_fd, &readable)) {
		status = -errno;
		follow_free(follow);
		return status;
	}
	watch_fd(follow, EPOLL_CTL_ADD);
	*ret = follow;
	return 0;
}

struct source *follow_source(struct follow *follow)
{
	return &follow->source;
}

struct resolver *follow_resolver(struct follow *follow)
{
	return &follow->resolver;
}

void follow_forget(struct follow *follow, unsigned generation)
{
	size_t gone = 0;

	while (gone + 1 < follow->parts.count && follow->parts.data[gone].generation < generation)
		process_close(&follow->parts.data[gone++].process);
	follow->parts.count -= gone;
	memmove(follow->parts.data, follow->parts.data + gone,
		follow->parts.count * sizeof(*follow->parts.data));
}

void follow_free(struct follow *follow)
{
	struct part *part;

	if (!follow)
		return;
	if (follow->searching) {
		eventfd_write(follow->stop_fd, 1);
		pthread_join(follow->thread, NULL);
		process_close(&follow->next);
	}
	vec_for_each(part, &follow->parts)
		process_close(&part->process);
	vec_deinit(&follow->parts);
	if (follow->found_fd >= 0)
		close(follow->found_fd);
	if (follow->stop_fd >= 0)
		close(follow->stop_fd);
	if (follow->wait_fd >= 0)
		close(follow->wait_fd);
	free(follow);
}
