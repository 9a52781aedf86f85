noinst_LIBRARIES += librecord.a
librecord_a_SOURCES =
librecord_a_SOURCES += src/record/record.c
