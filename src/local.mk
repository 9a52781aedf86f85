app_sources = src/app.c src/app.h src/check.c src/check.h src/command.c src/command.h src/exits.h src/options.c src/options.h src/options_file.c src/options_file.h src/options_table.h src/options_text.c \
	src/output.c src/output.h src/signals.c src/signals.h
memtop_SOURCES += src/main.c $(app_sources)
