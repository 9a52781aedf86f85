noinst_HEADERS += include/memtop/maps_abi.h include/memtop/pages_abi.h
noinst_LIBRARIES += libcapture.a
libcapture_a_SOURCES = \
	src/capture/allocators.c src/capture/allocators.h \
	src/capture/allocator_functions.c src/capture/allocator_objects.c \
	src/capture/allocator_search.h \
	src/capture/allocator_table.c src/capture/allocator_table.h \
	src/capture/bpf_log.c src/capture/bpf_log.h \
	src/capture/calibrate.c src/capture/calibrate.h \
	src/capture/cgroup.c src/capture/cgroup.h \
	src/capture/clock.h src/capture/pace.h src/capture/program_info.h \
	src/capture/code_flow.c src/capture/code_flow.h \
	src/capture/code_flow_aarch64.c \
	src/capture/code_flow_x86_64.c \
	src/capture/cohorts.c src/capture/cohorts.h \
	src/capture/cost.c src/capture/cost.h \
	src/capture/elfcode.c src/capture/elfcode.h \
	src/capture/elfimage.c src/capture/elfimage.h \
	src/capture/elfsyms.c src/capture/elfsyms.h \
	src/capture/heap.c src/capture/heap.h \
	src/capture/heap_level.c src/capture/heap_level.h \
	src/capture/held.c src/capture/held.h \
	src/capture/kernel.c src/capture/kernel.h \
	src/capture/kernel_book.c src/capture/kernel_book.h \
	src/capture/kernel_cost.c src/capture/kernel_cost.h \
	src/capture/kernel_exercise.c src/capture/kernel_exercise.h \
	src/capture/kernel_facts.c src/capture/kernel_facts.h \
	src/capture/kernel_texts.c src/capture/kernel_texts.h \
	src/capture/kernel_matching.c src/capture/kernel_matching.h \
	src/capture/kernel_modules.c src/capture/kernel_modules.h \
	src/capture/late_search.c src/capture/late_search.h \
	src/capture/launch.c src/capture/launch.h \
	src/capture/ledger.c src/capture/ledger.h \
	src/capture/fds.c src/capture/fds.h \
	src/capture/forks.c src/capture/forks.h src/capture/lifetime.c src/capture/lifetime.h \
	src/capture/linkmap.c src/capture/linkmap.h \
	src/capture/live.c src/capture/live.h \
	src/capture/lives.c src/capture/lives.h \
	src/capture/loader_probe.c src/capture/loader_probe.h \
	src/capture/live.c src/capture/live_kernel.c src/capture/live_level.c src/capture/live_watch.c src/capture/live_state.h src/capture/live.h \
	src/capture/lost_calls.c src/capture/lost_calls.h \
	src/capture/maps_book.c src/capture/maps_book.h \
	src/capture/maps_side.c src/capture/maps_side.h \
	src/capture/memory.c src/capture/memory.h \
	src/capture/pages.c src/capture/pages.h \
	src/capture/pages_level.c src/capture/pages_level.h \
	src/capture/pages_table.c src/capture/pages_table.h \
	src/capture/probe_exits.c src/capture/probe_exits.h \
	src/capture/probe_site.c src/capture/probe_site.h \
	src/capture/probe_site_aarch64.c \
	src/capture/probe_site_x86_64.c \
	src/capture/probes.c src/capture/probes.h \
	src/capture/procfs.c src/capture/procfs.h \
	src/capture/procmaps.c src/capture/procmaps.h \
	src/capture/residency.c src/capture/residency.h \
	src/capture/site_report.c src/capture/site_report.h \
	src/capture/sites.c src/capture/sites.h \
	src/capture/smaps.c src/capture/smaps.h \
	src/capture/sockets.c src/capture/sockets.h \
	src/capture/target.c src/capture/target.h
