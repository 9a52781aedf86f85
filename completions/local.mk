# Made of the option table; committed, so that a build needs no second pass. A test compares.
bashcompletiondir = $(bashcompdir)
dist_bashcompletion_DATA = completions/memtop
completions/update: memtop
	./memtop --print-completion > $(srcdir)/completions/memtop
.PHONY: completions/update
