/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * C++ and Rust names as people write them. The form is the short one: no parameter list, no return
 * type, no Rust hash; template arguments stay, as they tell apart what would else look the same:
 * "std::vector<Frame, std::allocator<Frame> >::push_back". A clone's mark (".cold") goes.
 */
#ifndef MEMTOP_SYMBOL_DEMANGLE_H
#define MEMTOP_SYMBOL_DEMANGLE_H

/* Owned by the caller. What is not a mangled name, or is one that only harms (over 4 KiB, or more
 * than 16 KiB when written out), comes back as it is. */
char *demangle(const char *name);

#endif
