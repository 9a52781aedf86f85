/* SPDX-License-Identifier: GPL-2.0-only */
#include "tests/unwind/target.h"

#include "core/modules.h"
#include "unwind/publisher.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

int target_start(const char *path, char *const argv[], struct target *ret)
{
	int in[2], out[2];
	char line[64];

	memset(ret, 0, sizeof(*ret));
	if (pipe(in) || pipe(out))
		return -errno;
	ret->pid = fork();
	if (!ret->pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execv(path, argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	ret->in = fdopen(in[1], "w");
	ret->out = fdopen(out[0], "r");
	if (ret->pid < 0 || !fgets(line, sizeof(line), ret->out))
		return -ECHILD;
	ret->probe = strtoull(line, NULL, 16);
	return 0;
}

void target_end(struct target *target)
{
	if (target->pid <= 0)
		return;
	fclose(target->in);
	fclose(target->out);
	kill(target->pid, SIGKILL);
	waitpid(target->pid, NULL, 0);
	free(target->probe_path);
}

void target_mappings(struct target *target, struct publisher *publisher)
{
	_cleanup_free_ char *maps = xasprintf("/proc/%d/maps", target->pid);
	_cleanup_fclose_ FILE *file = fopen(maps, "r");
	uint32_t id = 0;
	char line[4352];

	while (file && fgets(line, sizeof(line), file)) {
		struct module module = {.to_ns = UINT64_MAX};
		unsigned major_number, minor_number;
		char protection[8], name[4096] = "";

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %x:%x %" SCNu64 " %4095s",
			   &module.start, &module.end, protection, &module.file_offset,
			   &major_number, &minor_number, &module.inode, name) < 7 ||
		    protection[2] != 'x')
			continue;
		module.id = ++id;
		module.device = makedev(major_number, minor_number);
		module.path = name;
		if (publisher)
			publisher_add(publisher, &module);
		if (target->probe >= module.start && target->probe < module.end) {
			target->probe_offset = target->probe - module.start + module.file_offset;
			free(target->probe_path);
			target->probe_path = xstrdup(name);
		}
	}
}

struct bpf_link *target_attach(const struct target *target, const struct bpf_program *program)
{
	LIBBPF_OPTS(bpf_uprobe_opts, options);

	return bpf_program__attach_uprobe_opts(program, target->pid, target->probe_path,
					       target->probe_offset, &options);
}
