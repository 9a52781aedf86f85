noinst_LIBRARIES += libui.a
libui_a_SOURCES = \
	ui/actions.c \
	ui/beside.c ui/beside.h \
	ui/canvas.c ui/canvas.h \
	ui/columns.c ui/columns.h \
	ui/draw.c ui/draw.h \
	ui/graph.c \
	ui/header.c \
	ui/keys.c ui/keys.h \
	ui/layout.c ui/layout.h \
	ui/overlay.c ui/overlay.h \
	ui/screen.c ui/screen.h ui/screen_state.h \
	ui/split.c \
	ui/stack.c ui/stack.h \
	ui/table.c ui/table.h \
	ui/term.c ui/term.h \
	ui/theme.c ui/theme.h
