/* SPDX-License-Identifier: GPL-2.0-only */
#include "export/baseline.h"

#include "export/file.h"
#include "util/cleanup.h"
#include "util/vec.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((size_t)256 << 20)

static void free_json(json_t **object)
{
	json_decref(*object);
}

/* The last of the objects in the text; NULL and what is wrong. */
static json_t *last_object(const char *text, size_t length, char *error, size_t size)
{
	json_t *last = NULL;
	size_t at = 0;

	for (;;) {
		json_error_t where;
		json_t *object;

		at += strspn(text + at, " \t\r\n");
		if (at >= length)
			break;
		object = json_loadb(text + at, length - at,
				    JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &where);
		if (!object) {
			snprintf(error, size, "no JSON at byte %zu: %s",
				 at + (size_t)(where.position > 0 ? where.position : 0),
				 where.text);
			json_decref(last);
			return NULL;
		}
		json_decref(last);
		last = object;
		at += (size_t)where.position;
	}
	if (!last)
		snprintf(error, size, "it is empty");
	return last;
}

static bool take_count(const json_t *site, const char *name, uint64_t *ret)
{
	const json_t *value = json_object_get(site, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(value);
	return true;
}

static bool take_key(const json_t *site, uint64_t *ret)
{
	const char *text = json_string_value(json_object_get(site, "key"));

	if (!text || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return false;
	*ret = strtoull(text, NULL, 16);
	return true;
}

/* Nothing, or what is wrong with it. */
static const char *take_site(const json_t *site, struct baseline *ret)
{
	const char *side = json_string_value(json_object_get(site, "side"));
	struct baseline_site taken;

	if (!side)
		return "a site without a side";
	if (strcmp(side, "user"))
		return NULL;
	if (!take_key(site, &taken.key))
		return "a site whose key is not 16 hexadecimal digits";
	if (!take_count(site, "live_bytes", &taken.bytes) ||
	    !take_count(site, "live_blocks", &taken.blocks))
		return "a site without live_bytes and live_blocks";
	*vec_push(ret) = taken;
	return NULL;
}

static const char *take_object(const json_t *object, struct baseline *ret)
{
	const char *schema = json_string_value(json_object_get(object, "schema"));
	const json_t *sites = json_object_get(object, "sites");

	if (!schema || strcmp(schema, "memtop/1"))
		return "its schema is not memtop/1";
	if (!json_is_array(sites))
		return "it has no sites";
	for (size_t i = 0; i < json_array_size(sites); i++) {
		const char *wrong = take_site(json_array_get(sites, i), ret);

		if (wrong)
			return wrong;
	}
	return NULL;
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t left = ((const struct baseline_site *)a)->key;
	uint64_t right = ((const struct baseline_site *)b)->key;

	return (left > right) - (left < right);
}

static void merge(struct baseline *baseline)
{
	size_t kept = 0;

	if (!baseline->count)
		return;
	qsort(baseline->data, baseline->count, sizeof(*baseline->data), compare_keys);
	for (size_t i = 1; i < baseline->count; i++) {
		if (baseline->data[i].key == baseline->data[kept].key) {
			baseline->data[kept].bytes += baseline->data[i].bytes;
			baseline->data[kept].blocks += baseline->data[i].blocks;
		} else {
			baseline->data[++kept] = baseline->data[i];
		}
	}
	baseline->count = kept + 1;
}

int baseline_read(const char *path, struct baseline *ret, char *error, size_t size)
{
	_cleanup_(free_json) json_t *object = NULL;
	_cleanup_free_ char *text = NULL;
	char reason[256] = "";
	const char *wrong;
	size_t length;
	int status;

	*ret = (struct baseline){0};
	status = file_read(path, MOST_BYTES, &text, &length, error, size);
	if (status)
		return status;
	json_set_alloc_funcs(xmalloc, free);
	object = last_object(text, length, reason, sizeof(reason));
	wrong = object ? take_object(object, ret) : reason;
	if (wrong) {
		snprintf(error, size, "%s is no output of memtop: %s", path, wrong);
		return -EINVAL;
	}
	merge(ret);
	return 0;
}

void baseline_deinit(struct baseline *baseline)
{
	vec_deinit(baseline);
}

static uint64_t take(uint64_t *from, uint64_t most)
{
	uint64_t taken = *from < most ? *from : most;

	*from -= taken;
	return taken;
}

bool baseline_take(struct baseline *baseline, uint64_t key, uint64_t *bytes, uint64_t *blocks)
{
	struct baseline_site wanted = {.key = key}, *site = NULL;

	if (baseline->count)
		site = bsearch(&wanted, baseline->data, baseline->count, sizeof(wanted),
			       compare_keys);
	*bytes = site ? take(&site->bytes, *bytes) : 0;
	*blocks = site ? take(&site->blocks, *blocks) : 0;
	return site != NULL;
}
