/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The handler puts an anonymous page over the one that has lost its file and returns: the access is
 * done again and reads zeros. mmap is a plain system call, nothing else is touched.
 *
 * A handler is the process's and cannot be handed a context: what it needs is in statics, written
 * only by busguard_arm() before the handler is in place.
 */
#include "symbol/busguard.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct sigaction before;
static uintptr_t page_mask;
static _Thread_local volatile bool guarded;
static _Thread_local volatile unsigned faults;

static bool replace_page(void *address)
{
	void *page = (void *)((uintptr_t)address & page_mask);

	return mmap(page, ~page_mask + 1, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
	if (guarded && info->si_code == BUS_ADRERR && replace_page(info->si_addr)) {
		faults++;
		return;
	}
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(number, info, context);
	else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
		before.sa_handler(number);
	else
		signal(number, SIG_DFL); /* the access is done again and ends memtop */
}

void busguard_arm(void)
{
	struct sigaction now,
		mine = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	guarded = true;
	if (sigaction(SIGBUS, NULL, &now) ||
	    ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_bus_error))
		return;
	before = now;
	page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
	sigemptyset(&mine.sa_mask);
	sigaction(SIGBUS, &mine, NULL);
}

unsigned busguard_faults(void)
{
	return faults;
}
