/*
 * JPEG to pixels, with libjpeg's way of failing: error_exit must not return, so it jumps back.
 *
 * The decompress object is made and destroyed in every call, on both ways out: between two calls
 * libjpeg holds no memory. What the error branch forgets is the frame's buffer.
 */
#include "perception.h"
#include "ledger.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>

struct decoder {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	jmp_buf failed;
	unsigned char *volatile pixels; /* survives the jump */
};

__attribute__((noreturn)) static void on_error_exit(j_common_ptr jpeg)
{
	struct decoder *decoder = jpeg->client_data;

	longjmp(decoder->failed, 1);
}

/* Warnings would go to stderr, through stdio. */
static void on_message(j_common_ptr jpeg)
{
	(void)jpeg;
}

static void decoder_open(struct decoder *decoder, const struct jpeg_image *image)
{
	struct jpeg_decompress_struct *jpeg = &decoder->jpeg;

	jpeg_create_decompress(jpeg);
	jpeg_mem_src(jpeg, image->bytes, image->length);
	jpeg_read_header(jpeg, TRUE);
	jpeg->out_color_space = JCS_RGB;
	jpeg->dct_method = JDCT_IFAST;
	jpeg->do_fancy_upsampling = FALSE;
	jpeg_calc_output_dimensions(jpeg);
}

static void decoder_run(struct decoder *decoder)
{
	struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
	size_t stride = (size_t)jpeg->output_width * 3;

	jpeg_start_decompress(jpeg);
	while (jpeg->output_scanline < jpeg->output_height) {
		JSAMPROW rows[1] = {decoder->pixels + jpeg->output_scanline * stride};

		jpeg_read_scanlines(jpeg, rows, 1);
	}
	jpeg_finish_decompress(jpeg);
}

SITE int jpeg_decode_frame(const struct jpeg_image *image, bool fixed, struct frame *ret)
{
	struct decoder decoder = {0};

	decoder.jpeg.err = jpeg_std_error(&decoder.errors);
	decoder.jpeg.client_data = &decoder;
	decoder.errors.error_exit = on_error_exit;
	decoder.errors.output_message = on_message;
	if (setjmp(decoder.failed)) {
		jpeg_destroy_decompress(&decoder.jpeg);
		if (fixed)
			svc_free(decoder.pixels);
		return -EBADMSG;
	}
	decoder_open(&decoder, image);
	decoder.pixels =
		svc_malloc((size_t)decoder.jpeg.output_width * decoder.jpeg.output_height * 3);
	decoder_run(&decoder);
	*ret = (struct frame){.pixels = decoder.pixels,
			      .width = decoder.jpeg.output_width,
			      .height = decoder.jpeg.output_height};
	jpeg_destroy_decompress(&decoder.jpeg);
	return 0;
}
