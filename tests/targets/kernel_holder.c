/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A target that holds kernel memory and gives it back, on command. One command a line on standard
 * input, one line of JSON in answer: the ledger of what it keeps, by what was asked for. All its
 * own memory is static, so that it asks the kernel for nothing but that.
 *
 *   pipes N  sockets N  streams N  memfds N  epolls N   open so many more (streams: TCP sockets)
 *   close KIND          closes all of one kind
 *   give KIND PATH      passes them to who listens on the Unix socket PATH, and closes its own
 *   child N             a child opens N pipes and keeps them
 *   reap                that child ends
 *   churn N             N rounds of opening and closing a pipe, and of mapping and unmapping
 *   cpu N               runs on CPU N alone from now on; on any that there is if N is -1
 *   ledger              nothing
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT_MAX 16384

struct kind {
	const char *name;
	int fds_each;
	int (*open_one)(int fds[2]); /* 0, or -1 with errno */
	int fds[KEPT_MAX];
	int count;
};

static pid_t child;

static int open_pipe(int fds[2])
{
	return pipe(fds);
}

static int open_socket(int fds[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static int open_stream(int fds[2])
{
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	return fds[0] < 0 ? -1 : 0;
}

static int open_memfd(int fds[2])
{
	fds[0] = memfd_create("held", 0);
	return fds[0] < 0 ? -1 : 0;
}

static int open_epoll(int fds[2])
{
	struct epoll_event event = {.events = EPOLLIN};

	fds[0] = epoll_create1(0);
	fds[1] = eventfd(0, 0);
	return fds[0] < 0 || fds[1] < 0 ? -1 : epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[1], &event);
}

static struct kind kinds[] = {
	{.name = "pipes", .fds_each = 2, .open_one = open_pipe},
	{.name = "sockets", .fds_each = 2, .open_one = open_socket},
	{.name = "streams", .fds_each = 1, .open_one = open_stream},
	{.name = "memfds", .fds_each = 1, .open_one = open_memfd},
	{.name = "epolls", .fds_each = 2, .open_one = open_epoll},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(*kinds))

static struct kind *kind_find(const char *name)
{
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

static void say_ledger(const char *error)
{
	printf("{\"error\":");
	printf(error ? "\"%s\"" : "null", error);
	for (size_t i = 0; i < KIND_COUNT; i++)
		printf(",\"%s\":%d", kinds[i].name, kinds[i].count / kinds[i].fds_each);
	printf("}\n");
	fflush(stdout);
}

static const char *keep(struct kind *kind, int more)
{
	for (int i = 0; i < more; i++) {
		if (kind->count + kind->fds_each > KEPT_MAX)
			return "too many";
		if (kind->open_one(kind->fds + kind->count))
			return strerror(errno);
		kind->count += kind->fds_each;
	}
	return NULL;
}

static void close_all(struct kind *kind)
{
	while (kind->count)
		close(kind->fds[--kind->count]);
}

static int pass(int connection, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte = 0;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(connection, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* The other side answers with one byte once it has them all. */
static const char *give(struct kind *kind, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int connection = socket(AF_UNIX, SOCK_STREAM, 0);
	const char *error = NULL;
	char byte;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(connection, (struct sockaddr *)&address, sizeof(address)))
		error = strerror(errno);
	for (int i = 0; i < kind->count && !error; i++)
		if (pass(connection, kind->fds[i]))
			error = strerror(errno);
	if (!error && (shutdown(connection, SHUT_WR) || read(connection, &byte, 1) != 1))
		error = "the other side did not take them";
	close(connection);
	if (!error)
		close_all(kind);
	return error;
}

static const char *start_child(int count)
{
	int ready[2];
	char byte;

	if (pipe(ready))
		return strerror(errno);
	child = fork();
	if (!child) {
		int fds[2];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		for (int i = 0; i < count; i++)
			if (pipe(fds))
				_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		close(ready[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (child < 0 || read(ready[0], &byte, 1) != 1) {
		close(ready[0]);
		return "the child failed";
	}
	close(ready[0]);
	return NULL;
}

static const char *reap_child(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	child = 0;
	return NULL;
}

static const char *churn(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		int fds[2];
		void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED || pipe(fds))
			return strerror(errno);
		close(fds[0]);
		close(fds[1]);
		munmap(memory, 4096);
	}
	return NULL;
}

static const char *run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus) ? strerror(errno) : NULL;
}

static const char *obey(char *line)
{
	char *save;
	const char *verb = strtok_r(line, " \n", &save);
	const char *what = strtok_r(NULL, " \n", &save);
	const char *path = strtok_r(NULL, " \n", &save);
	struct kind *kind;

	if (!verb)
		return "no command";
	if (!strcmp(verb, "ledger"))
		return NULL;
	if (!strcmp(verb, "reap"))
		return reap_child();
	if (!what)
		return "what?";
	if (!strcmp(verb, "child"))
		return start_child(atoi(what));
	if (!strcmp(verb, "cpu"))
		return run_on(atoi(what));
	if (!strcmp(verb, "churn"))
		return churn(atoi(what));
	kind = kind_find(verb);
	if (kind)
		return keep(kind, atoi(what));
	kind = kind_find(what);
	if (kind && !strcmp(verb, "give") && path)
		return give(kind, path);
	if (!kind || strcmp(verb, "close"))
		return "unknown command";
	close_all(kind);
	return NULL;
}

int main(void)
{
	static char input[4096], output[4096];
	struct rlimit limit;
	char line[256];

	setvbuf(stdin, input, _IOLBF, sizeof(input));
	setvbuf(stdout, output, _IOFBF, sizeof(output));
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	while (fgets(line, sizeof(line), stdin))
		say_ledger(obey(line));
	reap_child();
	return 0;
}
