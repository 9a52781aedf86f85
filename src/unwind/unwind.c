/* SPDX-License-Identifier: GPL-2.0-only */
typedef int unwind_empty_unit;
