/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Signals are read from a descriptor, in the order of the event loop; only those that mean a fault
 * of memtop's own are caught, for the terminal's sake.
 */
#include "signals.h"

#include "ui/term.h"

#include <errno.h>
#include <sys/signalfd.h>

/* memtop's own end: gives the terminal back, if it has it, and dies as it would have. */
static void die(int signal)
{
	term_restore();
	raise(signal); /* SA_RESETHAND: the default action now */
}

/* Before any room installs a guard of its own, which then passes on to this. */
static void catch_fatal_signals(void)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	struct sigaction action = {.sa_handler = die, .sa_flags = SA_RESETHAND | SA_NODEFER};

	for (size_t i = 0; i < sizeof(fatal) / sizeof(*fatal); i++)
		sigaction(fatal[i], &action, NULL);
}

int signals_open(bool command, sigset_t *old)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	if (command) {
		sigaddset(&set, SIGUSR1);
		sigaddset(&set, SIGUSR2);
	}
	catch_fatal_signals();
	if (sigprocmask(SIG_BLOCK, &set, old))
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}
