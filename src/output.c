/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A pipe that polls writable takes PIPE_BUF bytes at once: pieces of that size never block, and
 * between them there is time to look whether somebody wants an end. The descriptor stays blocking,
 * for it is shared with whoever gave it to us. Where the kernel can be asked for one write not to
 * block, the pipe takes all that it has room for: then nothing of a command that shares it comes
 * to stand within a line.
 */
#include "output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define LOOK_MS	     100
#define BUFFER_BYTES 65536

static bool end_is_wanted(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t pending;

	if (sigpending(&pending))
		return false;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (sigismember(&pending, ends[i]))
			return true;
	return false;
}

static int wait_writable(int fd)
{
	struct pollfd out = {.fd = fd, .events = POLLOUT};
	int count;

	while ((count = poll(&out, 1, LOOK_MS)) <= 0) {
		if (count < 0 && errno != EINTR)
			return -1;
		if (end_is_wanted()) {
			errno = ECANCELED;
			return -1;
		}
	}
	return 0;
}

static bool is_pipe(int fd)
{
	struct stat about;

	return !fstat(fd, &about) && S_ISFIFO(about.st_mode);
}

static ssize_t write_some(int fd, bool pipe, const char *bytes, size_t size)
{
	struct iovec all = {.iov_base = (void *)bytes, .iov_len = size};
	ssize_t n = pipe ? pwritev2(fd, &all, 1, -1, RWF_NOWAIT) : -1;

	return n > 0 ? n : write(fd, bytes, size < PIPE_BUF ? size : PIPE_BUF);
}

static ssize_t output_write(void *cookie, const char *bytes, size_t size)
{
	int fd = (int)(intptr_t)cookie;
	bool pipe = is_pipe(fd);
	size_t done = 0;

	while (done < size) {
		ssize_t n;

		if (wait_writable(fd))
			return -1;
		n = write_some(fd, pipe, bytes + done, size - done);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -1;
		done += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)size;
}

FILE *output_open(int fd)
{
	FILE *file = fopencookie((void *)(intptr_t)fd, "w",
				 (cookie_io_functions_t){.write = output_write});

	if (file)
		setvbuf(file, NULL, _IOFBF, BUFFER_BYTES);
	return file;
}
