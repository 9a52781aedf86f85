/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is made of the table of options: --help and the completion for bash; and of the table of
 * losses, which --help tells as well.
 */
#include "options_table.h"

#include "core/format.h"
#include "core/losses.h"

#include <getopt.h>
#include <string.h>

#define HELP_TEXT_COLUMN 26
#define HELP_WIDTH	 80
#define LOSS_INDENT	 4

static const char *const group_titles[GROUP_COUNT] = {
	[GROUP_TARGET] = "What to watch",      [GROUP_WATCH] = "How to watch",
	[GROUP_TABLE] = "What to show",	       [GROUP_BATCH] = "Batch output",
	[GROUP_GATE] = "What CMD never freed", [GROUP_OTHER] = "Help and this machine",
};

static bool listed(const struct option_row *row)
{
	return row->take && !row->hidden;
}

static void write_row(FILE *out, const struct option_row *row)
{
	const char *line = row->help;
	char names[64];
	int length;

	length = row->letter ?
			 snprintf(names, sizeof(names), "  -%c, --%s", row->letter, row->name) :
			 snprintf(names, sizeof(names), "      --%s", row->name);
	if (row->argument)
		snprintf(names + length, sizeof(names) - length, "%s%s",
			 option_has_argument(row) == optional_argument ? "" : " ", row->argument);
	/* Names that leave no gap have a line of their own. */
	if (strlen(names) >= HELP_TEXT_COLUMN)
		fprintf(out, "%s\n%*s", names, HELP_TEXT_COLUMN, "");
	else
		fprintf(out, "%-*s", HELP_TEXT_COLUMN, names);
	for (;;) {
		int span = (int)strcspn(line, "\n");

		fprintf(out, "%.*s\n", span, line);
		if (!line[span])
			break;
		line += span + 1;
		fprintf(out, "%*s", HELP_TEXT_COLUMN, "");
	}
}

void options_write_help(FILE *out)
{
	fputs("Usage: memtop [OPTION]... -p PID | -n NAME | --match REGEX\n"
	      "       memtop [OPTION]... -- CMD [ARG]...\n"
	      "Watch a live process and show whose code holds its memory.\n",
	      out);
	for (unsigned group = 0; group < GROUP_COUNT; group++) {
		fprintf(out, "\n%s:\n", group_titles[group]);
		for (size_t i = 0; i < option_row_count; i++)
			if (listed(&option_rows[i]) && option_rows[i].group == group)
				write_row(out, &option_rows[i]);
		if (group == GROUP_TARGET)
			fprintf(out, "%-*s%s\n", HELP_TEXT_COLUMN, "  -- CMD [ARG]...",
				"start CMD and watch it from its first instruction");
	}
	fputs("\nExit status: 0 done, 1 usage, 2 no such target, 3 not permitted or not\n"
	      "supported, 4 internal error; with -- CMD that of CMD, 99 leaked, 98 not judged,\n"
	      "125 memtop failed. See memtop(1).\n",
	      out);
}

/* Words up to the 80th column, each line indented. */
static void write_wrapped(FILE *out, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column && column + 1 + length > HELP_WIDTH)
			column = 0;
		if (!column)
			column = (size_t)fprintf(out, "\n%*s", LOSS_INDENT - 1, "") - 1;
		fprintf(out, " %.*s", (int)length, text);
		column += 1 + length;
		text += length;
		text += strspn(text, " ");
	}
}

void options_write_losses(FILE *out)
{
	fputs("Losses: why events could not be accounted for, and what to do about it. They\n"
	      "are counted by these names on the screen, in batch output and in reports. What\n"
	      "a note counts was booked in full.\n",
	      out);
	for (size_t i = 0; i < ABI_LOSS_COUNT; i++) {
		const char *apart = " (";
		char remedy[512];

		if (!losses[i].name)
			continue;
		fprintf(out, "\n%s", losses[i].name);
		for (unsigned side = 0; side < SIDE_COUNT; side++)
			if (loss_touches(i, side)) {
				fprintf(out, "%s%s", apart, side_name(side));
				apart = ", ";
			}
		fprintf(out, "%s)", losses[i].booked ? "; a note" : "");
		write_wrapped(out, losses[i].meaning);
		snprintf(remedy, sizeof(remedy), "To do: %s", losses[i].remedy);
		write_wrapped(out, remedy);
		fputc('\n', out);
	}
}

/* One way to complete an argument, and the bash that does it. */
static const struct completer {
	const char *name;
	const char *bash;
} completers[] = {
	{"@pid", "$(command ps -e -o pid= 2>/dev/null)"},
	{"@name", "$(command ps -e -o comm= 2>/dev/null)"},
	{"@directory", "$(compgen -d -- \"$word\")"},
	{"@file", "$(compgen -f -- \"$word\")"},
};

static const char *completion_words(const char *completes)
{
	for (size_t i = 0; i < sizeof(completers) / sizeof(completers[0]); i++)
		if (!strcmp(completers[i].name, completes))
			return completers[i].bash;
	return completes;
}

static void write_completion_case(FILE *out, const struct option_row *row)
{
	fprintf(out, "\t--%s", row->name);
	if (row->letter)
		fprintf(out, " | -%c", row->letter);
	fprintf(out, ") words=\"%s\" ;;\n", row->completes ? completion_words(row->completes) : "");
}

void options_write_completion(FILE *out)
{
	fputs("# bash completion for memtop; made by `make completions/update`.\n"
	      "_memtop()\n{\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
	      "\tlocal words=\"",
	      out);
	for (size_t i = 0, n = 0; i < option_row_count; i++)
		if (listed(&option_rows[i]))
			fprintf(out, "%s--%s", n++ ? " " : "", option_rows[i].name);
	fputs("\" i\n\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tif [[ ${COMP_WORDS[i]} == -- ]]; then\n"
	      "\t\t\tif ((i + 1 == COMP_CWORD)); then\n"
	      "\t\t\t\tmapfile -t COMPREPLY < <(compgen -c -- \"$word\")\n"
	      "\t\t\telse\n"
	      "\t\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	      "\t\t\tfi\n"
	      "\t\t\treturn\n"
	      "\t\tfi\n"
	      "\tdone\n"
	      "\tcase $previous in\n",
	      out);
	for (size_t i = 0; i < option_row_count; i++)
		if (listed(&option_rows[i]) &&
		    option_has_argument(&option_rows[i]) == required_argument)
			write_completion_case(out, &option_rows[i]);
	fputs("\tesac\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	      "}\n"
	      "complete -F _memtop memtop\n",
	      out);
}
