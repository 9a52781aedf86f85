/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/sockets.h"

#include "capture/clock.h"
#include "util/alloc.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE_SIZE 32768

/* What is asked, one after the other. Where a kernel does not know one, there are none of it. */
static const struct {
	uint8_t family, protocol;
} questions[] = {
	{AF_INET, IPPROTO_TCP},	 {AF_INET, IPPROTO_UDP}, {AF_INET6, IPPROTO_TCP},
	{AF_INET6, IPPROTO_UDP}, {AF_UNIX, 0},
};

#define QUESTION_COUNT (sizeof(questions) / sizeof(*questions))

struct sockets {
	int fd; /* -1: nothing is asked */
	size_t question;
	bool asked; /* its answer is not all read */
	unsigned answered;
	uint64_t sum;
	char piece[PIECE_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
};

struct sockets *sockets_open(void)
{
	struct sockets *sockets = xcalloc(1, sizeof(*sockets));

	sockets->fd = -1;
	return sockets;
}

static void end_asking(struct sockets *sockets)
{
	if (sockets->fd >= 0)
		close(sockets->fd);
	sockets->fd = -1;
	sockets->asked = false;
}

void sockets_close(struct sockets *sockets)
{
	if (!sockets)
		return;
	end_asking(sockets);
	free(sockets);
}

bool sockets_same_namespace(pid_t pid)
{
	char path[48], own[64] = "", other[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return readlink("/proc/self/ns/net", own, sizeof(own) - 1) > 0 &&
	       readlink(path, other, sizeof(other) - 1) > 0 && !strcmp(own, other);
}

/* --- answers --- */

static uint64_t memory_of(const struct rtattr *attribute)
{
	uint32_t values[SK_MEMINFO_VARS] = {0}, queued;
	size_t size = RTA_PAYLOAD(attribute);

	memcpy(values, RTA_DATA(attribute), size < sizeof(values) ? size : sizeof(values));
	/* TCP counts what it sends in the one, the others in the other. */
	queued = values[SK_MEMINFO_WMEM_QUEUED] > values[SK_MEMINFO_WMEM_ALLOC] ?
			 values[SK_MEMINFO_WMEM_QUEUED] :
			 values[SK_MEMINFO_WMEM_ALLOC];
	return (uint64_t)values[SK_MEMINFO_RMEM_ALLOC] + queued + values[SK_MEMINFO_FWD_ALLOC] +
	       values[SK_MEMINFO_OPTMEM] + values[SK_MEMINFO_BACKLOG];
}

/* Attributes behind a head of `head` bytes. */
static uint64_t memory_in(const struct nlmsghdr *message, size_t head, unsigned short type)
{
	size_t left;
	const struct rtattr *attribute;

	if (message->nlmsg_len < NLMSG_LENGTH(head))
		return 0;
	left = message->nlmsg_len - NLMSG_LENGTH(head);
	attribute = (const struct rtattr *)((const char *)NLMSG_DATA(message) + NLMSG_ALIGN(head));
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == type)
			return memory_of(attribute);
	return 0;
}

static void take_socket(const struct nlmsghdr *message, const struct map *wanted, uint64_t *sum)
{
	const unsigned char *family = NLMSG_DATA(message);
	uint64_t known;

	if (message->nlmsg_len < NLMSG_LENGTH(1))
		return;
	if (*family == AF_UNIX) {
		const struct unix_diag_msg *answer = NLMSG_DATA(message);

		if (message->nlmsg_len >= NLMSG_LENGTH(sizeof(*answer)) && answer->udiag_ino &&
		    map_get(wanted, answer->udiag_ino, &known))
			*sum += memory_in(message, sizeof(*answer), UNIX_DIAG_MEMINFO);
	} else {
		const struct inet_diag_msg *answer = NLMSG_DATA(message);

		if (message->nlmsg_len >= NLMSG_LENGTH(sizeof(*answer)) && answer->idiag_inode &&
		    map_get(wanted, answer->idiag_inode, &known))
			*sum += memory_in(message, sizeof(*answer), INET_DIAG_SKMEMINFO);
	}
}

int sockets_parse(const void *piece, size_t size, const struct map *wanted, uint64_t *sum)
{
	const struct nlmsghdr *message = piece;

	if (!size)
		return -EBADMSG;
	while (size >= sizeof(*message) && message->nlmsg_len >= sizeof(*message) &&
	       message->nlmsg_len <= size) {
		size_t length = NLMSG_ALIGN(message->nlmsg_len);

		if (message->nlmsg_type == NLMSG_DONE)
			return 1;
		if (message->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = NLMSG_DATA(message);

			if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*error)) || !error->error)
				return -EBADMSG;
			return error->error;
		}
		if (message->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			take_socket(message, wanted, sum);
		if (length >= size)
			return 0;
		size -= length;
		message = (const struct nlmsghdr *)((const char *)message + length);
	}
	return -EBADMSG;
}

/* --- questions --- */

static int ask(struct sockets *sockets)
{
	struct {
		struct nlmsghdr head;
		union {
			struct inet_diag_req_v2 inet;
			struct unix_diag_req local;
		};
	} question = {.head = {.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
	uint8_t family = questions[sockets->question].family;

	if (family == AF_UNIX) {
		question.head.nlmsg_len = NLMSG_LENGTH(sizeof(question.local));
		question.local = (struct unix_diag_req){.sdiag_family = family,
							.udiag_states = ~0u,
							.udiag_show = UDIAG_SHOW_MEMINFO};
	} else {
		question.head.nlmsg_len = NLMSG_LENGTH(sizeof(question.inet));
		question.inet = (struct inet_diag_req_v2){
			.sdiag_family = family,
			.sdiag_protocol = questions[sockets->question].protocol,
			.idiag_ext = 1u << (INET_DIAG_SKMEMINFO - 1),
			.idiag_states = ~0u};
	}
	sockets->asked = true;
	return send(sockets->fd, &question, question.head.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* A piece is ready at once: the kernel fills it while it is asked for. */
static int step(struct sockets *sockets, const struct map *wanted)
{
	ssize_t size;
	int status = 0;

	if (!sockets->asked)
		status = ask(sockets);
	if (status)
		return status;
	size = recv(sockets->fd, sockets->piece, sizeof(sockets->piece), MSG_DONTWAIT);
	if (size < 0)
		return errno == EINTR ? 0 : -errno;
	status = sockets_parse(sockets->piece, (size_t)size, wanted, &sockets->sum);
	if (!status)
		return 0;
	/* Not built into this kernel, or no module of it to be had. */
	if (status < 0 && status != -ENOENT && status != -EINVAL && status != -EOPNOTSUPP)
		return status;
	sockets->answered += status > 0;
	sockets->asked = false;
	sockets->question++;
	return 0;
}

static int begin(struct sockets *sockets)
{
	sockets->question = 0;
	sockets->answered = 0;
	sockets->sum = 0;
	sockets->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	return sockets->fd < 0 ? -errno : 0;
}

int sockets_step(struct sockets *sockets, const struct map *wanted, uint64_t until_ns,
		 uint64_t *ret)
{
	int status = sockets->fd < 0 ? begin(sockets) : 0;

	while (!status && sockets->question < QUESTION_COUNT) {
		status = step(sockets, wanted);
		if (monotonic_ns() >= until_ns)
			break;
	}
	if (!status && sockets->question < QUESTION_COUNT)
		return 0;
	end_asking(sockets);
	if (!status && !sockets->answered)
		status = -EOPNOTSUPP;
	*ret = sockets->sum;
	return status ? status : 1;
}
