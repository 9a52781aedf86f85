noinst_LIBRARIES += libui.a
libui_a_SOURCES =
libui_a_SOURCES += ui/ui.c
