/*
 * The camera threads: one image each 1/fps s, through the gate, into the pipeline; and the fusion
 * thread that takes what they found. A thread that falls behind skips time instead of catching up.
 */
#include "service.h"
#include "ledger.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct camera {
	struct service *service;
	struct vision vision;
};

void gate_init(struct gate *gate, unsigned int threads)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&gate->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&gate->changed, &attr);
	pthread_condattr_destroy(&attr);
	gate->threads = threads;
	gate->quiet = 0;
	atomic_init(&gate->closed, true);
}

bool gate_pass(struct gate *gate)
{
	bool waited = false;

	pthread_mutex_lock(&gate->lock);
	if (atomic_load(&gate->closed)) {
		waited = true;
		gate->quiet++;
		pthread_cond_broadcast(&gate->changed);
		while (atomic_load(&gate->closed))
			pthread_cond_wait(&gate->changed, &gate->lock);
		gate->quiet--;
	}
	pthread_mutex_unlock(&gate->lock);
	return waited;
}

void gate_sleep(struct gate *gate, const struct timespec *deadline)
{
	pthread_mutex_lock(&gate->lock);
	while (!atomic_load(&gate->closed))
		if (pthread_cond_timedwait(&gate->changed, &gate->lock, deadline) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&gate->lock);
}

void gate_close(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	atomic_store(&gate->closed, true);
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

void gate_wait_quiet(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->quiet < gate->threads)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	atomic_store(&gate->closed, false);
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

/* The kernel's leak: descriptors with a page of data in them, that nobody closes. */
static void keep_kernel_memory(struct service *service)
{
	static const char data[4096];
	int fds[2];

	if (atomic_load(&service->kernel_full))
		return;
	if (!pipe(fds)) {
		if (write(fds[1], data, sizeof(data)) > 0)
			atomic_fetch_add(&service->pipes, 1);
		if (!socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) {
			if (write(fds[1], data, sizeof(data)) > 0)
				atomic_fetch_add(&service->socketpairs, 1);
			return;
		}
	}
	if (!atomic_exchange(&service->kernel_full, true))
		dprintf(STDERR_FILENO, "perception_service: --leak-kernel stops here: %s\n",
			strerrordesc_np(errno));
}

static const struct jpeg_image *next_image(struct camera *camera, uint64_t frame_number)
{
	const struct frame_set *set = &camera->service->frames;
	unsigned int every = camera->service->options.bad_every;
	uint64_t at = frame_number + camera->vision.camera;

	if (every && frame_number % every == every - 1) {
		atomic_fetch_add(&camera->service->bad_frames, 1);
		return &set->bad[frame_number / every % set->bad_count];
	}
	atomic_fetch_add(&camera->service->good_frames, 1);
	return &set->good[at % set->good_count];
}

static void next_deadline(struct timespec *deadline, unsigned int fps, bool restart)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	deadline->tv_nsec += 1000000000 / fps;
	if (deadline->tv_nsec >= 1000000000) {
		deadline->tv_nsec -= 1000000000;
		deadline->tv_sec++;
	}
	if (restart || now.tv_sec > deadline->tv_sec ||
	    (now.tv_sec == deadline->tv_sec && now.tv_nsec > deadline->tv_nsec))
		*deadline = now;
}

/* All frames are made: quiet for good, and the last camera to be so ends the service. */
static void camera_done(struct service *service)
{
	if (atomic_fetch_add(&service->cameras_done, 1) + 1 == service->options.cameras)
		kill(getpid(), SIGTERM);
	for (;;) {
		struct timespec never = {.tv_sec = (time_t)1 << 40};

		gate_sleep(&service->gate, &never);
		gate_pass(&service->gate);
	}
}

SITE static void camera_loop(struct camera *camera)
{
	struct service *service = camera->service;
	const struct options *options = &service->options;
	struct timespec deadline = {0};

	for (uint64_t number = 0; !options->frames || number < options->frames; number++) {
		bool paused = gate_pass(&service->gate);

		process_image(&camera->vision, next_image(camera, number));
		if (options->leak_kernel && number % (options->fps + 1) == 0)
			keep_kernel_memory(service);
		if (options->fps) {
			next_deadline(&deadline, options->fps, paused);
			gate_sleep(&service->gate, &deadline);
		}
	}
	camera_done(service);
}

static void *camera_thread(void *arg)
{
	camera_loop(arg);
	return NULL;
}

static void *fusion_thread(void *arg)
{
	struct service *service = arg;

	for (;;) {
		struct message *message;

		gate_pass(&service->gate);
		message = fusion_take(&service->fusion, &service->gate.closed);
		if (message)
			fusion_handle(&service->fusion, message);
	}
	return NULL;
}

static uint64_t cache_period(const struct options *options)
{
	uint64_t frames = (uint64_t)(options->fps ? options->fps : 30) * options->cameras *
			  CACHE_FILL_SECONDS;

	if (options->bad_every)
		frames -= frames / options->bad_every;
	return frames < CACHE_ENTRIES ? 1 : frames / CACHE_ENTRIES;
}

SITE static struct camera *camera_new(struct service *service, unsigned int number)
{
	struct camera *camera = svc_calloc(1, sizeof(*camera));

	camera->service = service;
	camera->vision = (struct vision){.camera = number,
					 .fixed = service->options.fixed,
					 .cache_period = cache_period(&service->options),
					 .cache = service->cache,
					 .fusion = &service->fusion};
	return camera;
}

static int thread_start(void *(*run)(void *), void *arg, const char *name)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, run, arg);

	if (err)
		return -err;
	pthread_setname_np(thread, name);
	pthread_detach(thread);
	return 0;
}

int cameras_start(struct service *service)
{
	int err = thread_start(fusion_thread, service, "fusion");

	for (unsigned int i = 0; i < service->options.cameras && !err; i++) {
		char name[16];

		snprintf(name, sizeof(name), "cam-%u", i);
		err = thread_start(camera_thread, camera_new(service, i), name);
	}
	return err;
}
