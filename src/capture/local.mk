noinst_LIBRARIES += libcapture.a
libcapture_a_SOURCES =
libcapture_a_SOURCES += src/capture/capture.c
