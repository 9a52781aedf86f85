/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests are served one after the other, in the order asked. One that failed is remembered, so
 * that nobody waits for it twice; one that succeeded is forgotten once its descriptor was taken:
 * asked for again, it comes from the library's cache.
 *
 * The library is loaded when it is first needed: memtop does not depend on it. It calls its
 * progress function at least once a second, which is where a download is ended.
 */
#include "symbol/fetch.h"

#include "symbol/debugfile.h"
#include "util/alloc.h"
#include "util/vec.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_REQUESTS	   4096
#define MAX_DOWNLOAD_BYTES ((long)4 << 30)

enum request_state {
	REQUEST_WAITS,
	REQUEST_FOUND, /* fd is to be taken */
	REQUEST_FAILED
};

struct request {
	uint8_t id[DEBUG_ID_MAX];
	size_t size;
	enum request_state state;
	int fd;
};

struct client {
	void *library;
	void *handle;
	void *(*begin)(void);
	void (*end)(void *handle);
	int (*find)(void *handle, const unsigned char *id, int size, char **path);
	void (*set_progress)(void *handle, int (*function)(void *handle, long done, long all));
	void (*set_data)(void *handle, void *data);
	void (*set_verbose_fd)(void *handle, int fd);
};

struct fetcher {
	void (*done)(void *opaque);
	void *opaque;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	atomic_bool stop;

	/* Under the lock. */
	VEC(struct request) requests;

	/* The thread's. */
	struct client client;
	long stall_s;
	long last_bytes;
	time_t started, moved;
};

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/*
 * Not 0 ends the download. `done` are bytes, of `all` if the server told; before a server has
 * answered it counts the calls, which is no progress.
 */
static int on_progress(void *handle, long done, long all)
{
	void *symbol = dlsym(RTLD_DEFAULT, "debuginfod_get_user_data");
	void *(*get_data)(void *handle);
	struct fetcher *fetcher;
	time_t now = now_s();

	if (!symbol)
		return 1;
	memcpy(&get_data, &symbol, sizeof(get_data));
	fetcher = get_data(handle);
	if (done > fetcher->last_bytes + 1 || (all > 0 && done != fetcher->last_bytes))
		fetcher->moved = now;
	fetcher->last_bytes = done;
	return atomic_load(&fetcher->stop) || now - fetcher->moved >= fetcher->stall_s ||
	       now - fetcher->started >= FETCH_TOTAL_S || done > MAX_DOWNLOAD_BYTES ||
	       all > MAX_DOWNLOAD_BYTES;
}

static bool client_load(struct client *client)
{
	const struct {
		const char *name;
		void *function;
	} wanted[] = {
		{"debuginfod_begin", &client->begin},
		{"debuginfod_end", &client->end},
		{"debuginfod_find_debuginfo", &client->find},
		{"debuginfod_set_progressfn", &client->set_progress},
		{"debuginfod_set_user_data", &client->set_data},
		{"debuginfod_set_verbose_fd", &client->set_verbose_fd},
	};

	/* Global, as on_progress() looks a function up. Never unloaded: it leaves threads. */
	client->library = dlopen("libdebuginfod.so.1", RTLD_LAZY | RTLD_GLOBAL);
	if (!client->library)
		return false;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		void *found = dlsym(client->library, wanted[i].name);

		if (!found)
			return false;
		memcpy(wanted[i].function, &found, sizeof(found));
	}
	client->handle = client->begin();
	return client->handle != NULL;
}

static int download(struct fetcher *fetcher, const struct request *request)
{
	struct client *client = &fetcher->client;
	char *path = NULL;
	int fd;

	if (!client->library && client_load(client)) {
		client->set_data(client->handle, fetcher);
		client->set_progress(client->handle, on_progress);
		client->set_verbose_fd(client->handle, -1); /* stderr is the screen's */
	}
	if (!client->handle)
		return -ENOENT;
	fetcher->last_bytes = 0;
	fetcher->started = fetcher->moved = now_s();
	fd = client->find(client->handle, request->id, (int)request->size, &path);
	free(path);
	if (fd < 0 || debug_file_is(fd, request->id, request->size))
		return fd;
	close(fd);
	return -ENOENT;
}

static struct request *first_waiting(struct fetcher *fetcher)
{
	struct request *request;

	vec_for_each(request, &fetcher->requests)
		if (request->state == REQUEST_WAITS)
			return request;
	return NULL;
}

static struct request *find_request(struct fetcher *fetcher, const void *id, size_t size)
{
	struct request *request;

	vec_for_each(request, &fetcher->requests)
		if (request->size == size && !memcmp(request->id, id, size))
			return request;
	return NULL;
}

static void *run(void *argument)
{
	struct fetcher *fetcher = argument;
	struct request *request, now;
	int fd;

	pthread_setname_np(pthread_self(), "memtop-fetch");
	pthread_mutex_lock(&fetcher->lock);
	while (!atomic_load(&fetcher->stop)) {
		request = first_waiting(fetcher);
		if (!request) {
			pthread_cond_wait(&fetcher->work, &fetcher->lock);
			continue;
		}
		now = *request;
		pthread_mutex_unlock(&fetcher->lock);
		fd = download(fetcher, &now);
		pthread_mutex_lock(&fetcher->lock);
		request = find_request(fetcher, now.id, now.size); /* others may have moved it */
		request->state = fd < 0 ? REQUEST_FAILED : REQUEST_FOUND;
		request->fd = fd;
		pthread_mutex_unlock(&fetcher->lock);
		fetcher->done(fetcher->opaque);
		pthread_mutex_lock(&fetcher->lock);
	}
	pthread_mutex_unlock(&fetcher->lock);
	return NULL;
}

int fetcher_find(struct fetcher *fetcher, const void *id, size_t size)
{
	struct request *request;
	int ret = -EAGAIN;

	if (!fetcher || size < 2 || size > DEBUG_ID_MAX)
		return -ENOENT;
	pthread_mutex_lock(&fetcher->lock);
	request = find_request(fetcher, id, size);
	if (request && request->state == REQUEST_FAILED) {
		ret = -ENOENT;
	} else if (request && request->state == REQUEST_FOUND) {
		ret = request->fd;
		*request = fetcher->requests.data[--fetcher->requests.count];
	} else if (!request && fetcher->requests.count >= MAX_REQUESTS) {
		ret = -ENOENT;
	} else if (!request) {
		request = vec_push(&fetcher->requests);
		*request = (struct request){.size = size, .fd = -1};
		memcpy(request->id, id, size);
		pthread_cond_signal(&fetcher->work);
	}
	pthread_mutex_unlock(&fetcher->lock);
	return ret;
}

static long stall_limit(void)
{
	const char *text = getenv("DEBUGINFOD_TIMEOUT");
	long seconds = text ? strtol(text, NULL, 10) : 0;

	return seconds > 0 && seconds < FETCH_STALL_S ? seconds : FETCH_STALL_S;
}

static void fetcher_deinit(struct fetcher *fetcher)
{
	struct request *request;

	vec_for_each(request, &fetcher->requests)
		if (request->fd >= 0)
			close(request->fd);
	vec_deinit(&fetcher->requests);
	if (fetcher->client.handle)
		fetcher->client.end(fetcher->client.handle);
	pthread_cond_destroy(&fetcher->work);
	pthread_mutex_destroy(&fetcher->lock);
	free(fetcher);
}

struct fetcher *fetcher_new(void (*done)(void *opaque), void *opaque)
{
	const char *servers = getenv("DEBUGINFOD_URLS");
	struct fetcher *fetcher;
	sigset_t all, before;
	int status;

	if (!servers || !servers[strspn(servers, " ")])
		return NULL;
	fetcher = xcalloc(1, sizeof(*fetcher));
	fetcher->done = done;
	fetcher->opaque = opaque;
	fetcher->stall_s = stall_limit();
	pthread_mutex_init(&fetcher->lock, NULL);
	pthread_cond_init(&fetcher->work, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = pthread_create(&fetcher->thread, NULL, run, fetcher);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!status)
		return fetcher;
	fetcher_deinit(fetcher);
	return NULL;
}

void fetcher_stop(struct fetcher *fetcher)
{
	if (!fetcher)
		return;
	pthread_mutex_lock(&fetcher->lock);
	atomic_store(&fetcher->stop, true);
	pthread_cond_signal(&fetcher->work);
	pthread_mutex_unlock(&fetcher->lock);
}

bool fetcher_free(struct fetcher *fetcher, unsigned timeout_ms)
{
	struct timespec deadline;

	if (!fetcher)
		return true;
	fetcher_stop(fetcher);
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += timeout_ms / 1000;
	if (pthread_clockjoin_np(fetcher->thread, NULL, CLOCK_MONOTONIC, &deadline)) {
		pthread_detach(fetcher->thread);
		return false;
	}
	fetcher_deinit(fetcher);
	return true;
}
