/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/code_flow.h"

#include <elf.h>
#include <errno.h>

int code_flow(unsigned machine, const uint8_t *code, size_t size, uint64_t address,
	      flow_visitor *visit, void *context)
{
	if (machine == EM_X86_64)
		return code_flow_x86_64(code, size, address, visit, context);
	if (machine == EM_AARCH64)
		return code_flow_aarch64(code, size, address, visit, context);
	return -ENOTSUP;
}
