/* SPDX-License-Identifier: GPL-2.0-only */
/* The numbers agree with each other, as those of a real target do. */
#include "tests/screens/fixture.h"

#include "util/alloc.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MB(x) ((uint64_t)((x)*1024.0 * 1024))
#define NS    UINT64_C(1000000000)
#define NOW   (UINT64_C(1795435391) * NS) /* 12:03:11 UTC */

struct name {
	uint64_t address;
	struct frame frame;
};

static const struct name good_names[] = {
	{0x1000,
	 {"jpeg_decode_frame", 0x96, "/opt/av/libdecode.so", "9f3c1a77", 0x1000, "src/decode.c", 88,
	  false, false, false, 0x1000}},
	{0x2000,
	 {"process_image", 0x40, "/opt/av/libpipeline.so", "51e07b12", 0x2000, "src/pipeline.c",
	  140, true, false, false, 0x2000}},
	{0x2000,
	 {"camera_loop", 0xc8, "/opt/av/perception_service", "77aa0234", 0x2000, "src/camera.c", 61,
	  false, false, false, 0x2000}},
	{0x3000,
	 {"start_thread", 0x2d4, "/usr/lib/x86_64-linux-gnu/libc.so.6", "c0471934", 0x3000, NULL, 0,
	  false, false, false, 0x3000}},
	{0x4000,
	 {"operator new(unsigned long)", 0x18, "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
	  "aabbcc11", 0x4000, NULL, 0, false, true, false, 0x4000}},
	{0x5000,
	 {"FeatureCache::put(cv::Mat const&, long)", 0x51, "/opt/av/libpipeline.so", "51e07b12",
	  0x5000, "src/cache.cc", 31, false, false, false, 0x5000}},
	{0x6000,
	 {"FramePool::get()", 0x21, "/opt/av/libpipeline.so", "51e07b12", 0x6000, "src/pool.cc", 12,
	  false, false, false, 0x6000}},
	{0x7000, {NULL, 0, "/opt/av/libinfer.so", "", 0x1234, NULL, 0, false, false, true, 0x7000}},
	{0x8000,
	 {"alloc_empty_file", 0x4f, "[kernel]", "", 0x8000, NULL, 0, false, false, false, 0x8000}},
	{0x9000,
	 {"do_sys_openat2", 0x8a, "[kernel]", "", 0x9000, NULL, 0, false, false, false, 0x9000}},
	{0xa000,
	 {"extract", 0x8a, "/opt/av/libpipeline.so", "51e07b12", 0xa000, "src/extract.cc", 20,
	  false, false, false, 0xa000}},
};

static const struct name hostile_names[] = {
	{0x1000,
	 {"\033[2J\033[31mred\a\r\n", 1, "/tmp/\033]0;title\a.so", "9f3c1a77", 0x1000, "a\tb.c", 88,
	  false, false, false, 0x1000}},
	{0x2000,
	 {"\xe2\x80\xae"
	  "txt.exe\xe2\x81\xa6",
	  0, "/tmp/\xff\xfe\xc0\xaf", "", 0x2000, NULL, 0, false, false, false, 0x2000}},
	{0x3000,
	 {"\xc2\x9b"
	  "31m\xc2\x85",
	  0, "", "", 0x3000, NULL, 0, false, false, false, 0x3000}},
	{0x4000,
	 {"图像处理::解码", 0x18, "/opt/相机.so", "aabbcc11", 0x4000, "解码.c", 7, false, false,
	  false, 0x4000}},
	{0x5000,
	 {"e\xcc\x81\xcc\x81\xcc\x81zero\xe2\x80\x8bwidth", 0x51, "/opt/a.so", "51", 0x5000, "", 0,
	  false, false, false, 0x5000}},
	{0x6000,
	 {"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> "
	  ">::_M_create(unsigned long&, unsigned long)",
	  0x51, "/opt/b.so", "51", 0x6000, NULL, 0, false, false, false, 0x6000}},
	{0x7000,
	 {"\xf4\x90\x80\x80\xed\xa0\x80%s%n", 1, "", "", 0, NULL, 0, false, false, false, 0x7000}},
	{0xa000, {"truncated\xe2\x80", 1, "", "", 0, NULL, 0, false, false, false, 0xa000}},
};

static size_t find(const struct name *names, size_t count, uint64_t address, struct frame *ret,
		   size_t cap)
{
	size_t found = 0;

	for (size_t i = 0; i < count && found < cap; i++)
		if (names[i].address == address)
			ret[found++] = names[i].frame;
	if (!found)
		ret[found++] = (struct frame){.module = "", .build_id = "", .address = address};
	return found;
}

static size_t resolve_good(struct resolver *resolver, const struct modules *modules,
			   const struct site_info *site, unsigned index, struct frame *ret,
			   size_t cap)
{
	(void)resolver;
	(void)modules;
	return find(good_names, sizeof(good_names) / sizeof(good_names[0]), site->addresses[index],
		    ret, cap);
}

static size_t resolve_hostile(struct resolver *resolver, const struct modules *modules,
			      const struct site_info *site, unsigned index, struct frame *ret,
			      size_t cap)
{
	(void)resolver;
	(void)modules;
	return find(hostile_names, sizeof(hostile_names) / sizeof(hostile_names[0]),
		    site->addresses[index], ret, cap);
}

static const struct resolver_ops good_ops = {.resolve = resolve_good};
static const struct resolver_ops hostile_ops = {.resolve = resolve_hostile};

struct row {
	enum side side;
	enum abi_kind kind;
	uint64_t addresses[FIXTURE_FRAMES];
	double live_mb, freed_mb, delta_mb, rate_mb;
	uint64_t live_blocks, freed_blocks;
	double oldest_s, kept, life_s, per_s;
	enum verdict verdict;
};

static const struct row rows[FIXTURE_SITES] = {
	{SIDE_USER,
	 ABI_KIND_MALLOC,
	 {0x6000, 0x2000, 0x3000},
	 1.4,
	 310,
	 0,
	 0,
	 120,
	 26500,
	 0.7,
	 0,
	 0.2,
	 180,
	 VERDICT_STEADY},
	{SIDE_USER,
	 ABI_KIND_MALLOC,
	 {0x1000, 0x2000, 0x3000},
	 429.1,
	 2571,
	 305.1,
	 5.09,
	 2163,
	 12960,
	 84,
	 1 / 7.0,
	 0.02,
	 180,
	 VERDICT_LEAKING},
	{SIDE_USER,
	 ABI_KIND_MALLOC,
	 {0x4000, 0x5000, 0xa000, 0x3000},
	 9.4,
	 0,
	 6.7,
	 0.11,
	 150,
	 0,
	 84,
	 1,
	 NAN,
	 1.8,
	 VERDICT_WARMING_UP},
	{SIDE_USER,
	 ABI_KIND_CALLOC,
	 {0x7000, 0x2000, 0x3000},
	 0.4,
	 900,
	 0,
	 0,
	 6,
	 15120,
	 0.011,
	 0,
	 0.011,
	 180,
	 VERDICT_STEADY},
	{SIDE_KERNEL,
	 ABI_KIND_SLAB,
	 {0x8000, 0x9000},
	 1.2,
	 40,
	 0,
	 0,
	 4511,
	 67000,
	 80,
	 0,
	 0.1,
	 801,
	 VERDICT_STEADY},
	{SIDE_USER,
	 ABI_KIND_REALLOC,
	 {0x7777},
	 0.002,
	 3,
	 0,
	 0,
	 1,
	 100,
	 84,
	 0,
	 0.1,
	 1,
	 VERDICT_STEADY},
};

static void fill_site(struct fixture *fixture, unsigned i)
{
	const struct row *row = &rows[i];
	struct site_info *info = &fixture->infos[i];

	memcpy(fixture->addresses[i], row->addresses, sizeof(row->addresses));
	*info = (struct site_info){.id = i + 1,
				   .side = row->side,
				   .kind = row->kind,
				   .addresses = fixture->addresses[i],
				   .object = row->side == SIDE_KERNEL ? "filp" : NULL,
				   .flags = i == 5 ? SITE_TRUNCATED : 0};
	while (info->nframes < FIXTURE_FRAMES && row->addresses[info->nframes])
		info->nframes++;
	fixture->sites[i] = (struct site_stats){
		.info = info,
		.totals = {.allocated_bytes = MB(row->live_mb) + MB(row->freed_mb),
			   .allocated_blocks = row->live_blocks + row->freed_blocks,
			   .freed_bytes = MB(row->freed_mb),
			   .freed_blocks = row->freed_blocks},
		.delta_bytes = (int64_t)MB(row->delta_mb),
		.rate_bytes_per_s = (double)MB(row->rate_mb),
		.allocations_per_s = row->per_s,
		.oldest_s = row->oldest_s,
		.kept_ratio = row->kept,
		.median_life_s = row->life_s,
		.judgment = {.verdict = row->verdict,
			     .one_in = 7,
			     .due_s = row->verdict == VERDICT_WARMING_UP ? 70 : NAN},
	};
}

static void fill_history(struct fixture *fixture)
{
	for (unsigned i = 0; i < FIXTURE_HISTORY; i++) {
		double grown = 436 * (double)i / (FIXTURE_HISTORY - 1);

		fixture->history[i] = (struct history_point){
			.time_ns = 1000 * NS - (FIXTURE_HISTORY - 1 - i) * NS,
			.rss_bytes = MB(507.9 + grown),
			.charged_bytes = MB(535.4 + grown),
			.live_bytes = {[SIDE_USER] = MB(4.3 + grown), [SIDE_KERNEL] = MB(1.2)},
		};
	}
	fixture->picture.history = fixture->history;
	fixture->picture.history_count = FIXTURE_HISTORY;
}

static void fill_sides(struct picture *picture)
{
	picture->sides[SIDE_USER] = (struct side_stats){
		.known = true,
		.totals = {MB(4224.3), 57131, MB(3784), 54692},
		.delta_bytes = (int64_t)MB(311.8),
		.rate_bytes_per_s = (double)MB(5.2),
		.allocations_per_s = 21480,
		.frees_per_s = 21452,
	};
	picture->sides[SIDE_KERNEL] = (struct side_stats){
		.known = true,
		.totals = {MB(41.2), 71511, MB(40), 67000},
		.allocations_per_s = 801,
		.frees_per_s = 801,
	};
}

static void fill_whole(struct picture *picture)
{
	picture->judgment = (struct judgment){
		.verdict = VERDICT_LEAKING, .one_in = 7, .rate_bytes_per_s = (double)MB(5.09)};
	picture->top_site = 2;
	picture->top_share = 0.98;
	picture->memory = (struct memory){.rss_bytes = MB(943.9),
					  .anon_bytes = MB(899.8),
					  .file_bytes = MB(42),
					  .shmem_bytes = MB(2.1)};
	picture->charge = (struct charge){.source = LIMIT_CGROUP,
					  .limit_bytes = MB(2048),
					  .used_bytes = MB(971.4),
					  .headroom_bytes = MB(1076.6),
					  .cgroup = "/vehicle/perception"};
	picture->overhead = (struct overhead){.target_percent = 2.1,
					      .worst_thread_percent = 3.0,
					      .worst_thread = 4715,
					      .worst_thread_name = "cam-4"};
	picture->rss_rate_bytes_per_s = (double)MB(5.21);
	picture->accounting = (struct accounting){.known = true,
						  .live_known = true,
						  .heap_live_bytes = MB(440.3),
						  .slack_or_before_bytes = MB(453.9),
						  .anon_maps_bytes = MB(3.2),
						  .stacks_bytes = MB(2.4),
						  .file_bytes = MB(42),
						  .shmem_bytes = MB(2.1),
						  .explained_percent = 99.2};
	picture->growth = (struct growth){.elapsed_s = 60,
					  .rss_bytes = (int64_t)MB(312.4),
					  .user_bytes = (int64_t)MB(311.8),
					  .slack_bytes = (int64_t)MB(0.6)};
	picture->forecast = (struct forecast){(double)MB(5.2), 199, 215};
	picture->floor_bytes_per_s = 40 * 1024;
	picture->names_percent = 100;
	picture->mark = (struct mark){.time_ns = 940 * NS, .time_unix_ns = NOW - 60 * NS};
	strcpy(picture->mark.name, "lap3");
}

static void fill_holdings(struct picture *picture)
{
	static const struct {
		enum holding what;
		uint64_t value;
		int64_t delta;
		double rate;
		uint64_t made, gone; /* 0: lives are not known */
	} held[] = {
		{HOLDING_PSS, MB(921.4), MB(312), MB(5.2), 0, 0},
		{HOLDING_PAGE_TABLES, MB(2.3), MB(0.6), 10240, 0, 0},
		{HOLDING_KERNEL_STACKS, 27 * 16384, 0, 0, 0, 0},
		{HOLDING_FDS, 214, 24, 0, 1048, 1024},
		{HOLDING_FILES, 120, 0, 0, 0, 0},
		{HOLDING_DEVICES, 8, 0, 0, 0, 0},
		{HOLDING_PIPES, 12, 0, 0, 1000, 1000},
		{HOLDING_SOCKETS, 18, 0, 0, 4, 4},
		{HOLDING_EVENTFDS, 8, 0, 0, 0, 0},
		{HOLDING_EPOLLS, 4, 0, 0, 0, 0},
		{HOLDING_DMABUFS, 44, 24, 0.4, 44, 20},
		{HOLDING_MEMFDS, 0, 0, 0, 0, 0},
		{HOLDING_OTHER_FDS, 0, 0, 0, 0, 0},
		{HOLDING_MEMFD_BYTES, 0, 0, 0, 0, 0},
		{HOLDING_DMABUF_BYTES, MB(96), 0, 0, MB(128), MB(32)},
		{HOLDING_COUNT, MB(64), 0, 0, MB(96), MB(32)},
		{HOLDING_COUNT + 1, MB(32), 0, 0, MB(32), 0},
	};

	picture->holding_count = HOLDING_COUNT + 2;
	for (size_t i = 0; i < sizeof(held) / sizeof(*held); i++)
		picture->holdings[held[i].what] = (struct holding_stats){
			.known = true,
			.lives_known = held[i].what >= HOLDING_FDS,
			.value = held[i].value,
			.delta = held[i].delta,
			.rate_per_s = held[i].rate,
			.totals = {held[i].made, held[i].made, held[i].gone, held[i].gone},
			.kept_ratio = held[i].made ? 0 : NAN,
			.judgment.verdict =
				held[i].what >= HOLDING_FDS ? VERDICT_STEADY : VERDICT_UNKNOWN,
		};
	picture->holdings[HOLDING_FDS].limit = 1024;
	picture->holdings[HOLDING_DMABUFS].judgment =
		(struct judgment){.verdict = VERDICT_WARMING_UP, .due_s = 12};
	picture->holdings[HOLDING_SOCKET_BYTES] =
		(struct holding_stats){.why = "its network namespace is another one",
				       .rate_per_s = NAN,
				       .kept_ratio = NAN};
	strcpy(picture->holdings[HOLDING_COUNT].exporter, "udmabuf");
	strcpy(picture->holdings[HOLDING_COUNT + 1].exporter, "system-heap");
}

static void fill_kernel_kinds(struct picture *picture)
{
	static const struct {
		uint64_t made, gone;
	} kinds[KERNEL_KINDS] = {{MB(3.1), MB(2.0)}, {MB(0.5), MB(0.4)}, {0, 0}, {4096, 4096}};

	for (unsigned i = 0; i < KERNEL_KINDS; i++)
		picture->kernel_kinds[i] =
			(struct side_stats){.known = true,
					    .totals = {kinds[i].made, kinds[i].made / 256,
						       kinds[i].gone, kinds[i].gone / 256}};
	picture->kernel_kinds[2].known = false;
	picture->kernel_kind_why[2] = "the kernel has no tracepoints of vmalloc areas";
}

void fixture_fd_leak(struct fixture *fixture)
{
	struct picture *picture = &fixture->picture;
	struct holding_stats *memfds = &picture->holdings[HOLDING_MEMFDS];
	struct holding_stats *fds = &picture->holdings[HOLDING_FDS];

	picture->judgment = (struct judgment){.verdict = VERDICT_STEADY, .one_in = NAN};
	picture->top_site = 0;
	for (unsigned i = 0; i < FIXTURE_SITES; i++)
		fixture->sites[i].judgment.verdict = VERDICT_STEADY;
	memfds->value = 614;
	memfds->delta = 120;
	memfds->totals = (struct totals){614, 614, 0, 0};
	memfds->rate_per_s = 2;
	memfds->kept_ratio = 1;
	memfds->judgment =
		(struct judgment){.verdict = VERDICT_LEAKING, .one_in = NAN, .rate_bytes_per_s = 2};
	fds->value += 614;
	fds->delta += 120;
	fds->rate_per_s = 2;
	fds->judgment = memfds->judgment;
	picture->leaking_holding = HOLDING_MEMFDS + 1;
}

void fixture_init(struct fixture *fixture)
{
	struct picture *picture = &fixture->picture;

	setenv("TZ", "UTC", 1);
	tzset();
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		abort();
	memset(fixture, 0, sizeof(*fixture));
	picture->tick = 84;
	picture->time_ns = 1000 * NS;
	picture->time_unix_ns = NOW;
	picture->elapsed_s = 84;
	picture->generation = 1;
	picture->level = LEVEL_HEAP;
	picture->target =
		(struct target_state){.pid = 4711, .comm = "perception_serv", .exit_code = -1};
	strcpy(picture->target.exe, "/opt/av/perception_service");
	fill_whole(picture);
	fill_sides(picture);
	fill_history(fixture);
	fill_holdings(picture);
	fill_kernel_kinds(picture);
	for (unsigned i = 0; i < FIXTURE_SITES; i++)
		fill_site(fixture, i);
	picture->sites = fixture->sites;
	picture->site_count = FIXTURE_SITES;
	fixture->resolver.ops = &good_ops;
	fixture->status =
		(struct screen_status){.delay_s = 1, .live = true, .own_modules_known = true};
}

void fixture_hostile(struct fixture *fixture)
{
	struct picture *picture = &fixture->picture;

	fixture->resolver.ops = &hostile_ops;
	strcpy(picture->target.comm, "\033[31m\n\t\x9b");
	strcpy(picture->target.exe, "/tmp/\xe2\x80\xae\033c\xff");
	strcpy(picture->mark.name, "\033[5m\xf0\x9f\x9a\x97");
	strcpy(picture->charge.cgroup, "/\033]8;;x\a/../\n");
	strcpy(picture->overhead.worst_thread_name, "\xc3(\b\b\b");
	strcpy(picture->level_reason, "because\033[H\033[J");
	strcpy(picture->holdings[HOLDING_COUNT].exporter, "\033[2J\n");
	fixture->infos[4].object = "\033[7mcache";
}

void fixture_pages(struct fixture *fixture)
{
	struct accounting *parts = &fixture->picture.accounting;

	fixture->picture.level = LEVEL_PAGES;
	parts->live_known = false;
	parts->slack_or_before_bytes += parts->heap_live_bytes;
	parts->heap_live_bytes = 0;
	fixture->picture.growth.user_bytes += fixture->picture.growth.slack_bytes;
	fixture->picture.growth.slack_bytes = 0;
}

char *fixture_dump(const struct canvas *canvas)
{
	char *text = xmalloc((size_t)canvas->rows * (canvas->columns * 4 + 1) + 8);
	size_t used = 0;

	for (unsigned row = 0; row < canvas->rows; row++) {
		size_t start = used;

		for (unsigned column = 0; column < canvas->columns; column++) {
			wchar_t character =
				canvas->cells[(size_t)row * canvas->columns + column].character;

			if (character)
				used += utf8_encode((uint32_t)character, text + used);
		}
		while (used > start && text[used - 1] == ' ')
			used--;
		text[used++] = '\n';
	}
	text[used] = '\0';
	return text;
}

void fixture_kernel_grows(struct fixture *fixture, bool cache)
{
	struct side_stats *side = &fixture->picture.sides[SIDE_KERNEL];

	for (unsigned i = 0; i < FIXTURE_SITES; i++) {
		struct site_stats *site = &fixture->sites[i];

		if (fixture->infos[i].side != SIDE_KERNEL)
			continue;
		if (cache)
			fixture->infos[i].flags |= SITE_RECLAIMABLE;
		else
			site->judgment.verdict = VERDICT_LEAKING;
		side->rate_bytes_per_s = site->rate_bytes_per_s = 30 * 1024;
		side->delta_bytes = site->delta_bytes = 60 * 30 * 1024;
	}
}
