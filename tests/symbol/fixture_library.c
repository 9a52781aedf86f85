/* SPDX-License-Identifier: GPL-2.0-only */
/* A shared library with an exported and a hidden function. */
volatile int library_sink;

__attribute__((noinline, visibility("hidden"))) int library_hidden(int value)
{
	library_sink += value;
	return library_sink ^ 5;
}

static inline __attribute__((always_inline)) int library_inlined(int value)
{
	return library_hidden(value) + library_hidden(value * 2);
}

__attribute__((noinline)) int library_entry(int value);
int library_entry(int value)
{
	return library_inlined(value) - 1;
}
