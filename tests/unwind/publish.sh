# As many of the machine's largest libraries as it takes.
exec "$top_builddir/tests/unwind/publish" "/usr/lib/$(uname -m)-linux-gnu"
