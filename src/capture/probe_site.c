/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/probe_site.h"

#include <elf.h>
#include <errno.h>

int probe_site_choose(unsigned machine, const uint8_t *code, size_t size, unsigned arguments,
		      struct probe_site *ret)
{
	static const struct {
		unsigned machine;
		void (*choose)(const uint8_t *code, size_t size, unsigned arguments,
			       struct probe_site *ret);
	} machines[] = {
		{EM_X86_64, probe_site_choose_x86_64},
		{EM_AARCH64, probe_site_choose_aarch64},
	};

	for (size_t i = 0; i < sizeof(machines) / sizeof(*machines); i++) {
		if (machines[i].machine != machine)
			continue;
		machines[i].choose(code, size, arguments, ret);
		return 0;
	}
	return -ENOTSUP;
}
