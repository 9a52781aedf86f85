/*
 * The executable's own parts: options, the gate that stops all threads between two frames, and the
 * camera and fusion threads.
 *
 * A thread is quiet while it waits in the gate: it then is between two frames, and no allocation of
 * the service is under way. The service is quiescent when all its threads are.
 */
#ifndef TARGETS_SERVICE_H
#define TARGETS_SERVICE_H

#include "perception.h"

#define CAMERAS_MAX 256

struct options {
	unsigned int cameras;
	unsigned int fps;	/* 0: as fast as it can */
	unsigned int bad_every; /* 0: none */
	uint64_t frames;	/* of each camera; 0: no end */
	uint64_t start_rss;
	double seconds; /* 0: no end */
	bool leak_kernel;
	bool fixed;
	bool wait;
	const char *ledger; /* borrowed from argv, or NULL */
};

/* 0, or the exit status + 1 where the process should end (help, or an error it has reported). */
int options_parse(int argc, char **argv, struct options *ret);

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	atomic_bool closed;
	unsigned int threads;
	unsigned int quiet;
};

void gate_init(struct gate *gate, unsigned int threads);
/* Waits while the gate is closed. True if it had to. */
bool gate_pass(struct gate *gate);
/* Waits until @deadline or until the gate closes. */
void gate_sleep(struct gate *gate, const struct timespec *deadline);
/* Closes the gate; gate_wait_quiet() then returns once every thread waits in it. */
void gate_close(struct gate *gate);
void gate_wait_quiet(struct gate *gate);
void gate_open(struct gate *gate);

struct service {
	struct options options;
	struct frame_set frames;
	struct gate gate;
	struct fusion fusion;
	struct feature_cache *cache;
	_Atomic uint64_t good_frames;
	_Atomic uint64_t bad_frames;
	_Atomic uint64_t pipes;
	_Atomic uint64_t socketpairs;
	_Atomic unsigned int cameras_done; /* those that made all of --frames */
	atomic_bool kernel_full;	   /* no more descriptors to be had */
};

/* Starts the threads; they wait in the gate. 0 or -errno. */
int cameras_start(struct service *service);

#endif
