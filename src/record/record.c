/* SPDX-License-Identifier: GPL-2.0-only */
typedef int record_empty_unit;
