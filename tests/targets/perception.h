/*
 * The perception service's own parts: frames and their decoder (libdecode), the vision pipeline
 * (libpipeline), and the camera threads (the executable).
 *
 * One image's way: camera_loop() → process_image() → jpeg_decode_frame(), then extract() and
 * infer(), whose result goes to the fusion thread as a message. A decoded frame lives until its
 * camera's next good one: frame_release() frees it then.
 */
#ifndef TARGETS_PERCEPTION_H
#define TARGETS_PERCEPTION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- libdecode ---- */

/* The one resolution of bad frames: 320×216×3 = 207,360 bytes decoded. */
#define BAD_WIDTH  320
#define BAD_HEIGHT 216

struct jpeg_image {
	unsigned char *bytes; /* owned */
	size_t length;
	unsigned int width;
	unsigned int height;
};

struct frame_set {
	struct jpeg_image *good; /* owned */
	struct jpeg_image *bad;	 /* owned */
	size_t good_count;
	size_t bad_count;
};

/* A decoded image, 3 bytes a pixel; pixels are owned, NULL in an empty frame. */
struct frame {
	unsigned char *pixels;
	unsigned int width;
	unsigned int height;
};

/* Paints and compresses all images. Their memory is theirs until frame_set_deinit(). */
void frame_set_init(struct frame_set *set);
void frame_set_deinit(struct frame_set *set);

/*
 * Decodes into a new buffer at @ret. -EBADMSG where libjpeg gave up: the buffer is then freed only
 * if @fixed, which is the leak this service is about. libjpeg itself holds nothing afterwards.
 */
int jpeg_decode_frame(const struct jpeg_image *image, bool fixed, struct frame *ret);

/* ---- libpipeline ---- */

#define HISTORY 20
#define TRACKS	8

struct message;

/* What camera threads hand to the fusion thread. */
struct fusion {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct message *head;
	struct message **tail;
	size_t length;
	struct world_object *objects; /* the fusion thread's own; newest first */
};

struct feature_cache;
struct descriptor;
struct track;

/* One camera's view of the world. Used by its own thread only. */
struct vision {
	unsigned int camera;
	bool fixed;
	uint32_t random;
	uint64_t good_frames;
	uint64_t cache_period; /* good frames between two new cache entries */
	struct frame previous;
	unsigned char *thumbs[HISTORY];	 /* ring of small images, by good_frames */
	struct descriptor **descriptors; /* of the previous frame */
	struct track *tracks[TRACKS];
	struct feature_cache *cache; /* borrowed, shared */
	struct fusion *fusion;	     /* borrowed, shared */
};

/* What extraction found in one frame; all of it freed by features_free(). */
struct features {
	struct match *matches;
	int *corners;
	size_t corner_count;
};

int process_image(struct vision *vision, const struct jpeg_image *image);
void frame_release(struct frame *frame);

unsigned char *frame_pool_get(const struct frame *frame);
void frame_pool_put(unsigned char *thumb);

void extract(struct vision *vision, const struct frame *frame, const unsigned char *thumb,
	     struct features *ret);
void features_free(struct features *features);
void infer(struct vision *vision, const unsigned char *thumb, const struct features *features);

/* A bounded cache of large descriptor blocks, the oldest entry replaced. */
struct feature_cache *feature_cache_new(void);
void feature_cache_put(struct feature_cache *cache, unsigned int camera, uint64_t frame_number);
bool feature_cache_has(struct feature_cache *cache, unsigned int camera, uint64_t frame_number);

void fusion_init(struct fusion *fusion);
/* Queues one camera's detections; a full queue drops them. */
void fusion_send(struct fusion *fusion, unsigned int camera, size_t detections);
/* The next message, waiting for one until @closed is set (and fusion_wake() was called). */
struct message *fusion_take(struct fusion *fusion, const atomic_bool *closed);
void fusion_handle(struct fusion *fusion, struct message *message);
void fusion_wake(struct fusion *fusion);

#define THUMB_WIDTH	   80
#define THUMB_HEIGHT	   50
#define THUMB_BYTES	   (THUMB_WIDTH * THUMB_HEIGHT * 3)
#define CACHE_ENTRIES	   96
#define CACHE_FILL_SECONDS 60

static inline uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

#endif
