/* SPDX-License-Identifier: GPL-2.0-only */
typedef int capture_empty_unit;
