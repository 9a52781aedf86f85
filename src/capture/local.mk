noinst_LIBRARIES += libcapture.a
libcapture_a_SOURCES = \
	src/capture/cgroup.c src/capture/cgroup.h \
	src/capture/elfimage.c src/capture/elfimage.h \
	src/capture/procfs.c src/capture/procfs.h \
	src/capture/procmaps.c src/capture/procmaps.h \
	src/capture/target.c src/capture/target.h
