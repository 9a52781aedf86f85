# A sample of the machine's libraries and programs, bounded in time; all of them: make check-cfi.
exec "$top_builddir/tests/unwind/check_cfi" -t 15 -s 23 /usr/lib /usr/bin
