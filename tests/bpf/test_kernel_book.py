# SPDX-License-Identifier: GPL-2.0-only
"""The kernel book against what the target keeps: pipes, sockets, files and epoll sets, held and
given back, while another process does the same on the side."""

import array
import bisect
import contextlib
import ctypes
import errno
import json
import os
import socket
import subprocess
import tempfile
import threading

from tap import Failure, check, check_equal, run, wait_for
from target import built, running

SITE_TABLE_FULL, LIVE_TABLE_FULL = 1, 0


class Symbols:
    """Names of kernel addresses."""

    def __init__(self):
        with open("/proc/kallsyms", encoding="ascii") as file:
            rows = sorted((int(row[0], 16), row[2]) for row in map(str.split, file))
        self.addresses = [row[0] for row in rows]
        self.names = [row[1] for row in rows]

    def name(self, address):
        return self.names[bisect.bisect(self.addresses, address - 1) - 1]


SYMBOLS = Symbols()


class Lines:
    """A process that answers each line with one of JSON."""

    def __init__(self, process):
        self.process = process

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        check(answer, f"no answer to {line!r}")
        return json.loads(answer)


def shrink(cache):
    """Has the kernel give the empty slabs of the cache back."""
    with open(f"/sys/kernel/slab/{cache}/shrink", "w", encoding="ascii") as file:
        file.write("1")


def shrink_all_of(objects):
    """The same for what the book calls so; kmalloc has many caches."""
    for cache in os.listdir("/sys/kernel/slab"):
        if cache in objects or "kmalloc" in objects and cache.startswith("kmalloc-"):
            shrink(cache)


class Holder(Lines):
    def do(self, line):
        ledger = self.ask(line)
        check_equal(ledger["error"], None, line)
        return ledger

    def again(self, kind, count=400):
        """Opens and closes so many on each CPU, which has its own slabs, for a book that waits
        for their addresses."""
        def open_and_close():
            for cpu in sorted(os.sched_getaffinity(0)):
                self.do(f"cpu {cpu}")
                self.do(f"{kind} {count}")
                self.do(f"close {kind}")
            self.do("cpu -1")

        return open_and_close


class Site:
    def __init__(self, row):
        self.kind = row["kind"]
        self.object = row["object"]
        self.matched = row["matched"]
        self.allocated = row["allocated_blocks"]
        self.freed = row["freed_blocks"]
        self.live = self.allocated - self.freed
        self.bytes = row["allocated_bytes"] - row["freed_bytes"]
        frames = [int(frame, 16) for frame in row["frames"]]
        self.frames = [SYMBOLS.name(frame) for frame in frames if frame >> 63]
        self.user_frames = [frame for frame in frames if not frame >> 63]
        self.boundary_kept = all(frame >> 63 for frame in frames[:len(self.frames)])
        self.truncated = row["truncated"]

    def __repr__(self):
        return f"{self.live} of {self.allocated} {self.object}: {' < '.join(self.frames)}"


class Book(Lines):
    def read(self, doubt=None):
        answer = self.ask("")
        check_equal(answer["doubt"], doubt, "doubt")
        self.losses = answer["losses"]
        return [Site(row) for row in answer["sites"]]

    def live(self, *functions):
        """Live blocks of the matched sites whose stack has all these functions, without what a
        process gets once and keeps to its end (its pidfs attributes, with its first socket; its
        table of descriptors, which only grows)."""
        return [site for site in self.read() if site.matched and site.live
                and all(name in site.frames for name in functions)
                and not {"pidfs_register_pid", "expand_files"} & set(site.frames)]

    def gone(self, again, *functions):
        """All of that was freed, some after a grace period. A free that the kernel does not tell
        is known when the address is given out again or its page goes: so `again` asks for the
        same and frees it, and empty slabs are given back. Where others churn, the kernel may
        not tell of the frees of `again` either: so not beside interference."""
        def settled():
            with contextlib.suppress(Failure):
                wait_for(lambda: not self.live(*functions), "gone", seconds=2)
                return True
            again()
            shrink_all_of({site.object for site in self.live(*functions)})
            return False

        wait_for(settled, lambda: f"still live: {self.live(*functions)}", seconds=120)


def spawn(*command, **options):
    return running(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


@contextlib.contextmanager
def watched(*sizes, **options):
    with spawn(built("tests/targets/kernel_holder")) as target:
        holder = Holder(target)
        holder.do("ledger")
        with spawn(built("tests/bpf/kernel_watch"), str(target.pid), *map(str, sizes),
                   **options) as watch:
            check_equal(watch.stdout.readline(), "ready\n", "kernel_watch")
            yield holder, Book(watch)


@contextlib.contextmanager
def interference():
    """A process of no concern that opens, closes and maps, until the block ends."""
    with spawn(built("tests/targets/kernel_holder")) as process:
        holder = Holder(process)
        stop = threading.Event()
        failed = []

        def churn():
            try:
                while not stop.is_set():
                    holder.do("churn 200")
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        check(not failed, f"the interference failed: {failed}")


def count_of(sites, function):
    """Live blocks that `function` itself asked for."""
    return sum(site.live for site in sites if site.frames[0] == function)


def keep_pipes(holder, book):
    """Keeps them, looks at the book, and gives them back."""
    holder.do("pipes 100")
    sites = book.live("create_pipe_files")
    check_equal(count_of(sites, "alloc_pipe_info"), 200, "pipes and their rings")
    check_equal(count_of(sites, "alloc_inode"), 100, "inodes")
    check_equal(count_of(sites, "alloc_empty_file"), 200, "files")
    check(all("alloc_pipe_info" in site.frames or site.object != "kmalloc"
              for site in sites), f"objects have the names of their caches: {sites}")
    objects = {site.object for site in sites}
    check({"kmalloc", "filp", "dentry"} <= objects, f"names of caches: {objects}")
    holder.do("close pipes")


def pipes_are_kept_and_given_back():
    with watched() as (holder, book):
        with interference():
            keep_pipes(holder, book)
        book.gone(holder.again("pipes"), "create_pipe_files")


def code_of(pid):
    """Executable mappings: (start, end, path)."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        rows = [line.split() for line in file]
    return [(*(int(end, 16) for end in row[0].split("-")), row[-1]) for row in rows
            if "x" in row[1]]


def stacks_go_on_in_the_users_code():
    with watched() as (holder, book):
        holder.do("pipes 20")
        code = code_of(holder.process.pid)
        own = os.path.realpath(built("tests/targets/kernel_holder"))

        def path(address):
            return next((row[2] for row in code if row[0] <= address - 1 < row[1]), "")

        sites = book.live("create_pipe_files")
        check(sites, "pipes are seen")
        for site in sites:
            paths = [path(frame) for frame in site.user_frames]
            check(site.boundary_kept, f"the kernel's frames are the inner ones: {site}")
            check(all(paths), f"user frames are code of the target: {site} {paths}")
            check("libc" in paths[0], f"pipe() of the C library: {paths}")
            check(own in map(os.path.realpath, paths[1:]), f"who called it: {paths}")
            check(not site.truncated, f"to the outermost frame: {site} {paths}")
        check_equal(len({tuple(site.user_frames) for site in sites}), 1, "one user stack")


def each_kind_is_kept_and_given_back():
    kinds = {
        "sockets": ("__sys_socketpair", "sk_prot_alloc", 2),
        "streams": ("__sys_socket", "sk_prot_alloc", 1),
        "memfds": ("__do_sys_memfd_create", "alloc_empty_file", 1),
    }
    with watched() as (holder, book):
        for kind, (call, function, each) in kinds.items():
            with interference():
                holder.do(f"{kind} 50")
                sites = book.live(call)
                check_equal(count_of(sites, function), 50 * each, f"{kind}: {sites}")
                holder.do(f"close {kind}")
            book.gone(holder.again(kind), call)


def frees_by_another_process_are_seen():
    with tempfile.TemporaryDirectory(prefix="memtop-test-") as folder:
        path = os.path.join(folder, "socket")
        with watched() as (holder, book), socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            taken = []

            def take():
                connection = listener.accept()[0]
                with connection:
                    while True:
                        data, control, _, _ = connection.recvmsg(1, 64)
                        if not data:
                            break
                        for _, _, fds in control:
                            taken.extend(array.array("i", fds))
                    connection.send(b"x")

            thread = threading.Thread(target=take)
            holder.do("pipes 20")
            thread.start()
            ledger = holder.do(f"give pipes {path}")
            thread.join()
            check_equal((ledger["pipes"], len(taken)), (0, 40), "pipes passed on")
            check_equal(count_of(book.live("create_pipe_files"), "alloc_pipe_info"), 40,
                        "pipes live with another process")
            for fd in taken:
                os.close(fd)
            book.gone(holder.again("pipes"), "create_pipe_files")


def a_child_is_not_the_target():
    with watched() as (holder, book):
        holder.do("child 50")
        # The pipe that tells of the child's readiness is the target's, and closed again.
        check_equal(sum(site.allocated for site in book.read()
                        if site.frames[:1] == ["alloc_pipe_info"]), 2, "allocated for pipes")
        book.gone(holder.again("pipes"), "create_pipe_files")
        forked = sum(site.allocated for site in book.read() if "copy_process" in site.frames)
        check(forked, "what fork allocates is the target's")
        holder.do("reap")


def others_do_not_enter():
    with watched() as (holder, book), interference():
        before = sum(site.allocated for site in book.read())
        with spawn(built("tests/targets/kernel_holder")) as other:
            Holder(other).do("churn 2000")
        check_equal(sum(site.allocated for site in book.read()), before, "allocated blocks")
        holder.do("pipes 1")
        check(sum(site.allocated for site in book.read()) > before, "the target's own do")


def a_healthy_target_holds_nothing():
    """Mappings and epoll sets come and go; frees without a tracepoint must not look like a leak."""
    with watched() as (holder, book):
        for _ in range(5):
            holder.do("churn 200")
            holder.do("epolls 50")
            holder.do("close epolls")
        unmatched = {site.object for site in book.read() if not site.matched}
        check(any(site.allocated for site in book.read() if "__do_sys_epoll_create" in site.frames
                  or "do_epoll_create" in site.frames), "epoll sets were seen")

        def again():
            holder.do("churn 200")
            holder.again("epolls")()

        for function in ("do_epoll_ctl", "do_mmap", "create_pipe_files"):
            book.gone(again, function)
        check("maple_node" in unmatched or not book.live("mas_preallocate"), f"{unmatched}")


def blocks_leave_with_their_pages():
    """The frees of these have no tracepoint, and nobody asks for so many again: their slabs become
    empty, and go back when the cache is told to shrink."""
    with watched() as (holder, book):
        def items():
            return sum(site.live for site in book.read() if site.object == "eventpoll_epi")

        holder.do("epolls 1000")
        check_equal(items(), 1000, "items of epoll sets")
        holder.do("close epolls")

        def left():
            shrink("eventpoll_epi")
            return items() < 100

        wait_for(left, lambda: f"{items()} of 1000 items did not leave with their pages")


def a_full_table_is_a_named_loss():
    with watched(16, 1024) as (holder, book):
        holder.do("pipes 200")
        sites = book.read()
        live = sum(site.live for site in sites)
        check(live <= 64, f"{live} blocks in a table of 64")
        check(book.losses[LIVE_TABLE_FULL] >= 200 * 9 - 64, f"losses: {book.losses}")
        holder.do("close pipes")
        book.gone(holder.again("pipes"), "create_pipe_files")
        holder.do("pipes 2")
        check_equal(count_of(book.live("create_pipe_files"), "alloc_pipe_info"), 4,
                    "the table recovers")


def sites_beyond_the_table_are_booked_as_unknown():
    with watched(4096, 4) as (holder, book):
        holder.do("pipes 10")
        sites = book.read()
        check_equal(sites[0].frames, [], "slot 0 is the unknown site")
        check(sites[0].allocated > 0, f"unknown: {sites}")
        check(book.losses[SITE_TABLE_FULL] > 0, f"losses: {book.losses}")
        check(sum(site.live for site in sites) >= 90, "no block is missing")


PR_CAPBSET_DROP, CAP_SYSLOG = 24, 34
PAGE = os.sysconf("SC_PAGE_SIZE")
with open("/sys/devices/system/cpu/possible", encoding="ascii") as possible:
    POSSIBLE_CPUS = int(possible.read().split("-")[-1]) + 1
FILLED_PAGES = 5  # these as in the holder
RING_BYTES = 4 * 65536
ARRAY_BYTES = 16384 * 64 + PAGE
PERCPU_ENTRIES, PERCPU_VALUE = 100, 8
RINGBUF_PAGES = 65536 // PAGE


def of_kind(sites, kind, function):
    """Live blocks and bytes of the kind with the function on their stacks."""
    chosen = [site for site in sites if site.kind == kind and function in site.frames]
    return sum(site.live for site in chosen), sum(site.bytes for site in chosen)


def wait_gone(book, kind, function):
    wait_for(lambda: of_kind(book.read(), kind, function) == (0, 0),
             lambda: f"still live: {book.live(function)}", seconds=120)


def data_in_pipes_is_pages():
    """What is drained may keep two pages a pipe, for what is written next."""
    with watched() as (holder, book):
        with interference():
            holder.do("filled 20")
            pages = 20 * FILLED_PAGES
            sites = book.read()
            check_equal(of_kind(sites, "page", "vfs_write"), (pages, pages * PAGE), "filled")
            check({site.object for site in sites if site.kind == "page" and site.live
                   and "vfs_write" in site.frames} == {"page order 0 GFP_HIGHUSER"},
                  f"named by their order and class: {sites}")
            holder.do("drain")
            left = of_kind(book.read(), "page", "vfs_write")[0]
            check(left <= 2 * 20, f"{left} pages in 20 drained pipes")
            holder.do("close filled")
        wait_gone(book, "page", "vfs_write")


def rings_of_sockets_are_pages():
    """The kernel takes vmalloc memory where it finds no pages next to each other."""
    with watched() as (holder, book):
        holder.do("rings 5")

        def of_rings():
            sites = book.read()
            return sum(of_kind(sites, kind, "packet_set_ring")[1] for kind in ("page", "vmalloc"))

        check_equal(of_rings(), 5 * RING_BYTES, "bytes of rings")
        holder.do("close rings")
        wait_for(lambda: not of_rings(), lambda: f"still live: {book.live('packet_set_ring')}",
                 seconds=120)


def vmalloc_is_counted_by_area():
    """And not by pages. An area that maps pages which are counted is no memory."""
    with watched() as (holder, book):
        holder.do("arrays 3")
        holder.do("ringbufs 3")
        sites = book.read()
        check_equal(of_kind(sites, "vmalloc", "array_map_alloc"), (3, 3 * ARRAY_BYTES), "arrays")
        check_equal(of_kind(sites, "page", "array_map_alloc"), (0, 0), "pages of areas")
        pages, page_bytes = of_kind(sites, "page", "ringbuf_map_alloc")
        check(RINGBUF_PAGES <= pages / 3 <= RINGBUF_PAGES + 4, f"{pages} pages in ring buffers")
        check_equal(page_bytes, pages * PAGE, "bytes of pages of ring buffers")
        check_equal(of_kind(sites, "vmalloc", "ringbuf_map_alloc"), (0, 0), "areas of pages")
        holder.do("close arrays")
        holder.do("close ringbufs")
        wait_gone(book, "vmalloc", "array_map_alloc")
        wait_gone(book, "page", "ringbuf_map_alloc")


def percpu_memory_is_counted_for_all_cpus():
    with watched() as (holder, book):
        holder.do("percpus 10")
        blocks, size = of_kind(book.read(), "percpu", "array_map_alloc")
        check_equal(blocks, 10 * PERCPU_ENTRIES, "pieces")
        # The kernel adds a pointer for each four bytes where it charges them to a cgroup.
        least = blocks * PERCPU_VALUE * POSSIBLE_CPUS
        check(size in (least, least + blocks * PERCPU_VALUE // 4 * 8), f"{size} bytes")
        holder.do("close percpus")
        wait_gone(book, "percpu", "array_map_alloc")


def no_page_is_in_two_kinds():
    """Pages of slabs, and of objects that are pages of their own, are slab alone."""
    with watched() as (holder, book):
        holder.do("pipes 2000")
        holder.do("wide 20")
        holder.do("memfds 500")
        sites = book.read()[1:]
        check(count_of(sites, "alloc_pipe_info") >= 4000, "pipes are slab")
        for function in ("create_pipe_files", "__do_sys_memfd_create", "pipe_resize_ring"):
            blocks, size = of_kind(sites, "slab", function)
            check(blocks >= 20 and size, f"{function} in slab: {blocks} blocks, {size} bytes")
            for kind in ("page", "vmalloc"):
                check_equal(of_kind(sites, kind, function), (0, 0), f"{function} in {kind}")


def memory_of_the_user_is_in_no_kind():
    """But for its page tables, one page for 512, and what the page cache needs to find a page."""
    size = 64 << 20
    with tempfile.NamedTemporaryFile(prefix="memtop-test-", dir="/var/tmp") as file, \
            watched() as (holder, book):
        file.write(b"x" * size)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

        def live(kind):
            return sum(site.bytes for site in book.read() if site.kind == kind)

        for order in (f"touch {size >> 20}", f"read {file.name}"):
            before = live("page")
            holder.do(order)
            grown = live("page") - before
            check(grown <= size // 256, f"{order}: {grown} bytes of pages: {book.read()}")
            check(live("vmalloc") + live("percpu") < size // 256, f"{order}: {book.read()}")
        tables = sum(site.live for site in book.read()
                     if site.kind == "page" and "handle_mm_fault" in site.frames)
        check(tables >= size // PAGE // 512, f"{tables} pages of page tables")
        holder.do("touch 0")
        wait_for(lambda: sum(site.live for site in book.read() if site.kind == "page"
                             and "handle_mm_fault" in site.frames) < tables // 4,
                 lambda: f"page tables of what is unmapped: {book.read()}")


def pinned_memory_is_the_users():
    """The kernel asks for it as for memory of its own that stays where it is. It is in RSS; the
    page tables that it needs are not."""
    size = 32 << 20
    with watched() as (holder, book):
        ledger = holder.ask(f"pin {size >> 20}")
        if ledger["error"] == os.strerror(errno.ENOSYS):
            return  # a kernel without io_uring pins nothing
        check_equal(ledger["error"], None, "pin")
        with open(f"/proc/{holder.process.pid}/statm", encoding="ascii") as statm:
            resident = int(statm.read().split()[1]) * PAGE
        check(resident >= size, f"{resident} bytes are resident")
        pages = [site for site in book.read() if site.kind == "page" and site.live]
        check(sum(site.bytes for site in pages) < size // 128, f"pages: {pages}")
        tables = sum(site.live for site in pages if "__get_user_pages" in site.frames)
        check(tables >= size // PAGE // 512 - 1, f"page tables: {pages}")


def what_is_not_told_is_said():
    """Without kernel addresses pages cannot be told apart: slab and per-CPU memory are left."""
    def hide():
        check(ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYSLOG, 0, 0, 0) == 0, "prctl")

    first = subprocess.run(["head", "-n1", "/proc/kallsyms"], stdout=subprocess.PIPE, check=True,
                           preexec_fn=hide).stdout
    hidden = not int(first.split()[0], 16)
    doubt = ("no page, vmalloc memory: the kernel does not tell where the code of vmalloc is"
             if hidden else None)
    with watched(preexec_fn=hide) as (holder, book):
        holder.do("filled 10")
        holder.do("percpus 1")
        sites = book.read(doubt)
        kinds = {kind: sum(site.live for site in sites if site.kind == kind)
                 for kind in ("slab", "page", "percpu")}
        check(kinds["slab"] >= 20, f"pipes are slab: {kinds}")
        check(kinds["percpu"] >= PERCPU_ENTRIES, f"a map is per-CPU memory: {kinds}")
        check(bool(kinds["page"]) != hidden, f"pages: {kinds}")


run([
    pipes_are_kept_and_given_back,
    stacks_go_on_in_the_users_code,
    each_kind_is_kept_and_given_back,
    frees_by_another_process_are_seen,
    a_child_is_not_the_target,
    others_do_not_enter,
    a_healthy_target_holds_nothing,
    blocks_leave_with_their_pages,
    a_full_table_is_a_named_loss,
    sites_beyond_the_table_are_booked_as_unknown,
    data_in_pipes_is_pages,
    rings_of_sockets_are_pages,
    vmalloc_is_counted_by_area,
    percpu_memory_is_counted_for_all_cpus,
    no_page_is_in_two_kinds,
    memory_of_the_user_is_in_no_kind,
    pinned_memory_is_the_users,
    what_is_not_told_is_said,
])
