/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Damaged frame information and damaged ELF files against the row compiler, built with sanitizers.
 *
 *     fuzz_cfi ROUNDS FILE...
 *
 * Round n of a file is always the same: each takes the file's image or its frame section, damages
 * some bytes (random ones, or a length or count set to an extreme), and compiles. Whatever comes
 * out must be sorted and merged; nothing may be read that is not there, and no round may take long.
 */
#include "unwind/elf_frames.h"
#include "unwind/rows.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	FILE_MAX = 4 << 20,
	SECTION_PART = 16384,
	SLOW_SECONDS = 10
};

struct random {
	uint64_t state;
};

/* xorshift64* */
static uint64_t random_next(struct random *random)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return random->state * 0x2545F4914F6CDD1Dull;
}

static uint64_t random_below(struct random *random, uint64_t limit)
{
	return limit ? (random_next(random) >> 8) % limit : 0;
}

static void damage(struct random *random, uint8_t *bytes, size_t size)
{
	static const uint64_t extremes[] = {
		0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0xffffffff, 0x7fffffffffffffffull, UINT64_MAX};
	unsigned count = 1 + (unsigned)random_below(random, 8);

	while (count-- && size >= sizeof(uint64_t)) {
		size_t at = random_below(random, size - sizeof(uint64_t) + 1);
		uint64_t extreme = extremes[random_below(random, 9)];

		switch (random_below(random, 4)) {
		case 0:
			bytes[at] = (uint8_t)random_next(random);
			break;
		case 1:
			bytes[at] ^= (uint8_t)(1 << random_below(random, 8));
			break;
		case 2:
			memcpy(bytes + at, &extreme, random_below(random, 2) ? 4 : 8);
			break;
		default:
			memmove(bytes + at, bytes + random_below(random, size - 7), 8);
		}
	}
}

static bool is_sound(const struct rows *rows)
{
	for (size_t i = 1; i < rows->count; i++)
		if (rows->data[i].pc <= rows->data[i - 1].pc ||
		    rows->data[i].rule == rows->data[i - 1].rule)
			return false;
	return !rows->count || rows->data[rows->count - 1].rule == UNWIND_NONE;
}

static bool take(int error, struct rows *rows, unsigned *compiled)
{
	bool sound = error || is_sound(rows);

	*compiled += !error;
	rows_deinit(rows);
	return sound;
}

static bool compile(const struct rows_input *input, unsigned *compiled)
{
	struct rows rows;
	int error = rows_compile(input, &rows);

	return take(error, &rows, compiled);
}

static bool compile_all(const struct elf_frames *frames, unsigned *compiled)
{
	struct rows rows = {0};
	int error = elf_frames_compile(frames, &rows);

	return take(error, &rows, compiled);
}

/* A part of the frame section, damaged; a copy of its exact size, for the sanitizer. */
static bool section_round(struct random *random, const struct rows_input *input, unsigned *compiled)
{
	struct rows_input damaged = *input;
	_cleanup_free_ uint8_t *copy = NULL;

	damaged.size =
		random_below(random, input->size < SECTION_PART ? input->size : SECTION_PART);
	copy = xmalloc(damaged.size + !damaged.size);
	memcpy(copy, input->data, damaged.size);
	damage(random, copy, damaged.size);
	damaged.data = copy;
	damaged.debug_frame = !random_below(random, 8);
	if (!random_below(random, 8))
		damaged.machine = EM_AARCH64;
	return compile(&damaged, compiled);
}

/* The whole file, damaged where its headers are. */
static bool image_round(struct random *random, const uint8_t *image, size_t size,
			unsigned *compiled)
{
	Elf64_Ehdr header;
	struct elf_frames frames;
	_cleanup_free_ uint8_t *copy = xmalloc(size);
	bool sound = true;

	memcpy(copy, image, size);
	memcpy(&header, image, sizeof(header));
	if (random_below(random, 2) || header.e_shoff >= size)
		damage(random, copy, sizeof(header) + 16 * sizeof(Elf64_Phdr));
	else
		damage(random, copy + header.e_shoff, size - header.e_shoff);
	if (elf_frames_open_image(copy, size - random_below(random, 2) * random_below(random, size),
				  &frames))
		return true;
	sound = compile_all(&frames, compiled);
	elf_frames_close(&frames);
	return sound;
}

static uint8_t *read_image(const char *path, size_t *ret_size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	uint8_t *image;

	if (fd < 0 || fstat(fd, &status) || status.st_size < (off_t)sizeof(Elf64_Ehdr) ||
	    status.st_size > FILE_MAX)
		return NULL;
	*ret_size = (size_t)status.st_size;
	image = xmalloc(*ret_size);
	if (read(fd, image, *ret_size) == status.st_size)
		return image;
	free(image);
	return NULL;
}

static bool fuzz(const char *path, unsigned rounds)
{
	unsigned compiled = 0, unsound = 0, slow = 0;
	_cleanup_free_ uint8_t *image = NULL;
	struct elf_frames frames;
	size_t size = 0;

	image = read_image(path, &size);
	if (!image || elf_frames_open_image(image, size, &frames)) {
		printf("# %s: cannot be read\n", path);
		return false;
	}
	for (unsigned round = 0; round < rounds; round++) {
		struct random random = {(round + 1) * 0x9E3779B97F4A7C15ull};
		time_t started = time(NULL);

		unsound += !section_round(&random, &frames.input, &compiled);
		if (round % 8 == 0)
			unsound += !image_round(&random, image, size, &compiled);
		slow += time(NULL) - started > SLOW_SECONDS;
	}
	elf_frames_close(&frames);
	printf("# %s: %u rounds, %u with rows, %u unsound, %u slow\n", path, rounds, compiled,
	       unsound, slow);
	return compiled && !unsound && !slow;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: fuzz_cfi ROUNDS FILE...\n");
		return 2;
	}
	printf("1..%d\n", argc - 2);
	for (int i = 2; i < argc; i++) {
		bool good = fuzz(argv[i], (unsigned)atoi(argv[1]));

		failed += !good;
		printf("%sok %d - damaged %s\n", good ? "" : "not ", i - 1,
		       strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i]);
		fflush(stdout);
	}
	return failed ? 1 : 0;
}
