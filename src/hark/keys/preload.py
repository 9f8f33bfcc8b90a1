"""The agent as ld.so finds it: one name in LD_PRELOAD, another file for each kind of program.

What   LD_PRELOAD holds $LIB, in the place of which glibc puts the directory of its own libraries. Each directory holds,
       by the same name, what programs of that kind can load: a link to the agent, or for another class of ELF file than
       the agent's an object without anything in it.
Why    Where ld.so finds no file, or one of the wrong class, it says so on the stderr of every such program. Programs of
       another C library than glibc do not expand $LIB, find nothing, and are silent.
Name   A program that is linked to AddressSanitizer's runtime ends itself at once, unless the first library that was
       loaded has "libasan.so" in its name (compiler-rt/lib/asan/asan_linux.cpp, AsanCheckDynamicRTPrereqs). It
       protects malloc and related functions, of which the agent defines none; so the agent may have that name and
       come first. A program with the runtime linked in looks for it among the mapped files, under the link's target.
Limits The objects are for 32-bit programs on x86-64. On other machines a 32-bit glibc still complains.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NAME: Final = "libhark-keys-before-libasan.so"
_386, _X86_64 = 3, 62  # e_machine
# What glibc may put in the place of $LIB, on this machine's kind of processor.
_OWN: Final = (f"lib/{os.uname().machine}-linux-gnu", "lib64")
_FOREIGN: Final = {
    "x86_64": {
        "lib/i386-linux-gnu": _386,
        "lib32": _386,
        "lib/x86_64-linux-gnux32": _X86_64,
        "libx32": _X86_64,
    }
}


def fill(place: str, agent: str) -> None:
    """Make the directories in `place`. Raises OSError."""
    foreign = dict(_FOREIGN.get(os.uname().machine, {}))
    own = [*_OWN]
    # "lib" is the 64-bit one (Arch, Nix), but where 64-bit libraries really are in lib64 (Fedora, SUSE).
    if foreign and os.path.dirname(os.path.realpath("/lib64/libc.so.6")).endswith("/lib64"):
        foreign["lib"] = _386
    else:
        own.append("lib")
    for directory in (*own, *foreign):
        os.makedirs(f"{place}/{directory}", exist_ok=True)
    for directory in own:
        os.symlink(agent, f"{place}/{directory}/{NAME}")
    for directory, machine in foreign.items():
        with open(f"{place}/{directory}/{NAME}", "wb", opener=_readable) as file:
            file.write(nothing(machine))


def _readable(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o644)


def nothing(machine: int) -> bytes:
    """A shared object of ELF's 32-bit class that defines and needs nothing (System V ABI, chapters 4 and 5)."""
    loaded, dynamic_tag, stack = 1, 2, 0x6474E551  # p_type: PT_LOAD, PT_DYNAMIC, PT_GNU_STACK
    read_write = 6  # ld.so relocates the dynamic section in its place; nothing may be executed, the stack neither
    head, segment = 52, 32
    dynamic = head + 3 * segment
    symbols = dynamic + 6 * 8
    names = symbols + 16
    table = names + 4
    end = table + 16
    ident = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)  # 32-bit, little-endian, version 1
    return b"".join(
        (
            ident,
            struct.pack("<HHIIIIIHHHHHH", 3, machine, 1, 0, head, 0, 0, head, segment, 3, 40, 0, 0),  # 3: ET_DYN
            struct.pack("<8I", loaded, 0, 0, 0, end, end, read_write, 0x1000),
            struct.pack("<8I", dynamic_tag, dynamic, dynamic, dynamic, 48, 48, read_write, 4),
            struct.pack("<8I", stack, 0, 0, 0, 0, 0, read_write, 4),
            # DT_HASH, DT_STRTAB, DT_STRSZ, DT_SYMTAB, DT_SYMENT, DT_NULL
            struct.pack("<12I", 4, table, 5, names, 10, 1, 6, symbols, 11, 16, 0, 0),
            bytes(16),  # the one symbol that every table begins with
            bytes(4),
            struct.pack("<4I", 1, 1, 0, 0),  # a hash table of one empty bucket
        )
    )
