/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/kernel_exercise.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAPPINGS   32
#define PAGE	   4096
#define LARGE_PIPE (1 << 20) /* what anyone may ask for, if the limit was not changed */

static void give_back(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void exercise_pipes_and_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int ends[2], epoll, counter, timer;
	char byte = 0;

	if (pipe(ends))
		return;
	epoll = epoll_create1(0);
	counter = eventfd(0, 0);
	timer = timerfd_create(CLOCK_MONOTONIC, 0);
	epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
	epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event);
	epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
	/* The ring of a large pipe takes pages of its own. */
	fcntl(ends[1], F_SETPIPE_SZ, LARGE_PIPE);
	if (write(ends[1], &byte, 1) == 1)
		epoll_wait(epoll, &event, 1, 0);
	epoll_ctl(epoll, EPOLL_CTL_DEL, counter, &event);
	give_back(ends[0]);
	give_back(ends[1]);
	give_back(counter);
	give_back(timer);
	give_back(epoll);
}

static void exercise_unix_sockets(int type)
{
	char bytes[512] = {0};
	int ends[2];

	if (socketpair(AF_UNIX, type, 0, ends))
		return;
	if (send(ends[0], bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
		recv(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT);
	give_back(ends[0]);
	give_back(ends[1]);
}

static int bound_socket(int type, struct sockaddr_in *address)
{
	socklen_t size = sizeof(*address);
	int fd = socket(AF_INET, type, 0);

	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && (bind(fd, (struct sockaddr *)address, size) ||
			getsockname(fd, (struct sockaddr *)address, &size))) {
		give_back(fd);
		return -1;
	}
	return fd;
}

static void exercise_datagrams(void)
{
	struct sockaddr_in address;
	int fd = bound_socket(SOCK_DGRAM, &address);
	char bytes[256] = {0};

	if (fd < 0)
		return;
	if (sendto(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&address,
		   sizeof(address)) > 0)
		recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	give_back(fd);
}

static void exercise_streams(void)
{
	/* Reset instead of the usual end: that would keep a TIME-WAIT socket for a minute. */
	struct linger reset = {.l_onoff = 1, .l_linger = 0};
	struct sockaddr_in address;
	int server = bound_socket(SOCK_STREAM, &address);
	int client = -1, accepted = -1;
	char bytes[256] = {0};

	if (server < 0)
		return;
	if (!listen(server, 1))
		client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (client >= 0) {
		struct pollfd ready = {.fd = server, .events = POLLIN};

		setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		connect(client, (struct sockaddr *)&address, sizeof(address));
		if (poll(&ready, 1, 10) > 0)
			accepted = accept4(server, NULL, NULL, SOCK_NONBLOCK);
		if (accepted >= 0 && send(client, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
			recv(accepted, bytes, sizeof(bytes), MSG_DONTWAIT);
	}
	give_back(client);
	give_back(accepted);
	give_back(server);
}

/* Neighbours differ in protection, so that each is an area of its own. */
static void exercise_mappings(void)
{
	char *base = mmap(NULL, MAPPINGS * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return;
	for (int i = 0; i < MAPPINGS; i++) {
		base[i * PAGE] = 1;
		if (i % 2)
			mprotect(base + i * PAGE, PAGE, PROT_READ);
	}
	for (int i = 1; i < MAPPINGS; i += 3)
		munmap(base + i * PAGE, PAGE);
	munmap(base, MAPPINGS * PAGE);
}

static void exercise_files(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	int memory = memfd_create("memtop", MFD_CLOEXEC);
	char byte = 0;

	give_back(open("/dev/null", O_RDWR | O_CLOEXEC));
	if (memory < 0)
		return;
	if (write(memory, &byte, 1) == 1 && !fcntl(memory, F_SETLK, &lock)) {
		void *base = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memory, 0);

		if (base != MAP_FAILED) {
			*(volatile char *)base;
			munmap(base, PAGE);
		}
	}
	give_back(memory);
}

/* Without a signal at its end, as that would be kept in memtop. */
static void exercise_processes(void)
{
	long child = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);

	if (!child)
		_exit(0);
	if (child > 0)
		waitpid(child, NULL, __WALL);
}

void kernel_exercise(void)
{
	for (int i = 0; i < KERNEL_EXERCISE_ROUNDS; i++) {
		exercise_pipes_and_epoll();
		exercise_unix_sockets(SOCK_STREAM);
		exercise_unix_sockets(SOCK_DGRAM);
		exercise_datagrams();
		exercise_streams();
		exercise_mappings();
		exercise_files();
	}
	exercise_processes();
}
