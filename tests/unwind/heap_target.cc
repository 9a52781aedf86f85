/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A target that knows the stack of each of its allocations: its own malloc, calloc and realloc
 * write down what backtrace() says and go on to libc's. At the end of each path it allocates, by
 * itself, or makes libjpeg, libstdc++ or zlib do so; steps that throw allocate on the way.
 *
 *     heap_target THREADS ROUNDS
 *
 * It does the same thing three times: once for what is made only the first time, once to say for
 * each allocation its kind and its stack, and then, after "ready" and a line of input, for those
 * who watch. (A function that a return probe watches could not tell: backtrace() ends at the
 * probe's trampoline.) "done", and it lives on until the end of its input.
 */
#include "paths.h"

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/syscall.h>
#include <unistd.h>

extern "C" {
#include <jpeglib.h>
#include <zlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *block);
}

namespace
{

enum {
	RECORDS_MAX = 32768,
	FRAMES_MAX = 200,
	ALTERNATE_STACK = 1 << 20
};

struct Record {
	const char *kind;
	int count;
	void *frames[FRAMES_MAX];
};

Record records[RECORDS_MAX];
unsigned record_count;
bool recording;
thread_local bool within;
uint64_t restorer; /* where handlers return to */

/* frames[0] is in the function that this is a part of: its caller's is the next. */
__attribute__((always_inline)) inline void note(const char *kind)
{
	if (!recording || within)
		return;
	within = true;
	unsigned number = __atomic_fetch_add(&record_count, 1, __ATOMIC_RELAXED);
	if (number < RECORDS_MAX) {
		records[number].kind = kind;
		records[number].count = backtrace(records[number].frames, FRAMES_MAX);
	}
	within = false;
}

__attribute__((noinline)) void use(void *block)
{
	__asm__ volatile("" : : "r"(block) : "memory");
}

void by_itself(size_t size)
{
	void *block = malloc(size), *zeroes = calloc(2, size);

	use(block);
	use(zeroes);
	block = realloc(block, 3 * size);
	use(block);
	free(block);
	free(zeroes);
}

void by_zlib(size_t size)
{
	unsigned char in[256] = {}, out[1024];
	z_stream stream = {};

	deflateInit(&stream, 6);
	stream.next_in = in;
	stream.avail_in = static_cast<unsigned>(size % sizeof(in));
	stream.next_out = out;
	stream.avail_out = sizeof(out);
	deflate(&stream, Z_FINISH);
	deflateEnd(&stream);
}

void by_libjpeg(size_t size)
{
	jpeg_compress_struct compress;
	jpeg_error_mgr error;
	unsigned char row[3 * 64] = {}, *rows[1] = {row}, *image = nullptr;
	unsigned long image_size = 0;

	compress.err = jpeg_std_error(&error);
	jpeg_create_compress(&compress);
	jpeg_mem_dest(&compress, &image, &image_size);
	compress.image_width = 64;
	compress.image_height = 16;
	compress.input_components = 3;
	compress.in_color_space = JCS_RGB;
	jpeg_set_defaults(&compress);
	jpeg_set_quality(&compress, static_cast<int>(size % 100), TRUE);
	jpeg_start_compress(&compress, TRUE);
	while (compress.next_scanline < compress.image_height)
		jpeg_write_scanlines(&compress, rows, 1);
	jpeg_finish_compress(&compress);
	jpeg_destroy_compress(&compress);
	free(image);
}

void by_libstdcxx(size_t size)
{
	std::ostringstream stream;
	std::vector<std::string> words;

	for (unsigned i = 0; i < 3; i++) {
		stream << std::string(size + i, 'x') << i * 1.5;
		words.push_back(stream.str());
	}
	use(words.data());
}

int observe(const struct path *path, unsigned at)
{
	static void (*const ways[])(size_t) = {by_itself, by_zlib, by_libjpeg, by_libstdcxx};

	ways[(path - paths) % 4](20 + at);
	return static_cast<int>(at + path->length);
}

void run(unsigned first, unsigned step, unsigned rounds)
{
	void *memory = malloc(ALTERNATE_STACK);
	stack_t alternate = {};

	alternate.ss_sp = memory;
	alternate.ss_size = ALTERNATE_STACK;
	sigaltstack(&alternate, nullptr);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = first; i < PATHS; i += step)
			path_next(&paths[i], 0);
	alternate.ss_flags = SS_DISABLE;
	sigaltstack(&alternate, nullptr);
	free(memory);
}

__attribute__((noinline)) void run_all(unsigned threads, unsigned rounds)
{
	std::vector<std::thread> running;

	for (unsigned i = 1; i < threads; i++)
		running.emplace_back(run, i, threads, rounds);
	run(0, threads, rounds);
	for (std::thread &thread : running)
		thread.join();
}

void set_handler(int number, int flags)
{
	struct sigaction action = {};
	uint64_t kernel[4];

	action.sa_handler = path_on_signal;
	action.sa_flags = flags;
	sigaction(number, &action, nullptr);
	syscall(SYS_rt_sigaction, number, nullptr, kernel, 8);
	restorer = kernel[2];
}

/* An interrupted frame is told one further, as memtop has it: no call is there to return to. */
void tell(const Record &record)
{
	printf("%s", record.kind);
	for (int i = 1; i < record.count; i++) {
		uint64_t address = reinterpret_cast<uint64_t>(record.frames[i]);
		uint64_t callee = reinterpret_cast<uint64_t>(record.frames[i - 1]);

		printf(" %lx", static_cast<unsigned long>(address + (callee == restorer)));
	}
	printf("\n");
}

bool wait_ready()
{
	for (unsigned i = 0; i < record_count && i < RECORDS_MAX; i++)
		tell(records[i]);
	printf("ready %u\n", record_count);
	fflush(stdout);
	return getchar() != EOF;
}

} // namespace

extern "C" {

__attribute__((noinline)) void *malloc(size_t size) noexcept
{
	note("malloc");
	return __libc_malloc(size);
}

__attribute__((noinline)) void *calloc(size_t count, size_t size) noexcept
{
	note("calloc");
	return __libc_calloc(count, size);
}

__attribute__((noinline)) void *realloc(void *old, size_t size) noexcept
{
	note("realloc");
	return __libc_realloc(old, size);
}

void free(void *block) noexcept
{
	__libc_free(block);
}
}

int main(int argc, char **argv)
{
	static char in_buffer[4096], out_buffer[65536];
	unsigned threads = argc > 1 ? static_cast<unsigned>(atoi(argv[1])) : 1;
	unsigned rounds = argc > 2 ? static_cast<unsigned>(atoi(argv[2])) : 1;
	void *warm[4];

	setvbuf(stdin, in_buffer, _IOFBF, sizeof(in_buffer));
	setvbuf(stdout, out_buffer, _IOFBF, sizeof(out_buffer));
	backtrace(warm, 4);
	paths_make(observe, true);
	set_handler(SIGUSR1, SA_NODEFER);
	set_handler(SIGUSR2, SA_NODEFER | SA_ONSTACK);
	/* volatile: all three from one call. */
	for (volatile int time = 1; time <= 3; time = time + 1) {
		recording = time == 2;
		if (time == 3 && !wait_ready())
			return 1;
		run_all(threads, rounds);
	}
	printf("done\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
