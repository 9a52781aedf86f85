noinst_LIBRARIES += libui.a
libui_a_SOURCES =
libui_a_SOURCES += ui/canvas.c ui/canvas.h
libui_a_SOURCES += ui/ui.c ui/screen.h ui/term.h
