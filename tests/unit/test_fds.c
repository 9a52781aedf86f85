/* SPDX-License-Identifier: GPL-2.0-only */
/* Descriptors, what stands behind them, and texts that mean ill. */
#include "tests/unit/unit.h"

#include "capture/clock.h"
#include "capture/fds.h"
#include "capture/held.h"
#include "capture/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_NS 60000000000ull

static void links(void **state)
{
	(void)state;
	assert_int_equal(fds_kind_of("socket:[1234]"), HOLDING_SOCKETS);
	assert_int_equal(fds_kind_of("pipe:[1]"), HOLDING_PIPES);
	assert_int_equal(fds_kind_of("anon_inode:[eventfd]"), HOLDING_EVENTFDS);
	assert_int_equal(fds_kind_of("anon_inode:[eventpoll]"), HOLDING_EPOLLS);
	assert_int_equal(fds_kind_of("anon_inode:[timerfd]"), HOLDING_OTHER_FDS);
	assert_int_equal(fds_kind_of("anon_inode:bpf-map"), HOLDING_OTHER_FDS);
	assert_int_equal(fds_kind_of("anon_inode:dmabuf"), HOLDING_DMABUFS);
	assert_int_equal(fds_kind_of("/dmabuf:"), HOLDING_DMABUFS);
	assert_int_equal(fds_kind_of("/memfd:x (deleted)"), HOLDING_MEMFDS);
	assert_int_equal(fds_kind_of("/dev/null"), HOLDING_DEVICES);
	assert_int_equal(fds_kind_of("/device"), HOLDING_FILES);
	assert_int_equal(fds_kind_of("/"), HOLDING_FILES);
	assert_int_equal(fds_kind_of(""), HOLDING_OTHER_FDS);
	assert_int_equal(fds_kind_of("\033[2J"), HOLDING_OTHER_FDS);
	assert_true(fds_inode_of("socket:[4026531836]") == 4026531836u);
	assert_true(fds_inode_of("socket:[]") == 0);
	assert_true(fds_inode_of("socket:") == 0);
}

static void buffers(void **state)
{
	static const char real[] = "pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t42\nsize:\t8294400\n"
				   "count:\t3\nexp_name:\tudmabuf\nname:\tframe\n";
	/* The name that a program gives a buffer may hold lines. */
	static const char ill[] = "size:\t4096\nexp_name:\tsys\033[2J heap\nname:\tx\nsize:\t1\n"
				  "exp_name:\tmine\nino:\t1\n";
	struct fds_buffer buffer;
	char text[600];

	(void)state;
	assert_true(fds_parse_buffer(real, &buffer));
	assert_int_equal(buffer.size, 8294400);
	assert_int_equal(buffer.inode, 42);
	assert_string_equal(buffer.exporter, "udmabuf");
	assert_true(fds_parse_buffer(ill, &buffer));
	assert_int_equal(buffer.size, 4096);
	assert_string_equal(buffer.exporter, "sys?[2J?heap");
	/* Longer than any, cut anywhere. */
	memset(text, 'e', sizeof(text));
	memcpy(text, "size:\t7\nexp_name:\t", 18);
	text[sizeof(text) - 1] = '\0';
	assert_true(fds_parse_buffer(text, &buffer));
	assert_int_equal(strlen(buffer.exporter), sizeof(buffer.exporter) - 1);
	for (size_t length = 0; length < sizeof(real); length++) {
		snprintf(text, length + 1, "%s", real);
		fds_parse_buffer(text, &buffer);
	}
	assert_false(fds_parse_buffer("", &buffer));
	assert_false(fds_parse_buffer("size:\nexp_name:\n", &buffer));
	assert_false(fds_parse_buffer("pos:\t0\nflags:\t02\n", &buffer));
	assert_false(fds_parse_buffer("size:\tmuch\nexp_name:\tx\n", &buffer));
}

static void limits(void **state)
{
	(void)state;
	assert_int_equal(held_parse_limit("Limit   Soft\nMax open files            1024        "
					  "         524288               files\n"),
			 1024);
	assert_int_equal(held_parse_limit("Max open files  unlimited  unlimited files\n"), 0);
	assert_int_equal(held_parse_limit("Max open files"), 0);
	assert_int_equal(held_parse_limit(""), 0);
}

static void lives_are_followed(void **state)
{
	struct lives lives = {0};
	struct cohorts cohorts;
	struct totals totals;

	(void)state;
	lives_begin(&lives);
	lives_see(&lives, 1, HOLDING_PIPES, 1);
	lives_see(&lives, 1, HOLDING_PIPES, 1);
	lives_end(&lives, 100);
	assert_int_equal(lives_sum(&lives, HOLDING_PIPES, HOLDING_PIPES + 1), 1);
	/* One goes, one grows, two come. */
	lives_begin(&lives);
	lives_see(&lives, 2, HOLDING_PIPES, 1);
	lives_see(&lives, 3, HOLDING_MEMFD_BYTES, 10);
	lives_end(&lives, 200);
	lives_begin(&lives);
	lives_see(&lives, 2, HOLDING_PIPES, 1);
	lives_see(&lives, 3, HOLDING_MEMFD_BYTES, 30);
	lives_end(&lives, 300);
	totals = lives_totals(&lives, HOLDING_PIPES, HOLDING_PIPES + 1);
	assert_int_equal(totals.allocated_blocks, 1);
	assert_int_equal(totals.freed_blocks, 0); /* of what was there at first no life is known */
	totals = lives_totals(&lives, HOLDING_MEMFD_BYTES, HOLDING_MEMFD_BYTES + 1);
	assert_int_equal(totals.allocated_bytes, 40);
	assert_int_equal(totals.freed_bytes, 10);
	/* However often it is looked at, rows stay few and keep every birth and death. */
	for (unsigned i = 4; i < 1000; i++) {
		lives_begin(&lives);
		lives_see(&lives, i, HOLDING_PIPES, 1);
		lives_end(&lives, i * 100);
		lives_cohorts(&lives, 0, HOLDING_MOST, &cohorts);
		assert_true(cohorts.count <= ABI_COHORT_ROWS);
		memset(&totals, 0, sizeof(totals));
		for (unsigned row = 0; row < cohorts.count; row++) {
			totals_add(&totals, &cohorts.rows[row].totals);
			assert_true(cohorts.rows[row].totals.freed_bytes <=
				    cohorts.rows[row].totals.allocated_bytes);
			assert_true(!row || cohorts.rows[row].born_from_ns ==
						    cohorts.rows[row - 1].born_to_ns);
		}
		assert_int_equal(totals_live_blocks(&totals), 1);
	}
	assert_int_equal(totals.allocated_blocks, 1 + 2 + 996);
	lives_deinit(&lives);
}

static void lives_are_bounded(void **state)
{
	struct lives lives = {0};

	(void)state;
	for (unsigned look = 0; look < 3; look++) {
		lives_begin(&lives);
		for (uint64_t key = 1; key <= LIVES_MOST + 1000; key++)
			lives_see(&lives, key * (look + 1), HOLDING_FILES, 1);
		lives_end(&lives, look + 1);
		assert_true(lives.entries.count <= LIVES_MOST);
		assert_true(lives.unseen >= 1000);
	}
	lives_deinit(&lives);
}

/* --- a real process --- */

#define CHILD_PIPES   10
#define CHILD_MEMFDS  7
#define CHILD_EVENTS  5
#define CHILD_EPOLLS  3
#define CHILD_SOCKETS 4
#define MEMFD_BYTES   65536

static _Noreturn void child_main(int ready)
{
	char bytes[MEMFD_BYTES] = {1};
	int fds[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int fd = 0; fd < 1024; fd++)
		if (fd != ready)
			close(fd);
	for (unsigned i = 0; i < CHILD_PIPES; i++)
		if (pipe(fds))
			_exit(1);
	for (unsigned i = 0; i < CHILD_EVENTS; i++)
		eventfd(0, 0);
	for (unsigned i = 0; i < CHILD_EPOLLS; i++)
		epoll_create1(0);
	for (unsigned i = 0; i < CHILD_MEMFDS; i++) {
		int fd = memfd_create("held", 0);

		/* A second descriptor of the same file is one more descriptor, and no more memory.
		 */
		if (fd < 0 || write(fd, bytes, sizeof(bytes)) != sizeof(bytes) || dup(fd) < 0)
			_exit(1);
	}
	for (unsigned i = 0; i < CHILD_SOCKETS / 2; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) || write(fds[0], bytes, 4096) != 4096)
			_exit(1);
	}
	if (write(ready, bytes, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static pid_t start_child(void)
{
	int ready[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child)
		child_main(ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

static uint64_t sum(const struct fds *fds, unsigned what)
{
	return lives_sum(fds_lives(fds), what, what + 1);
}

static void real_descriptors(void **state)
{
	pid_t child = start_child();
	struct fds *fds = fds_open(child);
	struct sockets *sockets = sockets_open();
	uint64_t memory = 0;
	unsigned pieces = 0;
	int status;

	(void)state;
	/* A deadline in the past: a few at a time, and it ends all the same. */
	do
		status = fds_step(fds, 0);
	while (!status && ++pieces < 1000);
	assert_int_equal(status, 1);
	assert_true(pieces > 2);
	assert_int_equal(sum(fds, HOLDING_PIPES), 2 * CHILD_PIPES + 1);
	assert_int_equal(sum(fds, HOLDING_MEMFDS), 2 * CHILD_MEMFDS);
	assert_int_equal(sum(fds, HOLDING_MEMFD_BYTES), CHILD_MEMFDS * MEMFD_BYTES);
	assert_int_equal(sum(fds, HOLDING_EVENTFDS), CHILD_EVENTS);
	assert_int_equal(sum(fds, HOLDING_EPOLLS), CHILD_EPOLLS);
	assert_int_equal(sum(fds, HOLDING_SOCKETS), CHILD_SOCKETS);
	assert_int_equal(fds_sockets(fds)->count, CHILD_SOCKETS);
	/* At once. */
	assert_int_equal(fds_step(fds, thread_cpu_ns() + LONG_NS), 1);
	assert_true(sockets_same_namespace(child));
	do
		status =
			sockets_step(sockets, fds_sockets(fds), thread_cpu_ns() + LONG_NS, &memory);
	while (!status);
	/* What is queued in two of them, with what the kernel adds to each piece. */
	if (status != -EOPNOTSUPP && status != -ENOENT) {
		assert_int_equal(status, 1);
		assert_true(memory >= CHILD_SOCKETS / 2 * 4096);
		assert_true(memory < 1 << 20);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_true(fds_step(fds, thread_cpu_ns() + LONG_NS) < 0);
	sockets_close(sockets);
	fds_close(fds);
}

/* --- answers of the kernel, or not --- */

struct answer {
	struct nlmsghdr head;
	struct inet_diag_msg socket;
	struct rtattr attribute;
	uint32_t values[SK_MEMINFO_VARS];
	struct nlmsghdr done;
};

static void answers(void **state)
{
	struct answer answer = {
		.head = {.nlmsg_len = offsetof(struct answer, done),
			 .nlmsg_type = SOCK_DIAG_BY_FAMILY},
		.socket = {.idiag_family = AF_INET, .idiag_inode = 77},
		.attribute = {.rta_len = RTA_LENGTH(sizeof(answer.values)),
			      .rta_type = INET_DIAG_SKMEMINFO},
		.values = {[SK_MEMINFO_RMEM_ALLOC] = 1000, [SK_MEMINFO_WMEM_QUEUED] = 200},
		.done = {.nlmsg_len = sizeof(answer.done), .nlmsg_type = NLMSG_DONE},
	};
	struct map wanted = {0};
	uint64_t sum = 0;
	unsigned seed = 1;

	(void)state;
	map_set(&wanted, 77, 1);
	assert_int_equal(sockets_parse(&answer, sizeof(answer), &wanted, &sum), 1);
	assert_int_equal(sum, 1200);
	assert_int_equal(sockets_parse(&answer, offsetof(struct answer, done), &wanted, &sum), 0);
	assert_int_equal(sum, 2400);
	answer.socket.idiag_inode = 78;
	assert_int_equal(sockets_parse(&answer, sizeof(answer), &wanted, &sum), 1);
	assert_int_equal(sum, 2400);
	/* Cut, and with lengths that lie: nothing beyond the end is read. */
	answer.socket.idiag_inode = 77;
	for (size_t size = 0; size < sizeof(answer); size++) {
		char *cut = malloc(size ? size : 1);

		memcpy(cut, &answer, size);
		sockets_parse(cut, size, &wanted, &sum);
		free(cut);
	}
	for (unsigned i = 0; i < 20000; i++) {
		struct answer *wild = malloc(sizeof(*wild));

		*wild = answer;
		for (unsigned flips = 0; flips < 3; flips++)
			((unsigned char *)wild)[(unsigned)rand_r(&seed) % sizeof(*wild)] =
				(unsigned char)rand_r(&seed);
		sockets_parse(wild, sizeof(*wild), &wanted, &sum);
		free(wild);
	}
	map_deinit(&wanted);
}

static void rows(void **state)
{
	pid_t child = start_child();
	struct held *held = held_open(child);
	struct memory memory = {.parts_known = true, .pss_bytes = 4096, .page_table_bytes = 8192};
	const struct holding_sample *row;
	uint64_t now_ns = 1;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		held_tick(held, now_ns, &memory, 3);
		held_rows(held, &row);
		if (row[HOLDING_SOCKET_BYTES].known || row[HOLDING_SOCKET_BYTES].why)
			break;
		now_ns += 1000000000;
	}
	assert_int_equal(held_rows(held, &row), HOLDING_COUNT);
	assert_int_equal(row[HOLDING_PSS].value, 4096);
	assert_int_equal(row[HOLDING_PAGE_TABLES].value, 8192);
	assert_int_equal(row[HOLDING_KERNEL_STACKS].value % 3, 0);
	assert_true(row[HOLDING_KERNEL_STACKS].value >= 3 * 4096);
	assert_int_equal(row[HOLDING_FDS].value, 2 * CHILD_PIPES + 1 + 2 * CHILD_MEMFDS +
							 CHILD_EVENTS + CHILD_EPOLLS +
							 CHILD_SOCKETS);
	assert_true(row[HOLDING_FDS].limit > 0);
	assert_null(row[HOLDING_PSS].cohorts);
	assert_non_null(row[HOLDING_FDS].cohorts);
	held_restart(held);
	held_rows(held, &row);
	assert_false(row[HOLDING_FDS].known);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	held_tick(held, now_ns, &memory, 3);
	held_close(held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links),
		cmocka_unit_test(buffers),
		cmocka_unit_test(limits),
		cmocka_unit_test(lives_are_followed),
		cmocka_unit_test(lives_are_bounded),
		cmocka_unit_test(real_descriptors),
		cmocka_unit_test(answers),
		cmocka_unit_test(rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
