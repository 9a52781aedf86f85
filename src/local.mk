memtop_SOURCES += src/main.c
