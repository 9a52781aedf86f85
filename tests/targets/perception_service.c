/*
 * A perception service of an autonomous car, with the memory leak of one: camera threads decode
 * JPEG frames, extract features, run inference; and where a frame is bad, its buffer is forgotten.
 * It is what memtop was asked for, so the tests and the demonstration run on it.
 *
 * All signals are blocked in all threads; the main thread takes them one by one with
 * sigtimedwait(), so no handler ever runs. From "ready" on, nothing but the pipeline allocates.
 */
#include "service.h"
#include "ledger.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MODEL_PART_BYTES (4u << 20)

/* The model's weights, as loaders hold them: in parts, each touched. */
SITE static void *model_part_new(void *previous, size_t size)
{
	void **part = svc_malloc(size);

	memset(part, 0x5a, size);
	*part = previous;
	return part;
}

static void *model_load(uint64_t bytes)
{
	void *last = NULL;

	while (bytes) {
		size_t size = bytes < MODEL_PART_BYTES ? (size_t)bytes : MODEL_PART_BYTES;

		bytes -= size;
		last = model_part_new(last, size < sizeof(void *) ? sizeof(void *) : size);
	}
	return last;
}

/* 0, or -1 where the ledger could not be written, which it has reported. */
static int ledger_dump(struct service *service, unsigned int number)
{
	const char *path = service->options.ledger;
	char members[512];
	int err;

	if (!path)
		return 0;
	/* libjpeg's objects live inside jpeg_decode_frame() only: none between two frames. */
	snprintf(members, sizeof(members),
		 "\"pid\":%d,\n\"number\":%u,\n\"cameras\":%u,\n"
		 "\"frames\":{\"good\":%llu,\"bad\":%llu},\n"
		 "\"libjpeg_live\":{\"bytes\":0,\"blocks\":0},\n"
		 "\"kernel\":{\"pipes\":%llu,\"socketpairs\":%llu},\n",
		 (int)getpid(), number, service->options.cameras,
		 (unsigned long long)atomic_load(&service->good_frames),
		 (unsigned long long)atomic_load(&service->bad_frames),
		 (unsigned long long)atomic_load(&service->pipes),
		 (unsigned long long)atomic_load(&service->socketpairs));
	err = ledger_write(path, members);
	if (!err)
		return 0;
	dprintf(STDERR_FILENO, "perception_service: cannot write %s: %s\n", path,
		strerrordesc_np(-err));
	return -1;
}

static void quiesce(struct service *service)
{
	gate_close(&service->gate);
	fusion_wake(&service->fusion);
	gate_wait_quiet(&service->gate);
}

/* The next signal, or SIGTERM when the time is over. */
static int next_signal(const sigset_t *set, const struct timespec *end)
{
	for (;;) {
		struct timespec now, left;
		int number;

		if (!end)
			number = sigwaitinfo(set, NULL);
		else {
			clock_gettime(CLOCK_MONOTONIC, &now);
			left.tv_sec = end->tv_sec - now.tv_sec;
			left.tv_nsec = end->tv_nsec - now.tv_nsec;
			if (left.tv_nsec < 0) {
				left.tv_nsec += 1000000000;
				left.tv_sec--;
			}
			if (left.tv_sec < 0)
				return SIGTERM;
			number = sigtimedwait(set, NULL, &left);
		}
		if (number > 0)
			return number;
	}
}

static void end_time(double seconds, struct timespec *ret)
{
	clock_gettime(CLOCK_MONOTONIC, ret);
	ret->tv_sec += (time_t)seconds;
	ret->tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
	if (ret->tv_nsec >= 1000000000) {
		ret->tv_nsec -= 1000000000;
		ret->tv_sec++;
	}
}

/* The exit status. */
static int serve(struct service *service, const sigset_t *set)
{
	const struct timespec *limit = NULL;
	bool started = false, go = !service->options.wait;
	struct timespec end;
	unsigned int dumps = 0;
	int err;

	for (;;) {
		int number = go ? SIGUSR1 : next_signal(set, limit);

		go = false;
		if (number == SIGUSR1) {
			if (!started && service->options.seconds > 0) {
				end_time(service->options.seconds, &end);
				limit = &end;
			}
			started = true;
			gate_open(&service->gate);
			continue;
		}
		quiesce(service);
		err = ledger_dump(service, ++dumps);
		if (number != SIGUSR2)
			return err ? 1 : 0;
	}
}

static void print_ready(void)
{
	char line[32];
	int length = snprintf(line, sizeof(line), "ready %d\n", (int)getpid());

	if (write(STDOUT_FILENO, line, (size_t)length) != length)
		dprintf(STDERR_FILENO, "perception_service: cannot write to standard output\n");
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	static struct service service;
	void *volatile model;
	sigset_t set;
	int status = options_parse(argc, argv, &service.options);

	if (status)
		return status - 1;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (service.options.leak_kernel)
		raise_descriptor_limit();
	model = model_load(service.options.start_rss);
	(void)model;
	frame_set_init(&service.frames);
	service.cache = feature_cache_new();
	fusion_init(&service.fusion);
	gate_init(&service.gate, service.options.cameras + 1);
	status = cameras_start(&service);
	if (status) {
		fprintf(stderr, "perception_service: cannot start %u cameras: %s\n",
			service.options.cameras, strerror(-status));
		return 1;
	}
	gate_wait_quiet(&service.gate);
	ledger_mark_ready();
	if (service.options.wait)
		print_ready();
	return serve(&service, &set);
}
