# The leaking service that memtop's tests and demonstration watch: an executable and two shared
# libraries, as such services are built (-O2, no frame pointers), and all of it a second time with
# frame pointers. `make perception` builds them alone.
if HAVE_JPEG
perception_normal = tests/targets/perception_service tests/targets/libdecode.so \
	tests/targets/libpipeline.so
perception_fp = tests/targets/perception_service_fp tests/targets/libdecode_fp.so \
	tests/targets/libpipeline_fp.so
check_PROGRAMS += $(perception_normal) $(perception_fp)

perception_service_sources = tests/targets/perception_service.c tests/targets/camera.c \
	tests/targets/options.c tests/targets/service.h tests/targets/perception.h \
	tests/targets/ledger.h
libdecode_sources = tests/targets/decode.c tests/targets/frames.c tests/targets/ledger.c \
	tests/targets/ledger_calls.c tests/targets/perception.h tests/targets/ledger.h
libpipeline_sources = tests/targets/pipeline.c tests/targets/extract.c tests/targets/cache.c \
	tests/targets/infer.c tests/targets/fusion.c tests/targets/perception.h \
	tests/targets/ledger.h

# A sanitizer would replace the very allocator that is watched.
perception_cflags = $(AM_CFLAGS) -fno-sanitize=all -pthread -g -O2 -fomit-frame-pointer
perception_fp_cflags = $(AM_CFLAGS) -fno-sanitize=all -pthread -g -O2 -fno-omit-frame-pointer
perception_ldflags = -fno-sanitize=all -pthread -Wl,-rpath,'$$ORIGIN'

tests_targets_libdecode_so_SOURCES = $(libdecode_sources)
tests_targets_libdecode_so_CFLAGS = $(perception_cflags) -fPIC
tests_targets_libdecode_so_LDFLAGS = $(perception_ldflags) -shared -Wl,-soname,libdecode.so
tests_targets_libdecode_so_LDADD = -ljpeg

tests_targets_libpipeline_so_SOURCES = $(libpipeline_sources)
tests_targets_libpipeline_so_CFLAGS = $(perception_cflags) -fPIC
tests_targets_libpipeline_so_LDFLAGS = $(perception_ldflags) -shared -Wl,-soname,libpipeline.so
tests_targets_libpipeline_so_LDADD = tests/targets/libdecode.so

tests_targets_perception_service_SOURCES = $(perception_service_sources)
tests_targets_perception_service_CFLAGS = $(perception_cflags) -fPIE
tests_targets_perception_service_LDFLAGS = $(perception_ldflags) -pie
tests_targets_perception_service_LDADD = tests/targets/libpipeline.so tests/targets/libdecode.so

tests_targets_libdecode_fp_so_SOURCES = $(libdecode_sources)
tests_targets_libdecode_fp_so_CFLAGS = $(perception_fp_cflags) -fPIC
tests_targets_libdecode_fp_so_LDFLAGS = $(perception_ldflags) -shared -Wl,-soname,libdecode_fp.so
tests_targets_libdecode_fp_so_LDADD = -ljpeg

tests_targets_libpipeline_fp_so_SOURCES = $(libpipeline_sources)
tests_targets_libpipeline_fp_so_CFLAGS = $(perception_fp_cflags) -fPIC
tests_targets_libpipeline_fp_so_LDFLAGS = $(perception_ldflags) -shared \
	-Wl,-soname,libpipeline_fp.so
tests_targets_libpipeline_fp_so_LDADD = tests/targets/libdecode_fp.so

tests_targets_perception_service_fp_SOURCES = $(perception_service_sources)
tests_targets_perception_service_fp_CFLAGS = $(perception_fp_cflags) -fPIE
tests_targets_perception_service_fp_LDFLAGS = $(perception_ldflags) -pie
tests_targets_perception_service_fp_LDADD = tests/targets/libpipeline_fp.so \
	tests/targets/libdecode_fp.so

# Preloaded by the test: counts by itself what the ledger claims.
check_PROGRAMS += tests/targets/witness.so
tests_targets_witness_so_SOURCES = tests/targets/witness.c
tests_targets_witness_so_CFLAGS = $(perception_cflags) -fPIC -fno-builtin
tests_targets_witness_so_LDFLAGS = -fno-sanitize=all -pthread -shared
TESTS += tests/targets/test_perception.py

perception: $(perception_normal) $(perception_fp)
else
perception:
	@echo 'perception: jpeglib.h not found: apt-get install libjpeg-dev (or run ./bootstrap build)' >&2
	@exit 1
endif
EXTRA_DIST += tests/targets/test_perception.py
.PHONY: perception

# A program that loads and unloads libraries; two of them are alike but for a name.
check_PROGRAMS += tests/targets/plugin_host tests/targets/libplugin_alpha.so \
	tests/targets/libplugin_omega.so tests/targets/libplugin_own.so
plugin_cflags = $(AM_CFLAGS) -fno-sanitize=all -g -O2 -fomit-frame-pointer
tests_targets_plugin_host_SOURCES = tests/targets/plugin_host.c
tests_targets_plugin_host_CFLAGS = $(plugin_cflags)
tests_targets_plugin_host_LDFLAGS = -fno-sanitize=all
tests_targets_libplugin_alpha_so_SOURCES = tests/targets/plugin.c
tests_targets_libplugin_alpha_so_CFLAGS = $(plugin_cflags) -fPIC -DKEEP=alpha_keep
tests_targets_libplugin_alpha_so_LDFLAGS = -fno-sanitize=all -shared
tests_targets_libplugin_omega_so_SOURCES = tests/targets/plugin.c
tests_targets_libplugin_omega_so_CFLAGS = $(plugin_cflags) -fPIC -DKEEP=omega_keep
tests_targets_libplugin_omega_so_LDFLAGS = -fno-sanitize=all -shared
tests_targets_libplugin_own_so_SOURCES = tests/targets/plugin_own.c
tests_targets_libplugin_own_so_CFLAGS = $(plugin_cflags) -fPIC
tests_targets_libplugin_own_so_LDFLAGS = -fno-sanitize=all -shared

check_PROGRAMS += tests/targets/jit
tests_targets_jit_SOURCES = tests/targets/jit.c
tests_targets_jit_CFLAGS = $(plugin_cflags)
tests_targets_jit_LDFLAGS = -fno-sanitize=all
