# SPDX-License-Identifier: GPL-2.0-only
"""
Names, inlined calls and lines against addr2line, frame by frame.

Equal is equal to the letter: what `addr2line -i -f` says, with names demangled by the same
binutils (without parameter lists, as memtop writes them). What differs counts only if it is one
of KINDS, each of which is proven on the spot by what the file itself or another reader says:

  outside  addr2line gives the nearest name to an address in no function: by the sizes in the
           symbol table it is in none; llvm-addr2line has no name either, or one of them gives
           that of a label without a size
  start    no function covers the byte before, but one starts at the return address itself: what
           was entered otherwise than by a call, as a signal's trampoline is
  alias    both names are in the symbol table for the very function that covers the address; memtop
           never says an inner one ("__libc_malloc") where there is a public one
  clone    addr2line appends what the compiler added to the source's name (".lto_priv.0")
  place    addr2line's file or inlined calls differ, and llvm-addr2line agrees with memtop in every
           frame's file and line (binutils 2.40 misreads the numbers of files in DWARF 5)
  name     a name that addr2line does not give, or an inlined call that it says to be its caller:
           llvm-addr2line gives memtop's
  shared   the same, where llvm-addr2line cannot read the file that dwz put the name into: it is
           one of that file's strings, or the end of one
"""

import collections
import os
import re

from symbolizer import Symbolizer, bias_of, command
from tap import check, check_equal

MOST_FRAMES = 16  # RESOLVER_MAX_INLINED
KINDS = ("outside", "start", "alias", "clone", "place", "name", "shared")
PAGE = 4096
VERSION = re.compile(r"@.*")


def instructions(path, section=".text"):
    """Addresses after each instruction: what a return address may be."""
    addresses = [int(match.group(1), 16) for match in re.finditer(
        r"^\s*([0-9a-f]+):\t", command("objdump", "-d", "-j", section, path), re.M)]
    return addresses[1:]


def short(names):
    """Demangled without parameters, by binutils."""
    return command("c++filt", "-p", text="\n".join(names) + "\n").splitlines()


def place_of(name, file, line):
    """A file without a line is only a guess from the symbol table."""
    return (name, os.path.normpath(file), line) if line else (name, None, 0)


def cut(frames):
    """As memtop leaves the middle out."""
    return frames if len(frames) <= MOST_FRAMES else frames[:MOST_FRAMES - 1] + frames[-1:]


def parse(text):
    """Per address its frames, with names as they stand in the file."""
    answers, lines = [], iter(text.splitlines())
    for line in lines:
        if re.fullmatch("0x[0-9a-f]+", line):
            answers.append([])
            continue
        file, _, number = next(lines).split(" (")[0].rpartition(":")
        answers[-1].append(place_of(None if line == "??" else line, file,
                                    int(number) if number.isdigit() else 0))
    return answers


def ask(program, path, addresses):
    """What a reader says of the byte before each address; demangled."""
    answers = parse(command(program, "-f", "-i", "-a", "-e", path,
                            text="".join(f"{address - 1:#x}\n" for address in addresses)))
    check_equal(len(answers), len(addresses), f"answers of {program}")
    names = sorted({name for frames in answers for name, _, _ in frames if name})
    plain = dict(zip(names, short(names)))
    return [cut([(plain.get(name), file, line) for name, file, line in frames])
            for frames in answers]


class Symbols:
    """The functions of symbol tables: what covers an address, by which names."""

    def __init__(self, *paths):
        found = collections.defaultdict(set)
        for path in paths:
            for words in map(str.split, command("readelf", "-sW", path).splitlines()):
                if len(words) > 7 and words[3] in ("FUNC", "IFUNC", "NOTYPE") and \
                        words[6] not in ("UND", "ABS"):
                    found[int(words[1], 16), int(words[2], 0)].add(VERSION.sub("", words[7]))
        names = sorted({name for group in found.values() for name in group})
        plain = dict(zip(names, short(names)))
        self.functions = sorted((start, start + size, {plain[name] for name in group})
                                for (start, size), group in found.items())
        self.pages = collections.defaultdict(list)
        for function in self.functions:
            for page in range(function[0] // PAGE, function[1] // PAGE + 1):
                self.pages[page].append(function)
        self.labels = set().union(*(names for start, end, names in self.functions
                                    if start == end))

    def covering(self, address):
        """(start, names) of those that cover an address."""
        return [(start, names) for start, end, names in self.functions
                if start <= address < end]


    def starting(self, address):
        """Names of those that start at an address."""
        return set().union(*(names for start, _, names in self.pages[address // PAGE]
                             if start == address))


def shared_names(path):
    """The strings in the file that dwz made of what several debug files share."""
    link = re.search(r"(\S+/\.dwz/\S+\.debug)",
                     command("readelf", "-p", ".gnu_debugaltlink", path))
    if not link:
        return set()
    text = command("readelf", "-z", "-p", ".debug_str",
                   os.path.join(os.path.dirname(path), link.group(1)))
    names = re.findall(r"^ +\[ *[0-9a-f]+\]  (.+)$", text, re.M)
    return set(short(names))


def places(frames):
    return [frame[1:] for frame in frames]


def without_clone(name):
    return name.split(" [clone")[0].split(".")[0]


class Oracle:
    """What others say of addresses in one file. `elf` has its symbols and DWARF."""

    def __init__(self, path, elf, addresses):
        self.symbols = Symbols(*{path, elf})
        self.shared = shared_names(elf)
        self.addresses = addresses
        self.told = ask("addr2line", elf, addresses)
        self.witness = ask("llvm-addr2line", elf, addresses)

    def physical(self, index, name):
        """Why memtop's name of the function itself may be another; None = it may not."""
        address = self.addresses[index]
        told, witness = self.told[index][-1][0], self.witness[index][-1][0]
        covering = self.symbols.covering(address - 1)
        if not covering:
            if name is None:
                labelled = {told, witness} & self.symbols.labels
                return "outside" if witness is None or labelled else None
            return "start" if name in self.symbols.starting(address) else None
        if told is None:
            return "name" if witness == name else None
        if without_clone(told) == name:
            return "clone"
        for _, names in covering:
            bare = names | {without_clone(other) for other in names}
            known = told in names or any(other.endswith("::" + told) for other in names)
            public = any(not other.startswith("_") for other in names)
            if known and name in bare and not (public and name.startswith("_")):
                return "alias"
        return None

    def inlined(self, index, at, name):
        witness = self.witness[index]
        if witness[at][0] == name:
            return "name"
        known = name in self.shared or any(text.endswith(name) for text in self.shared)
        return "shared" if witness[at][0] is None and known else None

    def verdict(self, index, found):
        """"equal", the kinds of difference, or None where it cannot be explained."""
        told, witness, kinds = self.told[index], self.witness[index], set()
        if found == told:
            return "equal"
        if places(found) != places(told):
            if places(found) != places(witness):
                return None
            kinds.add("place")
        for at, (name, _, _) in enumerate(found[:-1]):
            if len(told) == len(found) and told[at][0] == name:
                continue
            kinds.add(len(witness) == len(found) and self.inlined(index, at, name))
        if found[-1][0] != told[-1][0]:
            kinds.add(self.physical(index, found[-1][0]))
        return None if kinds & {None, False} else " ".join(k for k in KINDS if k in kinds)


def ours(frames):
    return [place_of(frame["symbol"], frame["file"] or "", frame["line"]) for frame in frames]


def check_offset(oracle, address, frame):
    """What the offset is from has to be where a function starts."""
    if frame["symbol"]:
        starts = {start for start, _ in oracle.symbols.covering(address - 1)}
        starts |= {address} if oracle.symbols.starting(address) else set()
        check(address - frame["offset"] in starts,
              f"{address:#x}: {frame['symbol']}+{frame['offset']:#x}, functions at {starts}")


def compare(pid, path, elf=None, addresses=None, start=Symbolizer):
    """
    Addresses of `path` (default: after every instruction) as mapped by `pid`. `elf` is what the
    other readers read, `start` starts the resolver. Returns how many there are of each verdict, and the answers.
    """
    elf = elf or path
    addresses = addresses or instructions(elf)
    bias = bias_of(pid, path)
    oracle = Oracle(path, elf, addresses)
    with start(pid) as symbolizer:
        answers = symbolizer.ask_all("user", [address + bias for address in addresses])
    counts, wrong = collections.Counter(), []
    for index, (address, frames) in enumerate(zip(addresses, answers)):
        check_equal(frames[0]["module_offset"], address, "offset in the module")
        check_offset(oracle, address, frames[-1])
        verdict = oracle.verdict(index, ours(frames))
        counts[verdict] += 1
        if verdict is None:
            wrong.append(f"{address:#x}: {ours(frames)}, addr2line {oracle.told[index]}, "
                         f"llvm {oracle.witness[index]}")
    print(f"# {os.path.basename(path)}: {len(addresses)} addresses: " + ", ".join(
        f"{count} {verdict}" for verdict, count in counts.most_common()), flush=True)
    check(not wrong, f"{len(wrong)} of {len(addresses)} are wrong: " + "; ".join(wrong[:5]))
    return counts, answers
