/*
 * One image through the pipeline: decode, extract, infer; and the end of the frames and small
 * images that were made on the way.
 */
#include "perception.h"
#include "ledger.h"

#include <stdio.h>
#include <string.h>

/* One line of a log that is kept in memory only as long as it takes to send it. */
SITE static void log_line(const char *what, unsigned int camera, uint64_t frame_number)
{
	char *line = svc_malloc(96);

	snprintf(line, 96, "cam-%u frame %llu: %s", camera, (unsigned long long)frame_number, what);
	svc_free(line);
}

SITE static void metrics_sample(const struct frame *frame)
{
	uint32_t *sample = svc_calloc(16, sizeof(*sample));

	for (unsigned int i = 0; i < 64; i++)
		sample[frame->pixels[i * 97] / 16]++;
	svc_free(sample);
}

SITE static unsigned char *white_balance_lut(const struct frame *frame)
{
	unsigned char *lut = svc_malloc(256);

	for (int i = 0; i < 256; i++)
		lut[i] = (unsigned char)((i * 7 + frame->pixels[0] / 32) / 8);
	return lut;
}

SITE static float *lens_profile(const struct frame *frame)
{
	float *profile = svc_malloc(9 * sizeof(*profile));

	for (int i = 0; i < 9; i++)
		profile[i] = (float)frame->width / (float)(i + 1);
	return profile;
}

SITE static int *exposure_stats(const struct frame *frame)
{
	int *stats = svc_calloc(32, sizeof(*stats));
	size_t bytes = (size_t)frame->width * frame->height * 3;

	for (size_t at = 0; at < bytes; at += 509)
		stats[frame->pixels[at] / 8]++;
	return stats;
}

SITE static short *undistort_map(const float *profile)
{
	short *map = svc_malloc(THUMB_WIDTH * 2 * sizeof(*map));

	for (int i = 0; i < THUMB_WIDTH * 2; i++)
		map[i] = (short)(i + (int)profile[i % 9] / 100);
	return map;
}

SITE unsigned char *frame_pool_get(const struct frame *frame)
{
	unsigned char *thumb = svc_malloc(THUMB_BYTES);

	for (unsigned int y = 0; y < THUMB_HEIGHT; y++) {
		const unsigned char *row =
			frame->pixels +
			(size_t)(y * frame->height / THUMB_HEIGHT) * frame->width * 3;

		for (unsigned int x = 0; x < THUMB_WIDTH; x++)
			memcpy(thumb + (y * THUMB_WIDTH + x) * 3,
			       row + x * frame->width / THUMB_WIDTH * 3, 3);
	}
	return thumb;
}

void frame_pool_put(unsigned char *thumb)
{
	svc_free(thumb);
}

SITE void frame_release(struct frame *frame)
{
	svc_free(frame->pixels);
	*frame = (struct frame){0};
}

/* Applies the camera's calibration to the small image, in place. */
static void calibrate(const struct frame *frame, unsigned char *thumb)
{
	float *profile = lens_profile(frame);
	short *map = undistort_map(profile);
	unsigned char *lut = white_balance_lut(frame);
	int *stats = exposure_stats(frame);

	for (size_t i = 0; i < THUMB_BYTES; i++)
		thumb[i] = lut[thumb[i]];
	thumb[0] = (unsigned char)(thumb[0] + map[0] + stats[0] % 2);
	svc_free(stats);
	svc_free(lut);
	svc_free(map);
	svc_free(profile);
}

SITE int process_image(struct vision *vision, const struct jpeg_image *image)
{
	unsigned char **slot = &vision->thumbs[vision->good_frames % HISTORY];
	struct features features = {0};
	struct frame frame;
	int err = jpeg_decode_frame(image, vision->fixed, &frame);

	if (err) {
		log_line("cannot be decoded", vision->camera, vision->good_frames);
		return err;
	}
	metrics_sample(&frame);
	frame_pool_put(*slot);
	*slot = frame_pool_get(&frame);
	calibrate(&frame, *slot);
	extract(vision, &frame, *slot, &features);
	infer(vision, *slot, &features);
	features_free(&features);
	frame_release(&vision->previous);
	vision->previous = frame;
	vision->good_frames++;
	return 0;
}
