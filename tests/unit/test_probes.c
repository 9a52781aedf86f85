/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unit/unit.h"

#include "capture/probes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MOST 200

/* To probes_detach() a link is a descriptor. */
static void every_link_is_closed(void **state)
{
	static const size_t counts[] = {0, 1, 2, 31, 32, 33, 34, MOST};
	int links[MOST + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		size_t count = counts[i];

		for (size_t j = 0; j <= count; j++) {
			links[j] = open("/dev/null", O_RDONLY | O_CLOEXEC);
			assert_true(links[j] >= 0);
		}
		probes_detach(links, &count);
		assert_int_equal(count, 0);
		for (size_t j = 0; j < counts[i]; j++) {
			assert_int_equal(fcntl(links[j], F_GETFD), -1);
			assert_int_equal(errno, EBADF);
		}
		/* And nothing else. */
		assert_int_equal(close(links[counts[i]]), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_link_is_closed),
	};

	return cmocka_run_group_tests_name("probes", tests, NULL, NULL);
}
