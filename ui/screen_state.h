/* SPDX-License-Identifier: GPL-2.0-only */
/* What the screen remembers between keys and drawings; shared by screen.c and actions.c only. */
#ifndef MEMTOP_UI_SCREEN_STATE_H
#define MEMTOP_UI_SCREEN_STATE_H

#include "ui/beside.h"
#include "ui/screen.h"
#include "ui/stack.h"
#include "ui/table.h"

#define PROMPT_SIZE 256

enum mode {
	MODE_TABLE,
	MODE_HELP,
	MODE_BESIDE, /* other rows in the place of the table */
	MODE_SORT,
	MODE_SEARCH, /* the prompts */
	MODE_FILTER,
	MODE_DELAY,
	MODE_LEVEL, /* the question */
	MODE_COUNT,
};

struct screen {
	enum mode mode;
	struct table table;
	struct beside beside;
	unsigned sideways;
	bool absolute;
	struct stack_options stacks;
	unsigned help_top, help_last;
	unsigned sort_chosen;
	char prompt[PROMPT_SIZE];
	char search[PROMPT_SIZE];
	char message[256];
	enum level level;
	double delay_s;
	struct resolver *resolver; /* of the last drawing, borrowed */
};

/* What a prompt asks; NULL where the mode is none. */
const char *screen_question(const struct screen *screen);

#endif
