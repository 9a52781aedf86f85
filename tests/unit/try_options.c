/* SPDX-License-Identifier: GPL-2.0-only */
/* Lets a test see what the option table makes of a command line. */
#include "options.h"

#include "core/format.h"

int main(int argc, char **argv)
{
	struct options options;
	char error[512];

	if (options_parse(argc, argv, &options, error, sizeof(error))) {
		printf("error %s\n", error);
		options_deinit(&options);
		return 1;
	}
	if (options.action == ACTION_HELP)
		options_write_help(stdout);
	else if (options.action == ACTION_HELP_LOSSES)
		options_write_losses(stdout);
	else if (options.action == ACTION_COMPLETION)
		options_write_completion(stdout);
	else
		printf("action=%d pid=%d name=%s match=%s command=%s tui=%d level=%s budget=%g "
		       "limit=%llu delay=%g batch=%d iterations=%lu format=%d sides=%u sort=%d "
		       "top=%zu filter=%s older=%g min=%llu blocks=%llu unwind=%llu debug=%s leak=%lld suppress=%s "
		       "baseline=%s report=%s functions=%zu prefixes=%zu returns=%d sided=%d\n",
		       options.action, (int)options.pid, options.name ? options.name : "-",
		       options.match ? options.match : "-",
		       options.command ? options.command[0] : "-", options.tui,
		       level_name(options.level), options.budget_percent,
		       (unsigned long long)options.limit_bytes, options.delay_s, options.batch,
		       options.iterations, options.format, options.sides, options.sort, options.top,
		       options.filter ? options.filter : "-", options.older_s,
		       (unsigned long long)options.min_size_bytes,
		       (unsigned long long)options.max_blocks,
		       (unsigned long long)options.unwind_bytes,
		       options.debug_dir ? options.debug_dir : "-",
		       options.fail_if_leaked ? (long long)options.leak_limit_bytes : -1,
		       options.suppress ? options.suppress : "-",
		       options.baseline ? options.baseline : "-",
		       options.report ? options.report : "-", options.function_count,
		       options.prefix_count, !options.no_return_probes, options.sides_given);
	options_deinit(&options);
	return 0;
}
