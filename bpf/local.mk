# BPF programs: clang -> object -> bpftool skeleton. bpf/<name>.skel.h is what capture includes.
BPF_CFLAGS = -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -Wall -Wextra -Wno-unused-parameter \
	-I$(top_srcdir)/include -I$(top_srcdir)/bpf -isystem /usr/include/$(shell $(CC) -dumpmachine)
bpf_objects = bpf/heap.bpf.o bpf/heap_nobtf.bpf.o bpf/kernel.bpf.o bpf/maps.bpf.o bpf/pages.bpf.o
bpf_includes = $(top_srcdir)/bpf/*.h $(top_srcdir)/include/memtop/*.h
bpf_skeletons = $(bpf_objects:.bpf.o=.skel.h)

bpf/.dirstamp:
	$(AM_V_at)$(MKDIR_P) bpf && : > $@

$(bpf_objects): %.bpf.o: $(top_srcdir)/%.bpf.c $(bpf_includes) | bpf/.dirstamp
	$(AM_V_GEN)$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(bpf_skeletons): %.skel.h: %.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton $< name $(notdir $*)_bpf > $@.tmp && mv $@.tmp $@

bpf/heap_nobtf.bpf.o: $(top_srcdir)/bpf/heap.bpf.c

BUILT_SOURCES += $(bpf_skeletons)
CLEANFILES += $(bpf_objects) $(bpf_skeletons) bpf/.dirstamp

EXTRA_DIST += bpf/heap.bpf.c bpf/heap_nobtf.bpf.c bpf/ledger.bpf.h bpf/overflow.bpf.h bpf/registers.bpf.h bpf/signal.bpf.h bpf/types.bpf.h bpf/unwind.bpf.h
EXTRA_DIST += bpf/kernel.bpf.c bpf/kernel_types.h
EXTRA_DIST += bpf/maps.bpf.c bpf/own_memory.bpf.h bpf/pages.bpf.c
EXTRA_DIST += bpf/stack_cache.bpf.h bpf/unwind_arm64.bpf.h bpf/unwind_x86.bpf.h
EXTRA_DIST += bpf/bulk.bpf.h
EXTRA_DIST += bpf/fault_sequence.bpf.h
EXTRA_DIST += bpf/kernel_kinds.bpf.h
