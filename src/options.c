/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A row of the table is an option: its names, how --help shows it, what completes its argument and
 * the function that takes it in. Options that are known but not built yet are rows without such a
 * function: they are refused by name rather than ignored.
 *
 * Numbers are taken strictly: the whole argument, in range, or a usage error.
 *
 * The command line is taken twice: what it says about files of options has to be known before those
 * are read, and it wins over them.
 */
#include "options_table.h"

#include "core/format.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <regex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_DELAY_S	     1.0
#define DEFAULT_BUDGET	     10.0
#define DEFAULT_TOP	     20
#define DEFAULT_UNWIND_BYTES (256ull << 20)
#define MAX_DELAY_S	     3600.0
#define MIN_DELAY_S	     0.1
#define MIN_BLOCKS	     1000u
#define MAX_BLOCKS	     100000000u
#define ALL_SIDES	     ((1u << SIDE_COUNT) - 1)
#define LONG_ONLY	     256 /* getopt values of options without a letter start here */

/* Sort columns by the names of the table's headings; indexed by enum sort_column. */
static const char *const sort_names[SORT_COUNT] = {
	[SORT_VERDICT] = "verdict", [SORT_LIVE] = "live",     [SORT_DELTA] = "delta",
	[SORT_RATE] = "rate",	    [SORT_BLOCKS] = "blocks", [SORT_KEPT] = "kept",
	[SORT_OLDEST] = "oldest",   [SORT_SITE] = "site",
};

__attribute__((format(printf, 2, 3))) static int refuse(struct reason *reason, const char *format,
							...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason->text, reason->size, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* Decimal digits only: no sign, no blank, no 0x. */
static bool parse_count(const char *text, unsigned long max, unsigned long *ret)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || value > max)
		return false;
	*ret = value;
	return true;
}

/* Digits with at most one point: no sign, no exponent, no "inf" or "nan". */
static bool parse_decimal(const char *text, double max, double *ret)
{
	size_t length = strspn(text, "0123456789.");
	double value;
	char *end;

	if (!length || text[length] || length > 32)
		return false;
	value = strtod(text, &end);
	if (*end || end == text || !(value <= max))
		return false;
	*ret = value;
	return true;
}

static bool parse_bytes(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	unsigned long long value;
	const char *unit;
	unsigned shift = 0;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (value > (UINT64_MAX >> shift))
		return false;
	*ret = (uint64_t)value << shift;
	return true;
}

static int take_pid(struct options *options, const char *argument, struct reason *reason)
{
	unsigned long pid;

	if (!parse_count(argument, INT_MAX, &pid) || !pid)
		return refuse(reason, "--pid %s: not a process id (a number from 1)", argument);
	options->pid = (pid_t)pid;
	return 0;
}

static int take_name(struct options *options, const char *argument, struct reason *reason)
{
	if (!*argument || strchr(argument, '/'))
		return refuse(reason,
			      "--name '%s': not a program's name; give the last part of its path",
			      argument);
	options->name = argument;
	return 0;
}

static int check_regex(const char *option, const char *argument, struct reason *reason)
{
	char error[128];
	regex_t regex;
	int code = regcomp(&regex, argument, REG_EXTENDED | REG_NOSUB);

	if (code) {
		regerror(code, NULL, error, sizeof(error));
		return refuse(reason, "%s '%s': %s", option, argument, error);
	}
	regfree(&regex);
	return 0;
}

static int take_match(struct options *options, const char *argument, struct reason *reason)
{
	options->match = argument;
	if (!*argument)
		return refuse(reason, "--match: empty regular expression");
	return check_regex("--match", argument, reason);
}

static int take_filter(struct options *options, const char *argument, struct reason *reason)
{
	options->filter = argument;
	return check_regex("--filter", argument, reason);
}

static int take_tui(struct options *options, const char *argument, struct reason *reason)
{
	(void)argument, (void)reason;
	options->tui = true;
	return 0;
}

static int take_delay(struct options *options, const char *argument, struct reason *reason)
{
	if (!parse_decimal(argument, MAX_DELAY_S, &options->delay_s) ||
	    options->delay_s < MIN_DELAY_S)
		return refuse(reason, "--delay %s: not seconds between 0.1 and 3600", argument);
	return 0;
}

static int take_batch(struct options *options, const char *argument, struct reason *reason)
{
	(void)argument, (void)reason;
	options->batch = true;
	return 0;
}

static int take_iterations(struct options *options, const char *argument, struct reason *reason)
{
	if (!parse_count(argument, LONG_MAX, &options->iterations) || !options->iterations)
		return refuse(reason, "--iterations %s: not a number of ticks from 1", argument);
	return 0;
}

static int take_format(struct options *options, const char *argument, struct reason *reason)
{
	if (!strcmp(argument, "json"))
		options->format = FORMAT_JSON;
	else if (!strcmp(argument, "text"))
		options->format = FORMAT_TEXT;
	else
		return refuse(reason, "--format %s: not text or json", argument);
	return 0;
}

static int take_level(struct options *options, const char *argument, struct reason *reason)
{
	if (level_parse(argument, &options->level))
		return refuse(reason, "--level %s: not auto, rss, pages or heap", argument);
	options->level_given = true;
	return 0;
}

static int take_budget(struct options *options, const char *argument, struct reason *reason)
{
	if (!strcmp(argument, "none"))
		options->budget_percent = NAN;
	else if (!parse_decimal(argument, 10000, &options->budget_percent))
		return refuse(reason, "--budget %s: not a percentage up to 10000, or none",
			      argument);
	options->budget_given = true;
	return 0;
}

static int take_side(struct options *options, const char *argument, struct reason *reason)
{
	options->sides_given = true;
	if (!strcmp(argument, "all")) {
		options->sides = ALL_SIDES;
		return 0;
	}
	for (unsigned side = 0; side < SIDE_COUNT; side++)
		if (!strcmp(argument, side_name(side))) {
			options->sides = 1u << side;
			return 0;
		}
	return refuse(reason, "--side %s: not user, maps, kernel or all", argument);
}

static int take_sort(struct options *options, const char *argument, struct reason *reason)
{
	for (unsigned i = 0; i < SORT_COUNT; i++)
		if (!strcasecmp(argument, sort_names[i])) {
			options->sort = i;
			return 0;
		}
	return refuse(reason,
		      "--sort %s: not verdict, live, delta, rate, blocks, kept, oldest or site",
		      argument);
}

static int take_top(struct options *options, const char *argument, struct reason *reason)
{
	unsigned long top;

	if (!parse_count(argument, INT_MAX, &top))
		return refuse(reason, "--top %s: not a number of sites (0 = all)", argument);
	options->top = top;
	options->top_given = true;
	return 0;
}

static int take_older(struct options *options, const char *argument, struct reason *reason)
{
	if (!parse_decimal(argument, 1e9, &options->older_s))
		return refuse(reason, "--older %s: not a number of seconds", argument);
	return 0;
}

static int take_min_size(struct options *options, const char *argument, struct reason *reason)
{
	if (!parse_bytes(argument, &options->min_size_bytes))
		return refuse(reason, "--min-size %s: not a size (bytes, or with K, M, G)",
			      argument);
	options->min_size_given = true;
	return 0;
}

static int take_limit(struct options *options, const char *argument, struct reason *reason)
{
	if (!parse_bytes(argument, &options->limit_bytes) || !options->limit_bytes)
		return refuse(reason, "--limit %s: not a size (bytes, or with K, M, G)", argument);
	return 0;
}

static int take_max_blocks(struct options *options, const char *argument, struct reason *reason)
{
	unsigned long blocks;

	if (!parse_count(argument, MAX_BLOCKS, &blocks) || blocks < MIN_BLOCKS)
		return refuse(reason, "--max-blocks %s: not a number of blocks from %u to %u",
			      argument, MIN_BLOCKS, MAX_BLOCKS);
	options->max_blocks = blocks;
	return 0;
}

static int take_unwind_memory(struct options *options, const char *argument, struct reason *reason)
{
	if (!parse_bytes(argument, &options->unwind_bytes) || !options->unwind_bytes)
		return refuse(reason, "--unwind-memory %s: not a size (bytes, or with K, M, G)",
			      argument);
	return 0;
}

static int take_debug_dir(struct options *options, const char *argument, struct reason *reason)
{
	if (!*argument)
		return refuse(reason, "--debug-dir: empty");
	options->debug_dir = argument;
	return 0;
}

static int take_fail_if_leaked(struct options *options, const char *argument, struct reason *reason)
{
	if (!parse_bytes(argument, &options->leak_limit_bytes))
		return refuse(reason, "--fail-if-leaked %s: not a size (bytes, or with K, M, G)",
			      argument);
	options->fail_if_leaked = true;
	return 0;
}

static int take_file(const char *option, const char **ret, const char *argument,
		     struct reason *reason)
{
	if (!*argument)
		return refuse(reason, "%s: empty name of a file", option);
	*ret = argument;
	return 0;
}

static int take_suppress(struct options *options, const char *argument, struct reason *reason)
{
	return take_file("--suppress", &options->suppress, argument, reason);
}

static int take_baseline(struct options *options, const char *argument, struct reason *reason)
{
	return take_file("--baseline", &options->baseline, argument, reason);
}

static int take_report(struct options *options, const char *argument, struct reason *reason)
{
	return take_file("--report", &options->report, argument, reason);
}

static int take_function(struct options *options, const char *argument, struct reason *reason)
{
	struct function_description *function;
	int status;

	if (options->function_count >= OPTIONS_MAX_FUNCTIONS)
		return refuse(reason, "--function %s: %d functions are the most", argument,
			      OPTIONS_MAX_FUNCTIONS);
	function = &options->functions[options->function_count++];
	status = function_parse(argument, function, reason->text, reason->size);
	/* A file is for all programs, and not each has it. */
	function->may_miss = options->from_file;
	return status;
}

static int take_prefix(struct options *options, const char *argument, struct reason *reason)
{
	if (!*argument || argument[strspn(argument, "abcdefghijklmnopqrstuvwxyz"
						    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")])
		return refuse(reason,
			      "--prefix '%s': not what names of functions begin with, as je_",
			      argument);
	if (options->prefix_count >= OPTIONS_MAX_PREFIXES)
		return refuse(reason, "--prefix %s: %d prefixes are the most", argument,
			      OPTIONS_MAX_PREFIXES);
	options->prefixes[options->prefix_count++] = argument;
	return 0;
}

static int take_no_return_probes(struct options *options, const char *argument,
				 struct reason *reason)
{
	(void)argument, (void)reason;
	options->no_return_probes = true;
	return 0;
}

static int take_config(struct options *options, const char *argument, struct reason *reason)
{
	return take_file("--config", &options->config, argument, reason);
}

static int take_no_config(struct options *options, const char *argument, struct reason *reason)
{
	(void)argument, (void)reason;
	options->no_config = true;
	return 0;
}

static int take_check(struct options *options, const char *argument, struct reason *reason)
{
	(void)argument, (void)reason;
	options->action = ACTION_CHECK;
	return 0;
}

static int take_help(struct options *options, const char *argument, struct reason *reason)
{
	options->action = argument ? ACTION_HELP_LOSSES : ACTION_HELP;
	if (argument && strcmp(argument, "losses"))
		return refuse(reason, "--help=%s: there is help with losses only", argument);
	return 0;
}

static int take_version(struct options *options, const char *argument, struct reason *reason)
{
	(void)argument, (void)reason;
	options->action = ACTION_VERSION;
	return 0;
}

static int take_completion(struct options *options, const char *argument, struct reason *reason)
{
	(void)argument, (void)reason;
	options->action = ACTION_COMPLETION;
	return 0;
}

#define REFUSED(name, letter, argument)                                    \
	{                                                                  \
		name, letter, argument, GROUP_OTHER, NULL, "", NULL, false \
	}

/* name, letter, argument, group, take, help, completes, hidden */
const struct option_row option_rows[] = {
	{"pid", 'p', "PID", GROUP_TARGET, take_pid, "the process PID", "@pid", false},
	{"name", 'n', "NAME", GROUP_TARGET, take_name,
	 "the process whose program is called NAME;\n"
	 "waits for it if there is none yet, and for the\n"
	 "next one when it ends",
	 "@name", false},
	{"match", 0, "REGEX", GROUP_TARGET, take_match,
	 "the process whose command line matches REGEX;\n"
	 "waits for it as --name does",
	 NULL, false},
	{"tui", 0, NULL, GROUP_TARGET, take_tui,
	 "show the screen for a started CMD as well;\n"
	 "else it ends with a report of its leaks",
	 NULL, false},

	{"level", 0, "LEVEL", GROUP_WATCH, take_level,
	 "auto, rss (/proc only), pages (which stacks'\n"
	 "pages are resident) or heap (every block)\n"
	 "[auto]",
	 "auto rss pages heap", false},
	{"budget", 0, "PERCENT", GROUP_WATCH, take_budget,
	 "how much auto may slow the busiest thread, or\n"
	 "none for any [10]",
	 "none", false},
	{"delay", 'd', "SECONDS", GROUP_WATCH, take_delay,
	 "between ticks, 0.1 to 3600, fractions too [1]", NULL, false},
	{"limit", 0, "BYTES", GROUP_WATCH, take_limit,
	 "forecast against this limit as well (K, M, G)", NULL, false},
	{"max-blocks", 0, "N", GROUP_WATCH, take_max_blocks,
	 "room for N live blocks, of 25 to 51 bytes each\n"
	 "[by the target's size]",
	 NULL, false},
	{"unwind-memory", 0, "BYTES", GROUP_WATCH, take_unwind_memory,
	 "at most so much for tables to walk stacks by\n"
	 "(K, M, G) [256M]",
	 NULL, false},
	{"function", 0, "FUNCTION", GROUP_WATCH, take_function,
	 "count a function of the target's own as well:\n"
	 "NAME:alloc(2), NAME:alloc(=BYTES), NAME:free(2);\n"
	 "see memtop(1)",
	 NULL, false},
	{"prefix", 0, "PREFIX", GROUP_WATCH, take_prefix,
	 "count an allocator whose functions are called\n"
	 "PREFIXmalloc, PREFIXfree and so on",
	 NULL, false},
	{"no-return-probes", 0, NULL, GROUP_WATCH, take_no_return_probes,
	 "leave no trampolines on the target's stacks, at\n"
	 "a higher cost",
	 NULL, false},
	{"debug-dir", 0, "DIR", GROUP_WATCH, take_debug_dir,
	 "look for debug information here first", "@directory", false},

	{"side", 0, "SIDE", GROUP_TABLE, take_side,
	 "user, maps, kernel or all [all, but the kernel's\n"
	 "only as long as it is cheap]",
	 "user maps kernel all", false},
	{"sort", 's', "COLUMN", GROUP_TABLE, take_sort,
	 "verdict, live, delta, rate, blocks, kept,\n"
	 "oldest or site [delta]",
	 "verdict live delta rate blocks kept oldest site", false},
	{"top", 0, "N", GROUP_TABLE, take_top, "in batch output at most N sites, 0 = all [20]",
	 NULL, false},
	{"filter", 'f', "REGEX", GROUP_TABLE, take_filter,
	 "only sites with a frame, module or verdict that\n"
	 "matches REGEX",
	 NULL, false},
	{"older", 0, "SECONDS", GROUP_TABLE, take_older,
	 "only sites with a block at least this old", NULL, false},
	{"min-size", 0, "BYTES", GROUP_TABLE, take_min_size,
	 "only sites with at least BYTES live (K, M, G)\n"
	 "[on the screen what is worth a line; else 0]",
	 NULL, false},

	{"batch", 'b', NULL, GROUP_BATCH, take_batch, "no screen: write each tick to the output",
	 NULL, false},
	{"iterations", 'i', "N", GROUP_BATCH, take_iterations, "end after N ticks", NULL, false},
	{"format", 0, "FORMAT", GROUP_BATCH, take_format, "text, or json: one object a line [text]",
	 "text json", false},

	{"fail-if-leaked", 0, "BYTES", GROUP_GATE, take_fail_if_leaked,
	 "exit with 99 if CMD leaks more than that (K, M,\n"
	 "G; 0: anything), with 98 if it cannot be judged;\n"
	 "takes level heap unless --level or --budget say\n"
	 "otherwise",
	 NULL, false},
	{"suppress", 0, "FILE", GROUP_GATE, take_suppress,
	 "leaks to accept, as LeakSanitizer's file has\n"
	 "them: lines leak:PATTERN",
	 "@file", false},
	{"baseline", 0, "FILE", GROUP_GATE, take_baseline,
	 "accept what is in this JSON of an earlier run:\n"
	 "only new sites and growth count",
	 "@file", false},
	{"report", 0, "FILE", GROUP_GATE, take_report,
	 "write the report there (JSON if FILE ends in\n"
	 ".json or with --format json) [standard error]",
	 "@file", false},

	{"config", 0, "FILE", GROUP_OTHER, take_config,
	 "take options from FILE first, a line each, not\n"
	 "from /etc/memtop.conf and\n"
	 "~/.config/memtop/memtop.conf",
	 "@file", false},
	{"no-config", 0, NULL, GROUP_OTHER, take_no_config, "take none from files", NULL, false},
	{"check", 0, NULL, GROUP_OTHER, take_check,
	 "say what this machine allows and each level\n"
	 "needs; changes nothing",
	 NULL, false},
	{"help", 'h', "[=losses]", GROUP_OTHER, take_help,
	 "this text; with =losses what cannot be accounted\n"
	 "for, and what to do about it",
	 NULL, false},
	{"version", 'V', NULL, GROUP_OTHER, take_version, "the version", NULL, false},

	REFUSED("record", 'w', "FILE"),
	REFUSED("replay", 'r', "FILE"),
	REFUSED("export", 0, "FILE"),
	REFUSED("lang", 0, "LANG"),
	REFUSED("own", 0, "GLOB"),

	{"print-completion", 0, NULL, GROUP_OTHER, take_completion, "", NULL, true},
};

#define ROW_COUNT (sizeof(option_rows) / sizeof(option_rows[0]))

const size_t option_row_count = ROW_COUNT;

int option_has_argument(const struct option_row *row)
{
	if (!row->argument)
		return no_argument;
	return *row->argument == '[' ? optional_argument : required_argument;
}

/* The table in getopt's form: `longs` has ROW_COUNT + 1 elements, `shorts` 2 + 2 * ROW_COUNT + 1.
 */
static void getopt_form(struct option *longs, char *shorts)
{
	memset(longs, 0, (ROW_COUNT + 1) * sizeof(*longs));
	*shorts++ = '+'; /* what follows CMD is CMD's */
	*shorts++ = ':';
	for (size_t i = 0; i < ROW_COUNT; i++) {
		longs[i].name = option_rows[i].name;
		longs[i].has_arg = option_has_argument(&option_rows[i]);
		longs[i].val = LONG_ONLY + (int)i;
		if (!option_rows[i].letter)
			continue;
		*shorts++ = option_rows[i].letter;
		if (option_has_argument(&option_rows[i]) == required_argument)
			*shorts++ = ':';
	}
	*shorts = 0;
}

static const struct option_row *row_of(int value)
{
	if (value >= LONG_ONLY && value < LONG_ONLY + (int)ROW_COUNT)
		return &option_rows[value - LONG_ONLY];
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (option_rows[i].letter && option_rows[i].letter == value)
			return &option_rows[i];
	return NULL;
}

static int take(int value, const char *word, struct options *options, struct reason *reason)
{
	const struct option_row *row = row_of(value == ':' ? optopt : value);

	if (value == ':' && row)
		return refuse(reason, "--%s needs its %s; see memtop --help", row->name,
			      row->argument);
	if (value == '?' && optopt >= LONG_ONLY)
		return refuse(reason, "--%s takes no argument; see memtop --help",
			      row_of(optopt)->name);
	if (value == '?' && optopt)
		return refuse(reason, "unknown option -%c; see memtop --help", optopt);
	if (!row || value == '?')
		return refuse(reason, "unknown option %s; see memtop --help", word);
	if (!row->take)
		return refuse(reason, "--%s is not part of this version", row->name);
	return row->take(options, optarg, reason);
}

/* What no single option can know. */
static int check_together(struct options *options, struct reason *reason)
{
	unsigned targets = !!options->pid + !!options->name + !!options->match + !!options->command;

	if (options->action != ACTION_WATCH)
		return 0;
	if (!targets)
		return refuse(reason, "what to watch? Give -p PID, -n NAME, --match REGEX or "
				      "-- CMD; see memtop --help");
	if (targets > 1)
		return refuse(reason, "only one of --pid, --name, --match and -- CMD can be "
				      "watched at a time");
	if (options->tui && !options->command)
		return refuse(reason, "--tui goes with -- CMD; without it the screen is shown "
				      "anyway");
	if (options->tui && options->batch)
		return refuse(reason, "--tui and --batch exclude each other");
	if (options->config && options->no_config)
		return refuse(reason, "--config and --no-config exclude each other");
	if (!options->command &&
	    (options->fail_if_leaked || options->suppress || options->baseline || options->report))
		return refuse(reason, "--fail-if-leaked, --suppress, --baseline and --report go "
				      "with -- CMD");
	if (options->format == FORMAT_JSON && !options->batch && !options->command)
		return refuse(reason, "--format json goes with --batch");
	if (options->iterations && !options->batch)
		return refuse(reason, "--iterations goes with --batch");
	return 0;
}

static int parse_words(int argc, char **argv, struct options *ret, struct reason *reason)
{
	struct option longs[ROW_COUNT + 1];
	char shorts[2 * ROW_COUNT + 3];
	int value, err;

	getopt_form(longs, shorts);
	opterr = 0;
	optind = 0; /* start anew: tests parse more than once */
	for (;;) {
		int at = optind ? optind : 1;

		value = getopt_long(argc, argv, shorts, longs, NULL);
		if (value < 0)
			break;
		err = take(value, argv[at < argc ? at : argc - 1], ret, reason);
		if (err)
			return err;
	}
	if (optind < argc) {
		if (strcmp(argv[optind - 1], "--"))
			return refuse(reason,
				      "'%s' is no option; to start a program write "
				      "memtop -- CMD",
				      argv[optind]);
		if (!*argv[optind])
			return refuse(reason, "--: empty name of a program");
		ret->command = &argv[optind];
	}
	return 0;
}

/* An option of a file, as if it stood before the command line. */
static int take_from_file(void *context, const char *name, const char *argument, char *error,
			  size_t size)
{
	struct reason reason = {.text = error, .size = size};
	size_t i = 0;

	while (i < ROW_COUNT && strcmp(option_rows[i].name, name))
		i++;
	if (i == ROW_COUNT || !option_rows[i].take)
		return refuse(&reason, "%s is not part of this version", name);
	if (option_rows[i].argument && !argument)
		return refuse(&reason, "%s needs its %s: %s = %s", name, option_rows[i].argument,
			      name, option_rows[i].argument);
	if (!option_rows[i].argument && argument)
		return refuse(&reason, "%s stands alone, without =", name);
	return option_rows[i].take(context, argument, &reason);
}

/* What goes with a command alone is nothing to complain of where a file says it for all. */
static int read_files(const struct options *words, struct options *ret, struct reason *reason)
{
	int status;

	ret->from_file = true;
	status = options_file_read(&ret->files, words->config, take_from_file, ret, reason->text,
				   reason->size);
	ret->from_file = false;
	if (!words->command)
		ret->suppress = ret->baseline = NULL;
	return status ? -EINVAL : 0;
}

static void set_defaults(struct options *ret)
{
	*ret = (struct options){
		.level = LEVEL_AUTO,
		.budget_percent = DEFAULT_BUDGET,
		.unwind_bytes = DEFAULT_UNWIND_BYTES,
		.delay_s = DEFAULT_DELAY_S,
		.sides = ALL_SIDES,
		.sort = SORT_DELTA,
		.top = DEFAULT_TOP,
	};
}

int options_parse(int argc, char **argv, struct options *ret, char *error, size_t size)
{
	struct reason reason = {.text = error, .size = size};
	struct options words;
	int status;

	set_defaults(ret);
	set_defaults(&words);
	status = parse_words(argc, argv, &words, &reason);
	if (!status)
		status = check_together(&words, &reason);
	if (!status && !words.no_config &&
	    (words.action == ACTION_WATCH || words.action == ACTION_CHECK))
		status = read_files(&words, ret, &reason);
	if (!status)
		status = parse_words(argc, argv, ret, &reason);
	/* Exact from the beginning to the end is what a judgment needs. */
	if (ret->fail_if_leaked && !ret->level_given && !ret->budget_given)
		ret->level = LEVEL_HEAP;
	return status;
}

void options_deinit(struct options *options)
{
	options_file_deinit(&options->files);
}
