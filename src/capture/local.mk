noinst_LIBRARIES += libcapture.a
libcapture_a_SOURCES = \
	src/capture/calibrate.c src/capture/calibrate.h \
	src/capture/cohorts.c src/capture/cohorts.h \
	src/capture/heap.c src/capture/heap.h \
	src/capture/ledger.c src/capture/ledger.h \
	src/capture/probes.c src/capture/probes.h
libcapture_a_SOURCES += \
	src/capture/bpf_log.c src/capture/bpf_log.h \
	src/capture/kernel.c src/capture/kernel.h \
	src/capture/kernel_book.c src/capture/kernel_book.h \
	src/capture/kernel_exercise.c src/capture/kernel_exercise.h \
	src/capture/kernel_facts.c src/capture/kernel_facts.h \
	src/capture/kernel_matching.c src/capture/kernel_matching.h
