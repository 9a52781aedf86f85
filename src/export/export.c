/* SPDX-License-Identifier: GPL-2.0-only */
typedef int export_empty_unit;
