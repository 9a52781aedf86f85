/* SPDX-License-Identifier: GPL-2.0-only */
#include "ui/screen.h"
#include "ui/term.h"
