/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * On arm64 the probe stands on the entry: the return address is in LR there, and only there for
 * sure. What the kernel simulates (arch/arm64/kernel/probes/decode-insn.c) is in the table; nop is
 * among it since 6.14 only and is counted as stepped.
 */
#include "capture/probe_site.h"

#include <string.h>

static const struct {
	uint32_t mask, value;
} simulated[] = {
	{0x7c000000, 0x14000000}, /* b, bl */
	{0xff000010, 0x54000000}, /* b.cond */
	{0x7e000000, 0x34000000}, /* cbz, cbnz */
	{0x7e000000, 0x36000000}, /* tbz, tbnz */
	{0x1f000000, 0x10000000}, /* adr, adrp */
};

void probe_site_choose_aarch64(const uint8_t *code, size_t size, unsigned arguments,
			       struct probe_site *ret)
{
	uint32_t word;

	(void)arguments;
	*ret = (struct probe_site){.single_step = true};
	if (size < sizeof(word))
		return;
	memcpy(&word, code, sizeof(word));
	for (size_t i = 0; i < sizeof(simulated) / sizeof(*simulated); i++)
		if ((word & simulated[i].mask) == simulated[i].value)
			ret->single_step = false;
}
