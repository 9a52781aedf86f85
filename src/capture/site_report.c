/* SPDX-License-Identifier: GPL-2.0-only */
#include "capture/site_report.h"

#include "capture/calibrate.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static const char *const kind_names[PROBE_KIND_COUNT] = {
	[PROBE_SESSION] = "uprobe sessions (one program at entry and return)",
	[PROBE_MULTI] = "multi uprobes (entry and return apart)",
	[PROBE_PERF] = "perf uprobes (one event a place)",
};

/* Of one call, without what memtop's programs do in it. */
static double point_cost_ns(const struct probe_point *point, const struct trap_costs *costs)
{
	double entry = point->single_step ? costs->single_step_ns : costs->entry_ns;
	double exit = 0; /* the dearest */

	for (size_t i = 0; i < point->exit_count; i++)
		exit = fmax(exit,
			    point->exits[i].single_step ? costs->single_step_ns : costs->entry_ns);
	switch (point->returns) {
	case PROBE_RETURN_TRAPPED:
		return entry + costs->entry_return_ns - costs->entry_ns;
	case PROBE_RETURN_EXITS:
		return entry + exit;
	default:
		return entry;
	}
}

/* A file may be called anything; a terminal shall not obey it. */
static void file_name(char *ret, size_t size, const struct procmaps *maps,
		      const struct probe_point *point)
{
	const struct mapping *mapping = procmaps_find(maps, point->address);
	const char *slash = mapping ? strrchr(mapping->path, '/') : NULL;

	snprintf(ret, size, "%s", slash ? slash + 1 : "?");
	for (; *ret; ret++)
		if ((unsigned char)*ret < ' ' || *ret == 0x7f)
			*ret = '?';
}

static void describe_return(char *ret, size_t size, const struct probe_point *point)
{
	if (point->returns == PROBE_RETURN_TRAPPED)
		snprintf(ret, size, "return probe");
	else if (point->returns == PROBE_RETURN_EXITS && point->exit_count)
		snprintf(ret, size, "%zu return instruction%s", point->exit_count,
			 point->exit_count == 1 ? "" : "s");
	else if (point->returns == PROBE_RETURN_EXITS)
		snprintf(ret, size, "returns by another");
	else
		snprintf(ret, size, "no return");
}

static void write_point(FILE *out, const struct procmaps *maps, const struct probe_point *point,
			const struct trap_costs *costs)
{
	char returns[48], cost[24] = "not measured", file[64];

	describe_return(returns, sizeof(returns), point);
	if (costs)
		snprintf(cost, sizeof(cost), "%.0f ns", point_cost_ns(point, costs));
	file_name(file, sizeof(file), maps, point);
	fprintf(out, "  %-28.80s %s+0x%" PRIx64 " (entry+%" PRIu64 ") %s, %s, %s\n", point->name,
		file, point->probe_offset, point->probe_offset - point->entry_offset,
		point->single_step ? "stepped" : "emulated", returns, cost);
}

void site_report(FILE *out, pid_t pid, const struct allocators_options *options)
{
	enum probe_kind kind;
	struct probe_points points;
	struct trap_costs costs;
	struct procmaps maps;
	char error[256];
	bool measured;

	if (procmaps_read(pid, &maps)) {
		fprintf(out, "cannot read what process %d has mapped\n", pid);
		return;
	}
	if (allocators_find(pid, &maps, options, &points, error, sizeof(error))) {
		fprintf(out, "%s\n", error);
		procmaps_deinit(&maps);
		return;
	}
	measured = !calibrate_traps(&kind, &costs);
	fprintf(out, "Probes in %s, by %s:\n", pid == getpid() ? "memtop itself" : "the process",
		kind == PROBE_KIND_COUNT ? "nothing that this kernel has" : kind_names[kind]);
	for (size_t i = 0; i < points.count; i++)
		write_point(out, &maps, &points.data[i], measured ? &costs : NULL);
	if (points.note[0])
		fprintf(out, "  %s\n", points.note);
	if (measured)
		fprintf(out, "  under a filter of system calls return probes %s\n",
			calibrate_filtered(kind) ? "would end the target; its calls are then seen "
						   "at return instructions" :
						   "do no harm");
	probe_points_deinit(&points);
	procmaps_deinit(&maps);
}
