#!/usr/bin/env python3
"""Looks at programs for macOS on arm64: the system that they ask for, the libraries that they load, their signature, and
how exceptions leave `autoane_try`. Fails on what would not load, or would not catch. No dependencies."""

import struct
import sys

MAGIC, ARM64, EXECUTABLE = 0xFEEDFACF, 0x0100000C, 2
SYMTAB, LOAD_DYLIB, SEGMENT, SIGNATURE, BUILD_VERSION = 0x2, 0xC, 0x19, 0x1D, 0x32
MACOS = 1
OLDEST = (13, 0)
SYSTEM = ("/usr/lib/", "/System/Library/Frameworks/")
CATCHES = "_autoane_try"
PERSONALITY = 0x30000000
HAS_TABLE = 0x40000000


def fail(path, what):
    sys.exit(f"{path}: {what}")


def text(data, at):
    return data[at : data.index(b"\0", at)].decode()


class Program:
    """The load commands of a file."""

    def __init__(self, path):
        self.path, self.data = path, open(path, "rb").read()
        magic, cpu, _, kind, count = struct.unpack_from("<5I", self.data)
        if (magic, cpu, kind) != (MAGIC, ARM64, EXECUTABLE):
            fail(path, "no program for arm64")
        self.libraries, self.sections, self.signed, self.oldest, self.symbols = [], {}, False, None, {}
        self.base = 0
        at = 32
        for _ in range(count):
            command, size = struct.unpack_from("<2I", self.data, at)
            self.read(command & 0x7FFFFFFF, at)
            at += size

    def read(self, command, at):
        if command == LOAD_DYLIB:
            self.libraries.append(text(self.data, at + struct.unpack_from("<I", self.data, at + 8)[0]))
        elif command == SEGMENT:
            self.segment(at)
        elif command == SIGNATURE:
            self.signed = True
        elif command == BUILD_VERSION:
            platform, oldest = struct.unpack_from("<2I", self.data, at + 8)
            self.oldest = (oldest >> 16, oldest >> 8 & 255) if platform == MACOS else None
        elif command == SYMTAB:
            symbols, count, strings, _ = struct.unpack_from("<4I", self.data, at + 8)
            for i in range(count):
                name, kind, _, _, value = struct.unpack_from("<IBBHQ", self.data, symbols + 16 * i)
                if kind & 0xE0 == 0:
                    self.symbols[text(self.data, strings + name)] = (value, kind & 0xE != 0)

    def segment(self, at):
        if text(self.data, at + 8) == "__TEXT":
            self.base = struct.unpack_from("<Q", self.data, at + 24)[0]
        for i in range(struct.unpack_from("<I", self.data, at + 64)[0]):
            section = at + 72 + 80 * i
            name = self.data[section : section + 16].rstrip(b"\0").decode()
            address, size = struct.unpack_from("<2Q", self.data, section + 32)
            self.sections[name] = (address, size, struct.unpack_from("<I", self.data, section + 48)[0])

    def catches(self):
        """Whether the unwinder finds a personality and a table for the function that catches."""
        address = self.symbols[CATCHES][0] - self.base
        start = self.sections["__unwind_info"][2]
        u32 = lambda at: struct.unpack_from("<I", self.data, start + at)[0]
        _, commons, common_count, _, _, index, count = (u32(4 * i) for i in range(7))
        pages = [tuple(u32(index + 12 * i + 4 * j) for j in range(3)) for i in range(count)]
        page = max(i for i in range(count - 1) if pages[i][0] <= address)
        first, entries, tables = pages[page]
        encoding = self.encoding(u32, entries, first, address, commons, common_count)
        rows = [(u32(at), u32(at + 4)) for at in range(tables, pages[page + 1][2], 8)]
        return bool(encoding & PERSONALITY) and bool(encoding & HAS_TABLE) and any(f == address for f, _ in rows)

    def encoding(self, u32, page, first, address, commons, common_count):
        half = lambda at: u32(at) & 0xFFFF
        begin, count = half(page + 4), half(page + 6)
        if u32(page) == 2:  # every entry in full
            entries = [(u32(page + begin + 8 * i), u32(page + begin + 8 * i + 4)) for i in range(count)]
            return max(e for e in entries if e[0] <= address)[1]
        packed = [u32(page + begin + 4 * i) for i in range(count)]
        number = max(((p & 0xFFFFFF) + first, p >> 24) for p in packed if (p & 0xFFFFFF) + first <= address)[1]
        local = page + half(page + 8)
        return u32(commons + 4 * number) if number < common_count else u32(local + 4 * (number - common_count))


def check(path):
    program = Program(path)
    if program.oldest is None or program.oldest > OLDEST:
        fail(path, f"asks for macOS {program.oldest}: {OLDEST} is what it should run on")
    strange = [name for name in program.libraries if not name.startswith(SYSTEM)]
    if strange:
        fail(path, f"loads libraries that are not the system's: {strange}")
    if not program.signed:
        fail(path, "is not signed: macOS on arm64 runs nothing unsigned")
    if CATCHES not in program.symbols:
        fail(path, f"does not hold {CATCHES}: the Neural Engine was left out")
    if not program.catches():
        fail(path, f"exceptions would not be caught: the unwinder has no table for {CATCHES}")
    version = ".".join(map(str, program.oldest))
    print(f"{path}: macOS {version} or later, signed, catches; loads {', '.join(program.libraries)}")


for argument in sys.argv[1:]:
    check(argument)
