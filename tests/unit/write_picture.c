/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Writes one made-up picture as json, text or leaks: `write_picture json [TOP [FILTER]]`. Its names
 * hold what a target may put there: bytes that are not UTF-8, control characters.
 */
#include "export/export.h"
#include "export/leaks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint64_t leak_stack[] = {0x401096, 0x4020c8};
static const uint64_t cache_stack[] = {0x500010};
static const uint64_t kernel_stack[] = {0xffffffff81000010};

static const struct site_info infos[] = {
	{.id = 3,
	 .key = 0xab,
	 .side = SIDE_USER,
	 .kind = ABI_KIND_MALLOC,
	 .nframes = 2,
	 .addresses = leak_stack,
	 .flags = SITE_TRUNCATED},
	{.id = 5,
	 .key = UINT64_MAX,
	 .side = SIDE_USER,
	 .kind = ABI_KIND_REALLOC,
	 .nframes = 1,
	 .addresses = cache_stack},
	{.id = 9,
	 .key = 1,
	 .side = SIDE_KERNEL,
	 .kind = ABI_KIND_SLAB,
	 .nframes = 1,
	 .addresses = kernel_stack,
	 .object = "eventpoll_epi",
	 .flags = SITE_UNMATCHED},
};

static const struct site_stats stats[] = {
	{.info = &infos[1],
	 .totals = {5000, 50, 1000, 10},
	 .delta_bytes = 40,
	 .delta_blocks = 1,
	 .rate_bytes_per_s = 1.5,
	 .oldest_s = NAN,
	 .kept_ratio = NAN,
	 .judgment = {.verdict = VERDICT_WARMING_UP}},
	{.info = &infos[0],
	 .totals = {900000, 90, 700000, 70},
	 .delta_bytes = 150000,
	 .delta_blocks = 15,
	 .rate_bytes_per_s = 5.25e6,
	 .oldest_s = 84,
	 .kept_ratio = 1.0 / 7,
	 .judgment = {.verdict = VERDICT_LEAKING, .confidence = 0.9, .one_in = 7}},
	{.info = &infos[2],
	 .totals = {640, 10, 0, 0},
	 .rate_bytes_per_s = NAN,
	 .oldest_s = NAN,
	 .kept_ratio = NAN},
};

static size_t resolve(struct resolver *resolver, const struct modules *modules,
		      const struct site_info *site, unsigned index, struct frame *ret, size_t cap)
{
	struct frame outer = {.symbol = "camera_loop",
			      .offset = 0xc8,
			      .module = "/opt/a/libp.so",
			      .build_id = "51e07b",
			      .module_offset = 0x20c8,
			      .file = "camera.c",
			      .line = 61,
			      .address = site->addresses[index]};
	struct frame inner = outer;

	(void)resolver, (void)modules, (void)cap;
	if (site == &infos[1] || site == &infos[2])
		outer = (struct frame){.module = "",
				       .build_id = "",
				       .pending = site == &infos[1],
				       .address = outer.address};
	ret[0] = outer;
	if (site != &infos[0] || index)
		return 1;
	inner.symbol = "jpeg_\xff\x1b[31mdecode\n";
	inner.inlined = true;
	ret[0] = inner;
	ret[1] = outer;
	ret[1].symbol = "operator new";
	ret[1].wrapper = true;
	return 2;
}

static const struct resolver_ops ops = {.resolve = resolve};

static struct picture make_picture(void)
{
	struct picture picture = {
		.tick = 3,
		.time_unix_ns = 1700000000123456789,
		.elapsed_s = 3.5,
		.generation = 1,
		.target = {.pid = 4711,
			   .comm = "evil\xfe\n",
			   .exe = "/opt/\xe4\xb8\xad",
			   .exit_code = -1,
			   .threads = 7},
		.level = LEVEL_HEAP,
		.memory = {.rss_bytes = 1 << 20, .anon_bytes = 1 << 19, .file_bytes = 1 << 19},
		.charge = {.source = LIMIT_CGROUP,
			   .limit_bytes = 2u << 30,
			   .headroom_bytes = 1ull << 60},
		.overhead = {.events_per_s = 2.5,
			     .ns_per_event = NAN,
			     .target_percent = NAN,
			     .worst_thread_percent = 3,
			     .self_cpu_percent = INFINITY,
			     .kernel_core_percent = 0.25},
		.rss_rate_bytes_per_s = -4,
		.forecast = {NAN, NAN, NAN},
		.names_percent = NAN,
		.unwind = {.tables_ready = 5,
			   .tables_pending = 1,
			   .tables_refused = 2,
			   .bytes = 123456},
		.truncated_percent = 12.5,
		.judgment = {.verdict = VERDICT_LEAKING, .confidence = 0.75, .one_in = 7},
		.top_site = 3,
		.site_count = COUNT(stats),
		.sites = stats,
		.losses_total = 2,
		.sides = {[SIDE_USER] = {.known = true,
					 .totals = {905000, 140, 701000, 80},
					 .before_attach_frees = 6}},
	};

	picture.losses[ABI_LOSS_FREE_MISSED] = 2;
	picture.holding_count = HOLDING_COUNT + 1;
	picture.kernel_kinds[1] = (struct side_stats){.known = true, .totals = {12288, 3, 4096, 1}};
	picture.kernel_kind_why[3] = "because";
	picture.holdings[HOLDING_MEMFDS] = (struct holding_stats){
		.known = true,
		.lives_known = true,
		.value = 300,
		.totals = {290, 290, 2, 2},
		.delta = 288,
		.rate_per_s = 2.5,
		.kept_ratio = 1,
		.judgment = {.verdict = VERDICT_LEAKING, .rate_bytes_per_s = 2.5}};
	picture.holdings[HOLDING_SOCKET_BYTES] =
		(struct holding_stats){.why = "elsewhere", .rate_per_s = NAN, .kept_ratio = NAN};
	snprintf(picture.holdings[HOLDING_COUNT].exporter,
		 sizeof(picture.holdings[HOLDING_COUNT].exporter), "evil\xff\033[2J");
	picture.holdings[HOLDING_COUNT].known = true;
	picture.holdings[HOLDING_COUNT].value = 1 << 20;
	picture.leaking_holding = HOLDING_MEMFDS + 1;
	return picture;
}

static int write_leaks(const struct picture *picture, struct resolver *resolver, int top, bool json)
{
	struct leaks leaks;
	struct leak_report report = {.leaks = &leaks, .top = (size_t)top};
	int err;

	leaks_init(&leaks, picture, resolver, NULL, NULL, 0);
	err = json ? export_leaks_json(stdout, &report) : export_leaks(stdout, &report);
	leaks_deinit(&leaks);
	return err;
}

int main(int argc, char **argv)
{
	struct resolver resolver = {.ops = &ops};
	struct picture picture = make_picture();
	struct export_choice choice = {.sides = 7, .sort = SORT_LIVE};
	struct selection selection;
	regex_t regex;
	int err;

	if (argc > 2)
		choice.top = (size_t)atoi(argv[2]);
	if (argc > 3 && !regcomp(&regex, argv[3], REG_EXTENDED | REG_NOSUB))
		choice.filter = &regex;
	selection_init(&selection, &picture, &resolver, &choice, 0);
	if (argc > 1 && !strcmp(argv[1], "text"))
		err = export_text(stdout, &selection, 80);
	else if (argc > 1 && !strncmp(argv[1], "leaks", 5))
		err = write_leaks(&picture, &resolver, argc > 2 ? atoi(argv[2]) : 0,
				  !strcmp(argv[1], "leaks-json"));
	else
		err = export_json(stdout, &selection);
	selection_deinit(&selection);
	if (choice.filter)
		regfree(&regex);
	return err ? 1 : 0;
}
