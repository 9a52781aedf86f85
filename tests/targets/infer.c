/*
 * Inference as a small network would do it: tensors in and out of every layer, candidate boxes,
 * non-maximum suppression, labelled detections, and tracks that live for some frames.
 */
#include "perception.h"
#include "ledger.h"

#include <stdio.h>
#include <string.h>

#define WORKSPACE_BYTES 70000
#define LAYERS		3
#define DETECTIONS	12
#define BOXES		24
#define TRACK_FRAMES	10
#define INPUT_FLOATS	1024

struct box {
	short x, y, width, height;
	float score;
};

struct detection {
	struct box box;
	char *label; /* owned */
};

struct track {
	unsigned int age;
	size_t room;
	struct box *history; /* owned */
};

static const char *const class_names[] = {"car",  "truck", "pedestrian", "bicycle",
					  "sign", "lane",  "light",	 "unknown object"};

#define CLASSES (sizeof(class_names) / sizeof(class_names[0]))

SITE static float *input_tensor(const unsigned char *thumb)
{
	float *tensor = svc_posix_memalign(64, INPUT_FLOATS * sizeof(*tensor));

	for (int i = 0; i < INPUT_FLOATS; i++)
		tensor[i] = (float)thumb[i * 11] / 255.0f;
	return tensor;
}

SITE static float *im2col_buffer(const float *input, size_t count)
{
	float *columns = svc_malloc(count * 2 * sizeof(*columns));

	for (size_t i = 0; i < count; i++)
		columns[i * 2] = columns[i * 2 + 1] = input[i];
	return columns;
}

SITE static float *layer_output(const float *columns, size_t count)
{
	float *output = svc_aligned_alloc(64, count * sizeof(*output));

	for (size_t i = 0; i < count; i++)
		output[i] = columns[i] * 0.75f + columns[i + 1] * 0.25f - 0.2f;
	return output;
}

SITE static unsigned char *activation_mask(float *output, size_t count)
{
	unsigned char *mask = svc_calloc(count, 1);

	for (size_t i = 0; i < count; i++) {
		mask[i] = output[i] > 0;
		output[i] *= mask[i];
	}
	return mask;
}

static float *layer_run(float *input, size_t count)
{
	float *columns = im2col_buffer(input, count);
	float *output = layer_output(columns, count / 2);
	unsigned char *mask = activation_mask(output, count / 2);

	svc_free(mask);
	svc_free(columns);
	svc_free(input);
	return output;
}

SITE static struct box *anchors_make(void)
{
	struct box *anchors = svc_malloc(BOXES * sizeof(*anchors));

	for (short i = 0; i < BOXES; i++)
		anchors[i] = (struct box){.x = i, .y = i, .width = 8, .height = 6};
	return anchors;
}

SITE static struct box *box_list_grow(struct box *list, size_t room)
{
	return svc_realloc(list, room * sizeof(*list));
}

static struct box *boxes_propose(const struct box *anchors, const float *scores)
{
	struct box *boxes = NULL;
	size_t room = 0;

	for (size_t i = 0; i < BOXES; i++) {
		if (i == room) {
			room = room ? room * 2 : 8;
			boxes = box_list_grow(boxes, room);
		}
		boxes[i] = anchors[i];
		boxes[i].score = scores[i];
	}
	return boxes;
}

SITE static unsigned char *nms_order(const struct box *boxes)
{
	unsigned char *order = svc_malloc(BOXES);

	for (unsigned char i = 0; i < BOXES; i++) {
		unsigned char at = i;

		while (at && boxes[order[at - 1]].score < boxes[i].score) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = i;
	}
	return order;
}

SITE static bool *nms_mask(const struct box *boxes, const unsigned char *order)
{
	bool *keep = svc_calloc(BOXES, sizeof(*keep));

	for (int i = 0; i < BOXES; i++)
		keep[order[i]] = i < DETECTIONS && boxes[order[i]].width > 0;
	return keep;
}

SITE static float *softmax_scratch(const float *scores)
{
	float *softmax = svc_malloc(CLASSES * sizeof(*softmax));
	float sum = 0.001f;

	for (size_t i = 0; i < CLASSES; i++)
		sum += scores[i] + 1;
	for (size_t i = 0; i < CLASSES; i++)
		softmax[i] = (scores[i] + 1) / sum;
	return softmax;
}

SITE static char *label_new(const char *class_name)
{
	char *label = svc_malloc(strlen(class_name) + 1);

	strcpy(label, class_name);
	return label;
}

SITE static struct detection *detection_new(const struct box *box, const char *class_name)
{
	struct detection *detection = svc_malloc(sizeof(*detection));

	detection->box = *box;
	detection->label = label_new(class_name);
	return detection;
}

static void detection_free(struct detection *detection)
{
	svc_free(detection->label);
	svc_free(detection);
}

SITE static unsigned int *class_histogram(struct detection *const *detections, size_t count)
{
	unsigned int *histogram = svc_calloc(26, sizeof(*histogram));

	for (size_t i = 0; i < count; i++)
		histogram[(unsigned int)(detections[i]->label[0] - 'a') % 26]++;
	return histogram;
}

SITE static struct box *track_history_grow(struct box *history, size_t room)
{
	return svc_realloc(history, room * sizeof(*history));
}

SITE static struct track *track_new(void)
{
	return svc_calloc(1, sizeof(struct track));
}

static void track_follow(struct track **slot, const struct box *box)
{
	struct track *track = *slot;

	if (track && track->age == TRACK_FRAMES) {
		svc_free(track->history);
		svc_free(track);
		track = NULL;
	}
	if (!track)
		*slot = track = track_new();
	if (track->age == track->room) {
		track->room = track->room ? track->room * 2 : 2;
		track->history = track_history_grow(track->history, track->room);
	}
	track->history[track->age++] = *box;
}

static size_t detect(struct vision *vision, const struct box *boxes, const float *scores)
{
	unsigned char *order = nms_order(boxes);
	bool *keep = nms_mask(boxes, order);
	float *softmax = softmax_scratch(scores);
	struct detection *detections[DETECTIONS];
	unsigned int *histogram;
	size_t count = 0;

	for (size_t i = 0; i < BOXES && count < DETECTIONS; i++)
		if (keep[i])
			detections[count++] = detection_new(
				&boxes[i], class_names[(i + (size_t)(softmax[0] * 8)) % CLASSES]);
	histogram = class_histogram(detections, count);
	for (size_t i = 0; i < TRACKS && i < count; i++)
		track_follow(&vision->tracks[i], &detections[i]->box);
	for (size_t i = 0; i < count; i++)
		detection_free(detections[i]);
	svc_free(histogram);
	svc_free(softmax);
	svc_free(keep);
	svc_free(order);
	return count;
}

SITE void infer(struct vision *vision, const unsigned char *thumb, const struct features *features)
{
	unsigned char *workspace = svc_malloc(WORKSPACE_BYTES);
	float *tensor = input_tensor(thumb);
	struct box *anchors, *boxes;
	size_t count = INPUT_FLOATS, found;

	memset(workspace, (int)features->corner_count, WORKSPACE_BYTES / 4);
	for (int layer = 0; layer < LAYERS; layer++, count /= 2)
		tensor = layer_run(tensor, count);
	anchors = anchors_make();
	boxes = boxes_propose(anchors, tensor);
	found = detect(vision, boxes, tensor);
	fusion_send(vision->fusion, vision->camera, found);
	svc_free(boxes);
	svc_free(anchors);
	svc_free(tensor);
	svc_free(workspace);
}
