/* SPDX-License-Identifier: GPL-2.0-only */
typedef int symbol_empty_unit;
