noinst_LIBRARIES += libcapture.a
libcapture_a_SOURCES = \
	src/capture/calibrate.c src/capture/calibrate.h \
	src/capture/cohorts.c src/capture/cohorts.h \
	src/capture/heap.c src/capture/heap.h \
	src/capture/ledger.c src/capture/ledger.h \
	src/capture/probes.c src/capture/probes.h
