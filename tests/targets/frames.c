/*
 * Camera-like pictures, made by libjpeg itself: a sky-to-road gradient, lane marks, boxes for cars,
 * and sensor noise, in several resolutions.
 *
 * A bad image carries the APP9 marker of a faulty sensor and, inside its scan, a second SOF. The
 * decoder takes that marker for the end of the scan, goes on with grey and meets it again when it
 * looks for the end of the image: two SOF markers are beyond repair, so it calls error_exit. (An
 * image that is merely cut short or noisy only warns.)
 */
#include "perception.h"
#include "ledger.h"

#include <stdio.h>
#include <string.h>
#include <jpeglib.h>

#define VARIANTS    5
#define MARKER_SOI  0xd8
#define MARKER_SOF0 0xc0
#define MARKER_SOS  0xda

static const struct {
	unsigned int width;
	unsigned int height;
} resolutions[] = {{BAD_WIDTH, BAD_HEIGHT}, {256, 144}, {240, 160}, {192, 128}, {160, 120}};

#define RESOLUTIONS (sizeof(resolutions) / sizeof(resolutions[0]))

static const unsigned char fault_marker[] = {0xff, 0xe9, 0x00, 0x0e, 'S', 'E', 'N', 'S',
					     'O',  'R',	 0x00, 0x01, 'F', 'L', 'T', 0x00};

static void paint_row(unsigned char *row, unsigned int y, const struct jpeg_image *image,
		      unsigned int variant, uint32_t *random)
{
	unsigned int horizon = image->height / 2, middle = image->width / 2;

	for (unsigned int x = 0; x < image->width; x++, row += 3) {
		unsigned int noise = random_next(random) % 9;
		unsigned int lane = y > horizon ? (y - horizon) / 2 + variant * 3 : 0;
		unsigned int base = y < horizon ? 120 + 100 * (horizon - y) / horizon : 70 + y / 8;
		bool box = x / 24 % 4 == variant % 4 && y > horizon - 20 && y < horizon + 16;
		bool mark = lane && (x == middle + lane || x + lane == middle);

		row[0] = (unsigned char)(mark ? 240 : box ? 150 + variant * 8 : base - 20 + noise);
		row[1] = (unsigned char)(mark ? 240 : box ? 40 : base + noise);
		row[2] = (unsigned char)(mark ? 200 :
					 box  ? 60 :
						base + noise + (y < horizon ? 20 : 0));
	}
}

static size_t compress(const struct jpeg_image *image, unsigned int variant, unsigned char *buffer,
		       size_t room)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	unsigned long length = room;
	unsigned char row[BAD_WIDTH * 3];
	unsigned char *bytes = buffer;
	uint32_t random = variant * 7919 + image->width;

	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &bytes, &length);
	jpeg.image_width = image->width;
	jpeg.image_height = image->height;
	jpeg.input_components = 3;
	jpeg.in_color_space = JCS_RGB;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, 70, TRUE);
	jpeg_start_compress(&jpeg, TRUE);
	while (jpeg.next_scanline < jpeg.image_height) {
		JSAMPROW rows[1] = {row};

		paint_row(row, jpeg.next_scanline, image, variant, &random);
		jpeg_write_scanlines(&jpeg, rows, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	return length;
}

/* The segment of @marker in a well-formed image's header; its length with the two marker bytes. */
static const unsigned char *find_segment(const unsigned char *bytes, size_t length, int marker,
					 size_t *ret_length)
{
	size_t at = 2;

	while (at + 4 <= length && bytes[at] == 0xff) {
		*ret_length = 2 + ((size_t)bytes[at + 2] << 8 | bytes[at + 3]);
		if (bytes[at + 1] == marker)
			return bytes + at;
		at += *ret_length;
	}
	return NULL;
}

static unsigned char *append(unsigned char *at, const void *bytes, size_t length)
{
	memcpy(at, bytes, length);
	return at + length;
}

SITE static unsigned char *image_bytes_new(size_t length)
{
	return svc_malloc(length);
}

/* @from with the fault marker after its start and its SOF again in the middle of its scan. */
static void image_spoil(const struct jpeg_image *from, struct jpeg_image *ret)
{
	size_t sof_length = 0, sos_length = 0, cut;
	const unsigned char *sof =
		find_segment(from->bytes, from->length, MARKER_SOF0, &sof_length);
	const unsigned char *sos = find_segment(from->bytes, from->length, MARKER_SOS, &sos_length);
	unsigned char *at;

	*ret = *from;
	cut = (size_t)(sos - from->bytes) + sos_length;
	cut += (from->length - cut) / 2;
	/* Never between a data byte 0xff and its stuffed zero. */
	while (from->bytes[cut - 1] == 0xff)
		cut++;
	ret->length = from->length + sizeof(fault_marker) + sof_length;
	ret->bytes = image_bytes_new(ret->length);
	at = append(ret->bytes, from->bytes, 2);
	at = append(at, fault_marker, sizeof(fault_marker));
	at = append(at, from->bytes + 2, cut - 2);
	at = append(at, sof, sof_length);
	append(at, from->bytes + cut, from->length - cut);
}

SITE static struct jpeg_image *image_table_new(size_t count)
{
	return svc_calloc(count, sizeof(struct jpeg_image));
}

void frame_set_init(struct frame_set *set)
{
	/* An image never compresses to more than it was, headers included. */
	static unsigned char buffer[BAD_WIDTH * BAD_HEIGHT * 3 + 4096];

	set->good_count = RESOLUTIONS * VARIANTS;
	set->bad_count = VARIANTS;
	set->good = image_table_new(set->good_count);
	set->bad = image_table_new(set->bad_count);
	for (size_t i = 0; i < set->good_count; i++) {
		struct jpeg_image *image = &set->good[i];

		image->width = resolutions[i % RESOLUTIONS].width;
		image->height = resolutions[i % RESOLUTIONS].height;
		image->length =
			compress(image, (unsigned int)(i / RESOLUTIONS), buffer, sizeof(buffer));
		image->bytes = image_bytes_new(image->length);
		memcpy(image->bytes, buffer, image->length);
		if (i % RESOLUTIONS == 0)
			image_spoil(image, &set->bad[i / RESOLUTIONS]);
	}
}

void frame_set_deinit(struct frame_set *set)
{
	for (size_t i = 0; i < set->good_count; i++)
		svc_free(set->good[i].bytes);
	for (size_t i = 0; i < set->bad_count; i++)
		svc_free(set->bad[i].bytes);
	svc_free(set->good);
	svc_free(set->bad);
	*set = (struct frame_set){0};
}
