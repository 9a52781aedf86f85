/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The cases of the books in C++: operator new in its forms, and exceptions that leave it, or frames
 * that hold blocks. operator new is the runtime's own; the call that the book sees is its call of
 * malloc or aligned_alloc, so what is held through it is compared as a sum.
 */
extern "C" {
#include "books.h"
}

#include <cstdio>
#include <new>
#include <vector>

namespace
{
struct Own {
	int number;
};

struct Holder {
	explicit Holder(size_t size) : block(svc_malloc(size)) {}
	~Holder() { svc_free(block); }
	Holder(const Holder &) = delete;
	Holder &operator=(const Holder &) = delete;
	void *block;
};

struct alignas(64) Wide {
	char bytes[192];
};

const size_t too_much = SIZE_MAX / 4;
void *volatile sink;

__attribute__((noinline)) void take_too_much(unsigned form)
{
	Holder held(100 + form);

	switch (form % 4) {
	case 0:
		sink = ::operator new(too_much);
		break;
	case 1:
		sink = ::operator new[](too_much);
		break;
	case 2:
		sink = ::operator new(too_much, std::align_val_t(64));
		break;
	default:
		sink = ::operator new[](too_much, std::align_val_t(64));
	}
}

__attribute__((noinline)) bool throws_on_the_way(unsigned form, bool own)
{
	Holder held(50);

	try {
		Holder inner(60);

		take_too_much(form);
	} catch (const std::bad_alloc &) {
		return !own;
	} catch (const Own &thrown) {
		return own && thrown.number == 7;
	}
	return false;
}

void throw_own()
{
	throw Own{7};
}

void throw_all()
{
	for (unsigned i = 0; i < 1000; i++) {
		std::set_new_handler(i % 2 ? throw_own : nullptr);
		if (!throws_on_the_way(i / 2, i % 2))
			books_die("the exception that was thrown was not caught");
		if (::operator new(too_much, std::nothrow_t()) && !(i % 2))
			books_die("too much was to be had");
	}
	std::set_new_handler(nullptr);
}

/* nothrow forms swallow what the handler throws. */
void exceptions()
{
	std::vector<char *> *bytes;
	std::vector<Wide *> wide;
	char members[128];

	books_ready();
	throw_all();
	books_stop("thrown");
	bytes = new std::vector<char *>;
	bytes->reserve(300);
	for (unsigned i = 0; i < 300; i++)
		bytes->push_back(new char[40]);
	wide.reserve(100);
	for (unsigned i = 0; i < 100; i++)
		wide.push_back(new Wide);
	std::snprintf(members, sizeof(members), "\"new_bytes\":%zu,\"new_blocks\":%u,\n",
		      sizeof(*bytes) + 300 * (40 + sizeof(char *)) +
			      100 * (sizeof(Wide) + sizeof(Wide *)),
		      1u + 1 + 300 + 1 + 100);
	books_stop_with("held", members);
	for (char *each : *bytes)
		delete[] each;
	for (Wide *each : wide)
		delete each;
	delete bytes;
	std::vector<Wide *>().swap(wide);
	books_stop("freed");
}

const books_case cases[] = {{"exceptions", exceptions}};
} // namespace

int main(int argc, char **argv)
{
	return books_main(argc, argv, cases, sizeof(cases) / sizeof(*cases));
}
