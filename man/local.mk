dist_man_MANS += man/memtop.1
