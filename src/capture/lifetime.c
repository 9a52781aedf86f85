/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/lifetime.h"

#include "capture/cgroup.h"
#include "capture/procfs.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* As <linux/pidfd.h> of later kernels has them; the numbers are ABI. */
struct pidfd_info_v0 {
	uint64_t mask;
	uint64_t cgroup;
	uint32_t pid, tgid, ppid;
	uint32_t ids[8];
	int32_t exit_code;
};

_Static_assert(sizeof(struct pidfd_info_v0) == 64, "PIDFD_INFO_SIZE_VER0");

#define PIDFD_GET_INFO_V0 _IOWR(0xff, 11, struct pidfd_info_v0)
#define INFO_EXIT	  (1ull << 3)

struct lifetime {
	pid_t pid;
	int fd;
	uint64_t start_time;
	struct oom_kills kills; /* while it lived */
	bool ended;
	enum target_status status;
	int exit_code, signal;
};

int lifetime_open(pid_t pid, struct lifetime **ret)
{
	struct lifetime *lifetime;
	struct procstat stat;
	int fd;

	if (pid <= 0)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* After the descriptor: what is read now is of the process that it stands for. */
	if (procstat_read(pid, &stat)) {
		if (fd >= 0)
			close(fd);
		return -ESRCH;
	}
	lifetime = xcalloc(1, sizeof(*lifetime));
	lifetime->pid = pid;
	lifetime->fd = fd;
	lifetime->start_time = stat.start_time;
	*ret = lifetime;
	return 0;
}

void lifetime_close(struct lifetime *lifetime)
{
	if (!lifetime)
		return;
	if (lifetime->fd >= 0)
		close(lifetime->fd);
	free(lifetime);
}

int lifetime_fd(const struct lifetime *lifetime)
{
	return lifetime->fd;
}

static bool is_over(const struct lifetime *lifetime)
{
	struct pollfd pollfd = {.fd = lifetime->fd, .events = POLLIN};
	struct procstat stat;

	if (lifetime->fd >= 0)
		return poll(&pollfd, 1, 0) > 0;
	return procstat_read(lifetime->pid, &stat) || stat.start_time != lifetime->start_time ||
	       strchr("ZXx", stat.state);
}

/* Each of these gives the status as wait() does. */

static bool status_of_child(const struct lifetime *lifetime, int *ret)
{
	siginfo_t info = {0};

	if (waitid(P_PID, (id_t)lifetime->pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
	    info.si_pid != lifetime->pid)
		return false;
	*ret = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
	return true;
}

static bool status_of_pidfd(const struct lifetime *lifetime, int *ret)
{
	struct pidfd_info_v0 info = {.mask = INFO_EXIT};

	if (lifetime->fd < 0 || ioctl(lifetime->fd, PIDFD_GET_INFO_V0, &info) ||
	    !(info.mask & INFO_EXIT))
		return false;
	*ret = info.exit_code;
	return true;
}

/* The last number of a zombie's stat; 0 for who may not know, which is no answer. */
static bool status_of_zombie(const struct lifetime *lifetime, int *ret)
{
	_cleanup_free_ char *text = NULL;
	struct procstat stat;
	struct stat owner;
	char path[32];
	char *last;

	snprintf(path, sizeof(path), "/proc/%d", lifetime->pid);
	if (lstat(path, &owner) || (geteuid() && owner.st_uid != geteuid()) ||
	    procfs_read(lifetime->pid, "stat", &text, NULL) || procstat_parse(text, &stat) ||
	    stat.state != 'Z' || stat.start_time != lifetime->start_time)
		return false;
	last = strrchr(text, ' ');
	if (!last)
		return false;
	*ret = atoi(last + 1);
	return true;
}

/* It may be reaped between two of them: the pidfd is asked again. */
static bool read_status(const struct lifetime *lifetime, int *ret)
{
	return status_of_child(lifetime, ret) || status_of_pidfd(lifetime, ret) ||
	       status_of_zombie(lifetime, ret) || status_of_pidfd(lifetime, ret);
}

static bool has_risen(const struct oom_kills *before, const struct oom_kills *now)
{
	if (before->cgroup_known && now->cgroup_known)
		return now->cgroup > before->cgroup;
	return before->system_known && now->system_known && now->system > before->system;
}

static void take_end(struct lifetime *lifetime, const struct charge_reader *charge)
{
	struct oom_kills kills = {0};
	int status;

	lifetime->ended = true;
	lifetime->status = TARGET_EXITED;
	lifetime->exit_code = -1;
	if (!read_status(lifetime, &status))
		return;
	if (WIFEXITED(status)) {
		lifetime->exit_code = WEXITSTATUS(status);
		return;
	}
	lifetime->signal = WTERMSIG(status);
	lifetime->status = TARGET_KILLED;
	if (lifetime->signal != SIGKILL || !charge)
		return;
	charge_oom_kills(charge, &kills);
	if (has_risen(&lifetime->kills, &kills))
		lifetime->status = TARGET_OOM_KILLED;
}

bool lifetime_has_ended(struct lifetime *lifetime, const struct charge_reader *charge,
			struct target_state *ret)
{
	if (!lifetime->ended) {
		struct oom_kills kills = {0};

		/* Counted before it is looked at: a kill in between is one of the next look. */
		if (charge)
			charge_oom_kills(charge, &kills);
		if (is_over(lifetime))
			take_end(lifetime, charge);
		else
			lifetime->kills = kills;
	}
	if (!lifetime->ended)
		return false;
	ret->status = lifetime->status;
	ret->exit_code = lifetime->exit_code;
	ret->signal = lifetime->signal;
	return true;
}
