/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A target that holds kernel memory and gives it back, on command. One command a line on standard
 * input, one line of JSON in answer: the ledger of what it keeps, by what was asked for. All its
 * own memory is static, so that it asks the kernel for nothing but that.
 *
 *   pipes N  sockets N  streams N  memfds N  epolls N   open so many more (streams: TCP sockets)
 *   filled N  wide N    pipes with FILLED_PAGES pages in each; pipes with rings of 10 KiB
 *   drain               reads all that is in filled pipes
 *   rings N             packet sockets with a ring of RING_BLOCKS times RING_BLOCK bytes
 *   arrays N  percpus N  ringbufs N                     BPF maps, of sizes below
 *   touch N             maps N MiB and touches each page, instead of what was mapped so before
 *   pin N               has io_uring pin N MiB that nobody touched, instead of what was pinned so
 *   read PATH           reads a file
 *   close KIND          closes all of one kind
 *   give KIND PATH      passes them to who listens on the Unix socket PATH, and closes its own
 *   child N             a child opens N pipes and keeps them
 *   reap                that child ends
 *   churn N             N rounds of opening and closing a pipe, and of mapping and unmapping
 *   cpu N               runs on CPU N alone from now on; on any that there is if N is -1
 *   ledger              nothing
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
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
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT_MAX       16384
#define PAGE	       4096
#define FILLED_PAGES   5
#define WIDE_BYTES     (1 << 20)
#define RING_BLOCK     65536
#define RING_BLOCKS    4
#define RING_FRAME     2048
#define ARRAY_VALUE    64
#define ARRAY_ENTRIES  16384
#define PERCPU_VALUE   8
#define PERCPU_ENTRIES 100
#define RINGBUF_BYTES  65536
#define PIN_BUFFERS    0 /* IORING_REGISTER_BUFFERS */

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

static int open_filled(int fds[2])
{
	static const char page[PAGE];

	if (pipe(fds))
		return -1;
	for (int i = 0; i < FILLED_PAGES; i++)
		if (write(fds[1], page, sizeof(page)) != sizeof(page))
			return -1;
	return 0;
}

static int open_wide(int fds[2])
{
	if (pipe(fds))
		return -1;
	return fcntl(fds[1], F_SETPIPE_SZ, WIDE_BYTES) < 0 ? -1 : 0;
}

static int open_ring(int fds[2])
{
	struct tpacket_req size = {.tp_block_size = RING_BLOCK,
				   .tp_block_nr = RING_BLOCKS,
				   .tp_frame_size = RING_FRAME,
				   .tp_frame_nr = RING_BLOCK / RING_FRAME * RING_BLOCKS};

	/* Of no protocol: it receives nothing. */
	fds[0] = socket(AF_PACKET, SOCK_RAW, 0);
	if (fds[0] < 0)
		return -1;
	return setsockopt(fds[0], SOL_PACKET, PACKET_RX_RING, &size, sizeof(size));
}

static int open_map(int fds[2], unsigned type, unsigned value, unsigned entries, unsigned flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = type == BPF_MAP_TYPE_RINGBUF ? 0 : 4;
	attr.value_size = value;
	attr.max_entries = entries;
	attr.map_flags = flags;
	fds[0] = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	return fds[0] < 0 ? -1 : 0;
}

static int open_array(int fds[2])
{
	/* Such that its size is whole pages: one of its own, and the values. */
	return open_map(fds, BPF_MAP_TYPE_ARRAY, ARRAY_VALUE, ARRAY_ENTRIES, BPF_F_MMAPABLE);
}

static int open_percpu(int fds[2])
{
	return open_map(fds, BPF_MAP_TYPE_PERCPU_ARRAY, PERCPU_VALUE, PERCPU_ENTRIES, 0);
}

static int open_ringbuf(int fds[2])
{
	return open_map(fds, BPF_MAP_TYPE_RINGBUF, 0, RINGBUF_BYTES, 0);
}

static struct kind kinds[] = {
	{.name = "pipes", .fds_each = 2, .open_one = open_pipe},
	{.name = "sockets", .fds_each = 2, .open_one = open_socket},
	{.name = "streams", .fds_each = 1, .open_one = open_stream},
	{.name = "memfds", .fds_each = 1, .open_one = open_memfd},
	{.name = "epolls", .fds_each = 2, .open_one = open_epoll},
	{.name = "filled", .fds_each = 2, .open_one = open_filled},
	{.name = "wide", .fds_each = 2, .open_one = open_wide},
	{.name = "rings", .fds_each = 1, .open_one = open_ring},
	{.name = "arrays", .fds_each = 1, .open_one = open_array},
	{.name = "percpus", .fds_each = 1, .open_one = open_percpu},
	{.name = "ringbufs", .fds_each = 1, .open_one = open_ringbuf},
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

static const char *drain(void)
{
	const struct kind *kind = kind_find("filled");
	char page[PAGE];

	for (int i = 0; i < kind->count; i += 2)
		for (int j = 0; j < FILLED_PAGES; j++)
			if (read(kind->fds[i], page, sizeof(page)) != sizeof(page))
				return strerror(errno);
	return NULL;
}

static const char *touch(size_t megabytes)
{
	static char *base;
	static size_t size;

	if (size)
		munmap(base, size);
	size = megabytes << 20;
	if (!size)
		return NULL;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED) {
		size = 0;
		return strerror(errno);
	}
	for (size_t i = 0; i < size; i += PAGE)
		base[i] = 1;
	return NULL;
}

/* The kernel faults the pages in itself, and where it may not move them. */
static const char *pin(size_t megabytes)
{
	static struct iovec buffer;
	static int ring = -1;
	char parameters[120] = {0};

	if (ring >= 0)
		close(ring);
	if (buffer.iov_len)
		munmap(buffer.iov_base, buffer.iov_len);
	buffer.iov_len = 0;
	ring = syscall(SYS_io_uring_setup, 8, parameters);
	if (ring < 0)
		return strerror(errno);
	if (!megabytes)
		return NULL;
	buffer.iov_base = mmap(NULL, megabytes << 20, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer.iov_base == MAP_FAILED)
		return strerror(errno);
	buffer.iov_len = megabytes << 20;
	madvise(buffer.iov_base, buffer.iov_len, MADV_NOHUGEPAGE);
	if (syscall(SYS_io_uring_register, ring, PIN_BUFFERS, &buffer, 1))
		return strerror(errno);
	return NULL;
}

static const char *read_file(const char *path)
{
	static char bytes[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return strerror(errno);
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		continue;
	close(fd);
	return got ? strerror(errno) : NULL;
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
	if (!strcmp(verb, "drain"))
		return drain();
	if (!what)
		return "what?";
	if (!strcmp(verb, "touch"))
		return touch(atoi(what));
	if (!strcmp(verb, "pin"))
		return pin(atoi(what));
	if (!strcmp(verb, "read"))
		return read_file(what);
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
