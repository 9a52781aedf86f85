/* The service's command line. */
#include "service.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_kind {
	FLAG,
	COUNT,
	SIZE,
	SECONDS,
	TEXT,
	HELP
};

struct option_row {
	const char *name;
	const char *argument;
	const char *help;
	enum option_kind kind;
	size_t offset;
	uint64_t least;
	uint64_t most;
};

#define AT(field) offsetof(struct options, field)

static const struct option_row rows[] = {
	{"cameras", "N", "camera threads (6)", COUNT, AT(cameras), 1, CAMERAS_MAX},
	{"fps", "N", "frames a second of each (30); 0: as fast as it can", COUNT, AT(fps), 0, 1000},
	{"bad-every", "N", "one in N frames is bad (7); 0: none", COUNT, AT(bad_every), 0, 1000000},
	{"leak-kernel", NULL, "keep pipes and sockets open", FLAG, AT(leak_kernel), 0, 0},
	{"fixed", NULL, "free the buffer of a bad frame", FLAG, AT(fixed), 0, 0},
	{"start-rss", "BYTES", "hold this much from the start (0); K, M, G are understood", SIZE,
	 AT(start_rss), 0, (uint64_t)1 << 46},
	{"ledger", "FILE", "write what is live, by call, on SIGUSR2 and at the end", TEXT,
	 AT(ledger), 0, 0},
	{"seconds", "N", "end after N seconds", SECONDS, AT(seconds), 0, 1000000000},
	{"frames", "N", "end after N frames of each camera", SIZE, AT(frames), 0, UINT64_MAX / 2},
	{"wait", NULL, "print \"ready PID\" and wait for SIGUSR1 before the first frame", FLAG,
	 AT(wait), 0, 0},
	{"help", NULL, "this text", HELP, 0, 0, 0},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static int usage_error(const char *what, const char *value)
{
	fprintf(stderr, "perception_service: %s: %s (see --help)\n", what, value);
	return 2;
}

static int parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMG";
	unsigned int shift = 0;
	const char *suffix;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno)
		return -errno;
	if (*end) {
		suffix = strchr(suffixes, *end);
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	if (*ret > UINT64_MAX >> shift)
		return -ERANGE;
	*ret <<= shift;
	return 0;
}

static int parse_count(const char *text, uint64_t *ret)
{
	return text[strspn(text, "0123456789")] ? -EINVAL : parse_size(text, ret);
}

static int parse_seconds(const char *text, double *ret)
{
	char *end;

	if (!strchr("0123456789.", *text) || !*text)
		return -EINVAL;
	*ret = strtod(text, &end);
	return *end || !(*ret >= 0 && *ret <= 1e9) ? -EINVAL : 0;
}

static int option_set(const struct option_row *row, const char *value, struct options *options)
{
	char *field = (char *)options + row->offset;
	uint64_t number = 0;
	int err = 0;

	if (row->kind == COUNT || row->kind == SIZE) {
		err = row->kind == SIZE ? parse_size(value, &number) : parse_count(value, &number);
		if (!err && (number < row->least || number > row->most))
			err = -ERANGE;
	}
	switch (row->kind) {
	case FLAG:
		*(bool *)field = true;
		break;
	case COUNT:
		*(unsigned int *)field = (unsigned int)number;
		break;
	case SIZE:
		*(uint64_t *)field = number;
		break;
	case SECONDS:
		err = parse_seconds(value, (double *)field);
		break;
	case TEXT:
		err = *value ? 0 : -EINVAL;
		*(const char **)field = value;
		break;
	case HELP:
		break;
	}
	return err;
}

static void help(void)
{
	printf("usage: perception_service [OPTION]...\n"
	       "Decodes camera frames, and forgets a buffer with each bad one.\n\n");
	for (size_t i = 0; i < ROWS; i++)
		printf("  --%-11s %-6s %s\n", rows[i].name,
		       rows[i].argument ? rows[i].argument : "", rows[i].help);
	printf("\nSIGUSR2 stops all threads between two frames and writes the ledger; SIGUSR1 lets\n"
	       "them go on. SIGTERM and SIGINT write the ledger and end the service.\n");
}

int options_parse(int argc, char **argv, struct options *ret)
{
	struct option longs[ROWS + 1] = {0};
	int at, row;

	*ret = (struct options){.cameras = 6, .fps = 30, .bad_every = 7};
	for (size_t i = 0; i < ROWS; i++)
		longs[i] = (struct option){.name = rows[i].name,
					   .has_arg = rows[i].argument ? required_argument :
									 no_argument};
	opterr = 0;
	while ((at = getopt_long(argc, argv, ":", longs, &row)) != -1) {
		char name[64];

		if (at == ':')
			return usage_error("needs a value", argv[optind - 1]);
		if (at)
			return usage_error("unknown option", argv[optind - 1]);
		if (rows[row].kind == HELP) {
			help();
			return fflush(stdout) ? 2 : 1;
		}
		snprintf(name, sizeof(name), "bad value for --%s", rows[row].name);
		if (option_set(&rows[row], optarg, ret))
			return usage_error(name, optarg);
	}
	return optind < argc ? usage_error("takes no arguments", argv[optind]) : 0;
}
