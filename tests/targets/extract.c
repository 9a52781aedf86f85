/*
 * Features of one frame: gradients, corners, descriptors, and their matches with the frame before.
 * Everything but the descriptors (kept until the next frame) and the cache is freed with the frame.
 */
#include "perception.h"
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTORS    32
#define PYRAMID_LEVELS 4
#define PIXELS	       (THUMB_WIDTH * THUMB_HEIGHT)

struct descriptor {
	unsigned char bits[64];
};

struct kd_node {
	struct kd_node *left;
	struct kd_node *right;
	const struct descriptor *descriptor;
	unsigned int key;
};

struct kd_tree {
	struct kd_node *root;
	size_t count;
};

struct match {
	struct match *next;
	unsigned int from;
	unsigned int to;
	unsigned int distance;
};

struct edge {
	short from;
	short to;
};

SITE static unsigned char *pyramid_level(const unsigned char *from, size_t pixels)
{
	unsigned char *level = svc_malloc(pixels);

	for (size_t i = 0; i < pixels; i++)
		level[i] = from[i * 2];
	return level;
}

SITE static short *gradient_x(const unsigned char *grey)
{
	short *gradient = svc_aligned_alloc(64, PIXELS * sizeof(*gradient));

	gradient[0] = gradient[PIXELS - 1] = 0;
	for (int i = 1; i < PIXELS - 1; i++)
		gradient[i] = (short)(grey[i + 1] - grey[i - 1]);
	return gradient;
}

SITE static short *gradient_y(const unsigned char *grey)
{
	short *gradient = svc_aligned_alloc(64, PIXELS * sizeof(*gradient));

	memset(gradient, 0, PIXELS * sizeof(*gradient));
	for (int i = THUMB_WIDTH; i < PIXELS - THUMB_WIDTH; i++)
		gradient[i] = (short)(grey[i + THUMB_WIDTH] - grey[i - THUMB_WIDTH]);
	return gradient;
}

SITE static unsigned int *integral_image(const unsigned char *grey)
{
	unsigned int *sums = svc_posix_memalign(64, PIXELS * sizeof(*sums));
	unsigned int sum = 0;

	for (int i = 0; i < PIXELS; i++)
		sums[i] = sum += grey[i];
	return sums;
}

SITE static unsigned int *orientation_histogram(const short *dx, const short *dy)
{
	unsigned int *histogram = svc_calloc(36, sizeof(*histogram));

	for (int i = 0; i < PIXELS; i += 7)
		histogram[(unsigned int)(abs(dx[i]) + 3 * abs(dy[i])) % 36]++;
	return histogram;
}

SITE static unsigned char *corner_score_map(const short *dx, const short *dy)
{
	unsigned char *scores = svc_calloc(PIXELS, 1);

	for (int i = 0; i < PIXELS; i++)
		scores[i] = (unsigned char)((dx[i] * dx[i] + dy[i] * dy[i]) >> 8);
	return scores;
}

SITE static int *corner_list_grow(int *list, size_t room)
{
	return svc_realloc(list, room * sizeof(*list));
}

static void corners_find(const unsigned char *scores, struct features *features)
{
	size_t room = 0;

	for (int i = 0; i < PIXELS && features->corner_count < 64; i += 41) {
		if (features->corner_count == room) {
			room = room ? room * 2 : 4;
			features->corners = corner_list_grow(features->corners, room);
		}
		features->corners[features->corner_count++] = scores[i] * PIXELS + i;
	}
}

SITE static unsigned char *blur_row(const unsigned char *grey, int y)
{
	unsigned char *row = svc_malloc(THUMB_WIDTH);
	const unsigned char *from = grey + (ptrdiff_t)y * THUMB_WIDTH;

	row[0] = from[0];
	for (int x = 1; x < THUMB_WIDTH; x++)
		row[x] = (unsigned char)((from[x - 1] + from[x]) / 2);
	return row;
}

SITE static unsigned char *edge_map(const unsigned char *row, const unsigned char *scores)
{
	unsigned char *map = svc_calloc(THUMB_WIDTH, 1);

	for (int x = 0; x < THUMB_WIDTH; x++)
		map[x] = row[x] > 100 || scores[x] > 20;
	return map;
}

SITE static struct edge *edge_links_grow(struct edge *links, size_t room)
{
	return svc_realloc(links, room * sizeof(*links));
}

static void edges_find(const unsigned char *grey, const unsigned char *scores)
{
	unsigned char *row = blur_row(grey, THUMB_HEIGHT / 2);
	unsigned char *map = edge_map(row, scores);
	struct edge *links = NULL;
	size_t count = 0, room = 0;

	for (short x = 1; x < THUMB_WIDTH; x += 2) {
		if (count == room) {
			room = room ? room * 2 : 8;
			links = edge_links_grow(links, room);
		}
		links[count++] = (struct edge){.from = x, .to = (short)(x - map[x])};
	}
	svc_free(links);
	svc_free(map);
	svc_free(row);
}

SITE static struct descriptor *descriptor_new(const unsigned char *grey, int corner)
{
	struct descriptor *descriptor = svc_malloc(sizeof(*descriptor));
	size_t at = (size_t)corner % PIXELS;

	for (size_t i = 0; i < sizeof(descriptor->bits); i++)
		descriptor->bits[i] = grey[(at + i * 31) % PIXELS];
	return descriptor;
}

SITE static struct descriptor **descriptor_table(const unsigned char *grey,
						 const struct features *features)
{
	struct descriptor **table = svc_malloc(DESCRIPTORS * sizeof(struct descriptor *));

	for (size_t i = 0; i < DESCRIPTORS; i++)
		table[i] = descriptor_new(grey, features->corners[i % features->corner_count]);
	return table;
}

static void descriptors_free(struct descriptor **table)
{
	if (!table)
		return;
	for (size_t i = 0; i < DESCRIPTORS; i++)
		svc_free(table[i]);
	svc_free(table);
}

SITE static struct kd_node *kd_node_new(const struct descriptor *descriptor)
{
	struct kd_node *node = svc_malloc(sizeof(*node));

	*node = (struct kd_node){.descriptor = descriptor,
				 .key = descriptor->bits[0] * 256u + descriptor->bits[7]};
	return node;
}

SITE static struct kd_tree *kd_tree_new(struct descriptor **table)
{
	struct kd_tree *tree = svc_calloc(1, sizeof(*tree));

	for (size_t i = 0; i < DESCRIPTORS; i++) {
		struct kd_node *node = kd_node_new(table[i]), **at = &tree->root;

		while (*at)
			at = node->key < (*at)->key ? &(*at)->left : &(*at)->right;
		*at = node;
		tree->count++;
	}
	return tree;
}

/* Rotates left children up until there are none, so that no recursion is needed. */
static void kd_tree_free(struct kd_tree *tree)
{
	struct kd_node *node = tree->root;

	while (node) {
		struct kd_node *left = node->left, *gone = node;

		if (left) {
			node->left = left->right;
			left->right = node;
			node = left;
			continue;
		}
		node = node->right;
		svc_free(gone);
	}
	svc_free(tree);
}

SITE static struct match *match_new(struct match *next, unsigned int from, unsigned int distance)
{
	struct match *match = svc_malloc(sizeof(*match));

	*match = (struct match){.next = next, .from = from, .to = from, .distance = distance};
	return match;
}

static struct match *matches_find(const struct kd_tree *tree, struct descriptor **previous)
{
	struct match *matches = NULL;

	for (unsigned int i = 0; previous && i < DESCRIPTORS; i += 2) {
		unsigned int best = previous[i]->bits[0] * 256u + previous[i]->bits[7];
		const struct kd_node *node = tree->root;
		unsigned int depth = 0;

		while (node && node->key != best) {
			node = best < node->key ? node->left : node->right;
			depth++;
		}
		matches = match_new(matches, i, depth);
	}
	return matches;
}

void features_free(struct features *features)
{
	struct match *match = features->matches;

	while (match) {
		struct match *next = match->next;

		svc_free(match);
		match = next;
	}
	svc_free(features->corners);
	*features = (struct features){0};
}

static void pyramid_build(const unsigned char *thumb, unsigned char *levels[PYRAMID_LEVELS])
{
	const unsigned char *from = thumb;
	size_t pixels = PIXELS;

	for (int i = 0; i < PYRAMID_LEVELS; i++) {
		levels[i] = pyramid_level(from, pixels);
		from = levels[i];
		pixels /= 2;
	}
}

SITE void extract(struct vision *vision, const struct frame *frame, const unsigned char *thumb,
		  struct features *ret)
{
	unsigned char *levels[PYRAMID_LEVELS];
	short *dx, *dy;
	unsigned int *sums, *histogram;
	unsigned char *scores;
	struct descriptor **table;
	struct kd_tree *tree;

	pyramid_build(thumb, levels);
	dx = gradient_x(levels[0]);
	dy = gradient_y(levels[0]);
	sums = integral_image(levels[0]);
	histogram = orientation_histogram(dx, dy);
	scores = corner_score_map(dx, dy);
	corners_find(scores, ret);
	edges_find(levels[0], scores);
	table = descriptor_table(levels[0], ret);
	table[0]->bits[1] ^= (unsigned char)(sums[PIXELS - 1] ^ histogram[0] ^ frame->width);
	tree = kd_tree_new(table);
	ret->matches = matches_find(tree, vision->descriptors);
	if (!feature_cache_has(vision->cache, vision->camera, vision->good_frames) &&
	    vision->good_frames % vision->cache_period == 0)
		feature_cache_put(vision->cache, vision->camera, vision->good_frames);
	kd_tree_free(tree);
	descriptors_free(vision->descriptors);
	vision->descriptors = table;
	svc_free(scores);
	svc_free(histogram);
	svc_free(sums);
	svc_free(dy);
	svc_free(dx);
	for (int i = 0; i < PYRAMID_LEVELS; i++)
		svc_free(levels[i]);
}
