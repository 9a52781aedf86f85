# the capture room
if HAVE_CMOCKA
UNIT_CAPTURE_LIBS = libcapture.a libcore.a libutil.a $(LIBBPF_LIBS) $(LIBELF_LIBS) $(CAPSTONE_LIBS) \
	$(CMOCKA_LIBS) -lpthread -lm
UNIT_CAPTURE_TESTS = \
	tests/unit/test_allocators tests/unit/test_cgroup tests/unit/test_code_flow \
	tests/unit/test_fds tests/unit/test_holdings \
	tests/unit/test_forks tests/unit/test_heap_level tests/unit/test_kernel_modules \
	tests/unit/test_lifetime tests/unit/test_maps_book tests/unit/test_memory \
	tests/unit/test_pace tests/unit/test_pages_table tests/unit/test_probe_site tests/unit/test_procfs \
	tests/unit/test_pages_table tests/unit/test_probe_site tests/unit/test_probes \
	tests/unit/test_procfs \
	tests/unit/test_procmaps tests/unit/test_residency tests/unit/test_target
check_PROGRAMS += $(UNIT_CAPTURE_TESTS)
TESTS += $(UNIT_CAPTURE_TESTS)
tests_unit_test_pace_SOURCES = tests/unit/test_pace.c
tests_unit_test_pace_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_pace_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_kernel_modules_SOURCES = tests/unit/test_kernel_modules.c
tests_unit_test_kernel_modules_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_kernel_modules_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_cgroup_SOURCES = tests/unit/test_cgroup.c
tests_unit_test_cgroup_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_cgroup_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_heap_level_SOURCES = tests/unit/test_heap_level.c
tests_unit_test_heap_level_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_heap_level_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_fds_SOURCES = tests/unit/test_fds.c
tests_unit_test_fds_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_fds_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_holdings_SOURCES = tests/unit/test_holdings.c
tests_unit_test_holdings_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_holdings_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_forks_SOURCES = tests/unit/test_forks.c
tests_unit_test_forks_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_forks_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_procfs_SOURCES = tests/unit/test_procfs.c
tests_unit_test_procfs_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_procfs_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_procmaps_SOURCES = tests/unit/test_procmaps.c
tests_unit_test_procmaps_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_procmaps_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_target_SOURCES = tests/unit/test_target.c
tests_unit_test_target_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_target_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_code_flow_SOURCES = tests/unit/test_code_flow.c
tests_unit_test_code_flow_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_code_flow_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_allocators_SOURCES = tests/unit/test_allocators.c
tests_unit_test_allocators_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_allocators_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_probes_SOURCES = tests/unit/test_probes.c
tests_unit_test_probes_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_probes_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_probe_site_SOURCES = tests/unit/test_probe_site.c
tests_unit_test_probe_site_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_probe_site_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_lifetime_SOURCES = tests/unit/test_lifetime.c
tests_unit_test_lifetime_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_lifetime_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_maps_book_SOURCES = tests/unit/test_maps_book.c
tests_unit_test_maps_book_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_maps_book_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_pages_table_SOURCES = tests/unit/test_pages_table.c
tests_unit_test_pages_table_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_pages_table_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_residency_SOURCES = tests/unit/test_residency.c
tests_unit_test_residency_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_residency_LDADD = $(UNIT_CAPTURE_LIBS)
tests_unit_test_memory_SOURCES = tests/unit/test_memory.c
tests_unit_test_memory_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_memory_LDADD = $(UNIT_CAPTURE_LIBS)
endif
