/*
 * The leaking service's images, decoder and ledger. The images are judged by libjpeg itself, with
 * an error manager of this test's own.
 */
#include "tests/targets/ledger.h"
#include "tests/targets/perception.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <jpeglib.h>
#include <jerror.h>

struct outcome {
	struct jpeg_error_mgr errors;
	jmp_buf failed;
	int error_exits;
};

__attribute__((noreturn)) static void count_error_exit(j_common_ptr jpeg)
{
	struct outcome *outcome = jpeg->client_data;

	outcome->error_exits++;
	longjmp(outcome->failed, 1);
}

static void no_message(j_common_ptr jpeg)
{
	(void)jpeg;
}

static void decode(const struct jpeg_image *image, struct outcome *outcome)
{
	struct jpeg_decompress_struct jpeg;
	unsigned char row[BAD_WIDTH * 3];
	JSAMPROW rows[1] = {row};

	memset(outcome, 0, sizeof(*outcome));
	jpeg.err = jpeg_std_error(&outcome->errors);
	jpeg.client_data = outcome;
	outcome->errors.error_exit = count_error_exit;
	outcome->errors.output_message = no_message;
	jpeg_create_decompress(&jpeg);
	if (!setjmp(outcome->failed)) {
		jpeg_mem_src(&jpeg, image->bytes, image->length);
		jpeg_read_header(&jpeg, TRUE);
		jpeg_start_decompress(&jpeg);
		assert_int_equal(jpeg.output_width, image->width);
		assert_int_equal(jpeg.output_height, image->height);
		while (jpeg.output_scanline < jpeg.output_height)
			jpeg_read_scanlines(&jpeg, rows, 1);
		jpeg_finish_decompress(&jpeg);
	}
	jpeg_destroy_decompress(&jpeg);
}

static int setup(void **state)
{
	static struct frame_set set;

	frame_set_init(&set);
	*state = &set;
	return 0;
}

static int teardown(void **state)
{
	struct ledger_totals sum;

	frame_set_deinit(*state);
	ledger_sum("image_bytes_new", &sum);
	return sum.allocated_blocks == sum.freed_blocks ? 0 : -1;
}

static void every_bad_image_reaches_error_exit(void **state)
{
	const struct frame_set *set = *state;

	assert_true(set->bad_count > 0);
	for (size_t i = 0; i < set->bad_count; i++) {
		struct outcome outcome;

		decode(&set->bad[i], &outcome);
		assert_int_equal(outcome.error_exits, 1);
		assert_int_equal(outcome.errors.msg_code, JERR_SOF_DUPLICATE);
		assert_int_equal(set->bad[i].width, BAD_WIDTH);
		assert_int_equal(set->bad[i].height, BAD_HEIGHT);
	}
}

static void no_good_image_reaches_error_exit(void **state)
{
	const struct frame_set *set = *state;
	size_t same_resolution = 0;

	for (size_t i = 0; i < set->good_count; i++) {
		struct outcome outcome;

		decode(&set->good[i], &outcome);
		assert_int_equal(outcome.error_exits, 0);
		assert_int_equal(outcome.errors.num_warnings, 0);
		same_resolution += set->good[i].width == BAD_WIDTH;
	}
	assert_true(same_resolution > 0 && same_resolution < set->good_count);
}

static bool has_segment(const struct jpeg_image *image, const unsigned char *bytes, size_t length)
{
	return memmem(image->bytes, image->length, bytes, length) != NULL;
}

static void only_bad_images_carry_the_fault_marker(void **state)
{
	static const unsigned char marker[] = {0xff, 0xe9, 0x00, 0x0e, 'S', 'E', 'N', 'S'};
	const struct frame_set *set = *state;

	for (size_t i = 0; i < set->bad_count; i++)
		assert_true(has_segment(&set->bad[i], marker, sizeof(marker)));
	for (size_t i = 0; i < set->good_count; i++)
		assert_false(has_segment(&set->good[i], marker, sizeof(marker)));
}

static void images_are_of_several_resolutions(void **state)
{
	const struct frame_set *set = *state;
	size_t resolutions = 0;

	for (size_t i = 0; i < set->good_count; i++) {
		bool seen = false;

		for (size_t j = 0; j < i; j++)
			seen |= set->good[j].width == set->good[i].width;
		resolutions += !seen;
	}
	assert_true(resolutions >= 4);
}

static uint64_t frame_blocks(uint64_t *ret_bytes)
{
	struct ledger_totals sum;

	ledger_sum("jpeg_decode_frame", &sum);
	*ret_bytes = sum.allocated_bytes - sum.freed_bytes;
	return sum.allocated_blocks - sum.freed_blocks;
}

static void the_error_branch_forgets_the_buffer(void **state)
{
	const struct frame_set *set = *state;
	uint64_t bytes_before, bytes, blocks = frame_blocks(&bytes_before);
	struct frame frame = {0};

	for (size_t i = 0; i < set->bad_count; i++)
		assert_int_equal(jpeg_decode_frame(&set->bad[i], false, &frame), -EBADMSG);
	assert_int_equal(frame_blocks(&bytes) - blocks, set->bad_count);
	assert_int_equal(bytes - bytes_before, set->bad_count * 207360);
	assert_null(frame.pixels);
}

static void fixed_frees_it(void **state)
{
	const struct frame_set *set = *state;
	uint64_t bytes_before, bytes, blocks = frame_blocks(&bytes_before);
	struct frame frame = {0};

	for (size_t i = 0; i < set->bad_count; i++)
		assert_int_equal(jpeg_decode_frame(&set->bad[i], true, &frame), -EBADMSG);
	assert_int_equal(frame_blocks(&bytes), blocks);
	assert_int_equal(bytes, bytes_before);
}

static void a_good_frame_is_its_callers(void **state)
{
	const struct frame_set *set = *state;

	for (size_t i = 0; i < set->good_count; i++) {
		uint64_t bytes_before, bytes, blocks = frame_blocks(&bytes_before);
		struct frame frame;

		assert_int_equal(jpeg_decode_frame(&set->good[i], false, &frame), 0);
		assert_int_equal(frame.width, set->good[i].width);
		assert_int_equal(frame_blocks(&bytes), blocks + 1);
		assert_int_equal(bytes - bytes_before, (size_t)frame.width * frame.height * 3);
		svc_free(frame.pixels);
		assert_int_equal(frame_blocks(&bytes), blocks);
	}
}

SITE static void *first_site(size_t size)
{
	return svc_malloc(size);
}

SITE static void *second_site(void *old, size_t size)
{
	return svc_realloc(old, size);
}

static void a_realloc_frees_at_the_old_site(void **state)
{
	struct ledger_totals first, second;
	void *block = second_site(first_site(100), 300);

	(void)state;
	ledger_sum("first_site", &first);
	assert_int_equal(first.allocated_bytes, 100);
	assert_int_equal(first.freed_bytes, 100);
	ledger_sum("second_site", &second);
	assert_int_equal(second.allocated_bytes, 300);
	assert_int_equal(second.freed_blocks, 0);
	block = second_site(block, 50);
	svc_free(block);
	ledger_sum("second_site", &second);
	assert_int_equal(second.allocated_bytes, 350);
	assert_int_equal(second.freed_bytes, 350);
	assert_int_equal(second.freed_blocks, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bad_image_reaches_error_exit),
		cmocka_unit_test(no_good_image_reaches_error_exit),
		cmocka_unit_test(only_bad_images_carry_the_fault_marker),
		cmocka_unit_test(images_are_of_several_resolutions),
		cmocka_unit_test(the_error_branch_forgets_the_buffer),
		cmocka_unit_test(fixed_frees_it),
		cmocka_unit_test(a_good_frame_is_its_callers),
		cmocka_unit_test(a_realloc_frees_at_the_old_site),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
