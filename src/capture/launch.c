/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The child waits until it is traced and executes the command, which stops it with nothing but
 * itself and its loader mapped. The loader is followed from system call to system call until the
 * libraries are mapped and none of their code has run: where it sets the first thread up, or at the
 * latest where it lets go of its cache. Nothing is written into the child.
 *
 * It is seized, and stops only where the death of its tracer means that it runs on: a traced exec
 * of the old kind, or a stop at a call that cannot be told from one, would end it with a SIGTRAP.
 *
 * Should memtop die while it holds the command, the kernel lets that run on: it ends the trace, and
 * sends the SIGCONT that the command asked for at its parent's death (bpf/heap.bpf.c, stop_for()).
 */
#include "capture/launch.h"

#include "capture/procfs.h"
#include "capture/procmaps.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of a loader; more than that is not one that we know. */
#define CALLS_MOST     100000
#define ARGUMENTS_MOST 4096
#define SYSCALL_STOP   (SIGTRAP | 0x80)

static bool is_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char start[4] = "";
	bool text = fd >= 0 && read(fd, start, sizeof(start)) >= 0 && memcmp(start, "\177ELF", 4);

	if (fd >= 0)
		close(fd);
	return text;
}

/* Returns why not. A text that names no interpreter is the shell's, as execvp() and shells have it.
 */
static int execute_path(const char *path, char *const argv[])
{
	char *words[ARGUMENTS_MOST];
	size_t count = 0;

	execv(path, argv);
	if (errno != ENOEXEC || !is_text(path))
		return errno;
	words[count++] = (char *)"sh";
	words[count++] = (char *)path;
	for (size_t i = 1; argv[i]; i++) {
		if (count + 1 == ARGUMENTS_MOST)
			return E2BIG;
		words[count++] = argv[i];
	}
	words[count] = NULL;
	execv("/bin/sh", words);
	return errno;
}

/* As execvp(), but a program of another machine is not given to the shell. Returns why not. */
static int execute(char *const argv[])
{
	const char *folders = getenv("PATH");
	int error = ENOENT;
	char path[PATH_MAX];

	if (strchr(argv[0], '/'))
		return execute_path(argv[0], argv);
	if (!folders)
		folders = "/bin:/usr/bin";
	for (;;) {
		size_t length = strcspn(folders, ":");
		int now;

		now = ENOENT; /* as is one with a name longer than any file's */
		if (snprintf(path, sizeof(path), "%.*s%s%s", (int)length, folders,
			     length ? "/" : "", argv[0]) < PATH_MAX)
			now = execute_path(path, argv);
		if (now != ENOENT && now != ENOTDIR && now != EACCES)
			return now;
		/* It was there: that says more than that it is nowhere else. */
		if (now == EACCES)
			error = now;
		if (!folders[length])
			return error;
		folders += length + 1;
	}
}

/* The child: reports through the pipe why it could not execute; success closes it. */
static _Noreturn void child(char *const argv[], int go, int report)
{
	int error;
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(125); /* nobody holds us */
	/* Should memtop die while it has stopped us at an exec. */
	prctl(PR_SET_PDEATHSIG, SIGCONT);
	error = execute(argv);
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(error == ENOENT ? 127 : 126);
}

/* Until the child stops: 0, or -ECHILD if it ended instead; its status is left for who asks. */
static int wait_stop(pid_t pid, int *signal)
{
	siginfo_t info = {0};

	while (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT))
		if (errno != EINTR)
			return -errno;
	if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED)
		return -ECHILD;
	/* Killed meanwhile, it has no stop any more. */
	info.si_pid = 0;
	if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG) || info.si_pid != pid)
		return -ECHILD;
	*signal = info.si_status & 0xff; /* above it: which event */
	return 0;
}

static size_t count_files(pid_t pid)
{
	struct procmaps maps;
	size_t files = 0;

	if (procmaps_read(pid, &maps))
		return 0;
	for (size_t i = 0; i < maps.count; i++)
		files += maps.data[i].perms[2] == 'x' && maps.data[i].inode;
	procmaps_deinit(&maps);
	return files;
}

/* Does the stopped child enter a call that a loader makes once it has mapped the libraries? */
static bool enters_late_call(pid_t pid)
{
	static const uint64_t calls[] = {SYS_set_tid_address, SYS_munmap};
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return false;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (info.entry.nr == calls[i])
			return true;
	return false;
}

/* To where more is mapped than the program and its loader; a static program has none. */
static int run_to_libraries(pid_t pid)
{
	size_t files = count_files(pid);
	int error, signal = 0;

	if (files < 2)
		return 0;
	for (int i = 0; i < CALLS_MOST; i++) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)signal))
			return -errno;
		error = wait_stop(pid, &signal);
		if (error)
			return error;
		if (signal == SIGTRAP)
			signal = 0; /* an event, or a stop of all the child */
		if (signal != SYSCALL_STOP)
			continue; /* on to the child */
		signal = 0;
		if (enters_late_call(pid) && count_files(pid) > files)
			return 0;
	}
	return 0;
}

/* 0 once the child executed the command, or why it could not. */
static int seize(pid_t pid, int go, int report)
{
	int error;

	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD)))
		return -errno;
	if (write(go, "", 1) != 1)
		return -EIO;
	return read(report, &error, sizeof(error)) == sizeof(error) ? -error : 0;
}

int launch_held(char *const argv[], pid_t *ret, char *error, size_t size)
{
	int go[2], report[2], status, number;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC))
		return -errno;
	if (pipe2(report, O_CLOEXEC)) {
		status = -errno;
		close(go[0]);
		close(go[1]);
		return status;
	}
	pid = fork();
	/* Else, where memtop was started with it ignored, nothing would be told of the child's end.
	 */
	if (pid > 0)
		signal(SIGCHLD, SIG_DFL);
	if (!pid) {
		close(go[1]);
		child(argv, go[0], report[1]);
	}
	close(go[0]);
	close(report[1]);
	status = pid < 0 ? -EAGAIN : seize(pid, go[1], report[0]);
	close(go[1]);
	close(report[0]);
	if (pid < 0)
		return status;
	if (status) {
		waitpid(pid, NULL, 0);
		snprintf(error, size, "cannot %s %s: %s",
			 status == -EPERM ? "hold (ptrace) or execute" : "execute", argv[0],
			 strerror(-status));
		return status;
	}
	*ret = pid;
	status = wait_stop(pid, &number);
	if (!status)
		status = run_to_libraries(pid);
	if (status)
		snprintf(error, size, "%s ended before it could be watched", argv[0]);
	return status;
}

/* At the very beginning, where the kernel put the arguments: nothing was pushed or taken yet. */
static bool has_not_begun(pid_t pid)
{
	struct __ptrace_syscall_info info;
	struct procstat stat;

	return ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) > 0 &&
	       !procstat_read(pid, &stat) && info.stack_pointer == stat.start_stack;
}

/* To a stop that is no signal's delivery; those that come first go on to the child. */
static int run_to_stop(pid_t pid)
{
	int signal, error;

	for (;;) {
		error = wait_stop(pid, &signal);
		if (error || signal == SIGSTOP || signal == SIGTRAP)
			return error;
		if (ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)signal))
			return -errno;
	}
}

int launch_hold_again(pid_t pid)
{
	int error = 0;

	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD)) ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		error = -errno;
	if (!error)
		error = run_to_stop(pid);
	if (!error && !has_not_begun(pid))
		error = -EALREADY;
	/* From here on it is ptrace that holds it, and its end lets it run. */
	kill(pid, SIGCONT);
	if (!error)
		error = run_to_libraries(pid);
	if (error)
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return error;
}

int launch_go(pid_t pid)
{
	return ptrace(PTRACE_DETACH, pid, NULL, NULL) ? -errno : 0;
}

/* Whatever ran has had its pages faulted in. */
bool launch_had_children(pid_t pid)
{
	struct procstat stat;

	return !procstat_read(pid, &stat) && stat.reaped_faults;
}
