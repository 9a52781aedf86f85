/* SPDX-License-Identifier: GPL-2.0-only */
/* Steps by virtual calls, from catch blocks, with destructors, through the C++ library. */
#include "steps.h"

#include <algorithm>
#include <functional>
#include <locale>
#include <sstream>
#include <streambuf>
#include <string>

namespace
{

struct Shadow {
	explicit Shadow(void *address)
	{
		shadow_push(address);
	}
	~Shadow()
	{
		shadow_pop();
	}
};

#define ENTER() Shadow shadow(__builtin_return_address(0))

struct Base {
	virtual ~Base() = default;
	virtual int go(const struct path *path, unsigned at) = 0;
};

template <int N> struct Derived : Base {
	int numbers[N] = {};

	__attribute__((noinline)) int go(const struct path *path, unsigned at) override
	{
		ENTER();
		numbers[N - 1] = path_next(path, at);
		return numbers[N - 1] + N;
	}
};

template <int N> __attribute__((noinline)) int by_virtual(const struct path *path, unsigned at)
{
	Derived<N> object;
	Base *base = &object;

	ENTER();
	__asm__ volatile("" : "+r"(base));
	return base->go(path, at) + 1;
}

template <int N> __attribute__((noinline)) void throwing(const std::string &text)
{
	ENTER();
	if (text.size() < 1000)
		throw N;
}

template <int N> __attribute__((noinline)) int in_catch(const struct path *path, unsigned at)
{
	std::string text(static_cast<size_t>(N) + at, 'x');

	ENTER();
	try {
		throwing<N>(text);
	} catch (int caught) {
		return path_next(path, at) + caught;
	}
	return 0;
}

/* A stream buffer that goes on with the path when the C++ library fills it. */
struct Buffer : std::streambuf {
	const struct path *path;
	unsigned at;
	char byte = 'a';

	int_type underflow() override
	{
		ENTER();
		path_next(path, at);
		setg(&byte, &byte, &byte + 1);
		return traits_type::to_int_type(byte);
	}
};

template <int N> __attribute__((noinline)) int in_stream(const struct path *path, unsigned at)
{
	Buffer buffer;
	std::string word;

	ENTER();
	buffer.path = path;
	buffer.at = at;
	std::istream stream(&buffer);
	stream.width(1);
	stream >> word;
	return static_cast<int>(word.size()) + N;
}

template <int N> __attribute__((noinline)) int in_function(const struct path *path, unsigned at)
{
	std::function<int()> call = [=]() { return path_next(path, at) + N; };

	ENTER();
	return call() + 1;
}

} // namespace

#define SHAPES(n) by_virtual<n>, in_stream<n>, in_function<n>

extern "C" {
extern step_fn *const steps_cxx[], *const throwing_steps_cxx[];
step_fn *const steps_cxx[] = {SHAPES(1), SHAPES(2), SHAPES(3), SHAPES(5), 0};
step_fn *const throwing_steps_cxx[] = {in_catch<1>, in_catch<2>, in_catch<3>, in_catch<5>, 0};
}
