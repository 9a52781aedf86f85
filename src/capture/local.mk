noinst_LIBRARIES += libcapture.a
libcapture_a_SOURCES = \
	src/capture/allocators.c src/capture/allocators.h \
	src/capture/cgroup.c src/capture/cgroup.h \
	src/capture/elfimage.c src/capture/elfimage.h \
	src/capture/elfsyms.c src/capture/elfsyms.h \
	src/capture/lifetime.c src/capture/lifetime.h \
	src/capture/linkmap.c src/capture/linkmap.h \
	src/capture/memory.c src/capture/memory.h \
	src/capture/probe_site.c src/capture/probe_site.h \
	src/capture/probe_site_aarch64.c src/capture/probe_site_x86_64.c \
	src/capture/procfs.c src/capture/procfs.h \
	src/capture/procmaps.c src/capture/procmaps.h \
	src/capture/smaps.c src/capture/smaps.h \
	src/capture/target.c src/capture/target.h
