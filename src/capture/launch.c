/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The child asks to be traced and executes the command, which stops it with nothing but itself and
 * its loader mapped. The loader calls an empty function, _dl_debug_state, whenever its list of
 * libraries changed, for debuggers to break on: first before the libraries are mapped, then when
 * all are there. A breakpoint instruction stands on it for those two calls only.
 *
 * Should memtop die while it holds the command, the kernel lets that run on.
 */
#include "capture/launch.h"

#include "capture/elfimage.h"
#include "capture/elfsyms.h"
#include "capture/procmaps.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <elf.h>
#include <unistd.h>

#define LOADER_HOOK	  "_dl_debug_state"
#define LOADER_CALLS_MOST 8

#if defined(__x86_64__)
static const uint8_t breakpoint[] = {0xcc};
#define PC_AFTER_BREAKPOINT	1
#define registers_pc(registers) ((registers).rip)
#elif defined(__aarch64__)
static const uint8_t breakpoint[] = {0x00, 0x00, 0x20, 0xd4};
#define PC_AFTER_BREAKPOINT	0
#define registers_pc(registers) ((registers).pc)
#endif

/* The child: reports through the pipe why it could not execute; success closes it. */
static _Noreturn void child(char *const argv[], int report)
{
	int error;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
		execvp(argv[0], argv);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(error == ENOENT ? 127 : 126);
}

/* Until the child stops: 0, or -ECHILD if it ended instead. */
static int wait_stop(pid_t pid, int *signal)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFSTOPPED(status))
		return -ECHILD;
	*signal = WSTOPSIG(status);
	return 0;
}

static int write_memory(pid_t pid, uint64_t address, const void *bytes, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return pwrite(fd, bytes, size, address) == (ssize_t)size ? 0 : -EIO;
}

static int read_memory(pid_t pid, uint64_t address, void *bytes, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return pread(fd, bytes, size, address) == (ssize_t)size ? 0 : -EIO;
}

/* Where a function that a mapped file exports is in the child; 0 if it does not. */
static uint64_t exported_address(pid_t pid, const struct mapping *mapping, const char *name)
{
	_cleanup_close_ int fd = procmaps_open_file(pid, mapping);
	struct elf_functions functions = {0};
	struct elf_image image = {0};
	uint64_t bias, address = 0;

	if (fd < 0 || elf_image_read(fd, &image))
		return 0;
	if (elf_image_bias(&image, mapping->start, mapping->offset, &bias) &&
	    !elf_functions_find(fd, ELF_TABLE_DYNAMIC, &name, 1, &functions) && functions.count)
		address = functions.data[0].address + bias;
	elf_functions_deinit(&functions);
	elf_image_deinit(&image);
	return address;
}

/* Where the loader's hook is; 0 for a static program, which has none. */
static uint64_t find_hook(pid_t pid)
{
	struct procmaps maps;
	uint64_t hook = 0;

	if (procmaps_read(pid, &maps))
		return 0;
	for (size_t i = 0; i < maps.count && !hook; i++)
		if (maps.data[i].perms[2] == 'x' && maps.data[i].inode)
			hook = exported_address(pid, &maps.data[i], LOADER_HOOK);
	procmaps_deinit(&maps);
	return hook;
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

/* Puts the program counter back onto the instruction that the breakpoint replaced. */
static int rewind_pc(pid_t pid)
{
	struct user_regs_struct registers;
	struct iovec set = {.iov_base = &registers, .iov_len = sizeof(registers)};

	if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &set))
		return -errno;
	registers_pc(registers) -= PC_AFTER_BREAKPOINT;
	return ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &set) ? -errno : 0;
}

/* Lets the child run to the hook once and takes the breakpoint out again. */
static int run_to_hook(pid_t pid, uint64_t hook)
{
	uint8_t original[sizeof(breakpoint)];
	int signal = 0;
	int error = read_memory(pid, hook, original, sizeof(original));

	if (!error)
		error = write_memory(pid, hook, breakpoint, sizeof(breakpoint));
	if (error)
		return error;
	do {
		if (ptrace(PTRACE_CONT, pid, NULL, signal == SIGTRAP ? 0 : signal))
			return -errno;
		error = wait_stop(pid, &signal);
		if (error)
			return error;
	} while (signal != SIGTRAP);
	error = write_memory(pid, hook, original, sizeof(original));
	return error ? error : rewind_pc(pid);
}

/* One instruction further, so that the next call of the hook is a new one. */
static int step(pid_t pid)
{
	int signal;

	if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL))
		return -errno;
	return wait_stop(pid, &signal);
}

/* To the call of the hook at which more is mapped than the program and its loader. */
static int run_to_libraries(pid_t pid)
{
	uint64_t hook = find_hook(pid);
	size_t files = count_files(pid);
	int error;

	if (!hook)
		return 0;
	for (int i = 0; i < LOADER_CALLS_MOST; i++) {
		error = run_to_hook(pid, hook);
		if (error || count_files(pid) > files)
			return error;
		error = step(pid);
		if (error)
			return error;
	}
	return 0;
}

int launch_held(char *const argv[], pid_t *ret, char *error, size_t size)
{
	int ends[2], status = 0, signal;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		child(argv, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -EAGAIN;
	}
	if (read(ends[0], &status, sizeof(status)) == sizeof(status)) {
		close(ends[0]);
		waitpid(pid, NULL, 0);
		snprintf(error, size, "cannot execute %s: %s", argv[0], strerror(status));
		return -status;
	}
	close(ends[0]);
	*ret = pid;
	status = wait_stop(pid, &signal);
	if (!status)
		status = run_to_libraries(pid);
	if (status)
		snprintf(error, size, "%s ended before it could be watched", argv[0]);
	return status;
}

int launch_go(pid_t pid)
{
	return ptrace(PTRACE_DETACH, pid, NULL, NULL) ? -errno : 0;
}
