#!/usr/bin/env python3
"""Two processes share a numpy memmap, and agree with read() and write() on what is in it.

usage: python_memmap.py FOLDER MIB ROUNDS
"""
import hashlib
import multiprocessing
import os
import sys

import numpy

PAGE = 4096


def demand(what, found, expected):
    if not numpy.array_equal(found, expected):
        sys.exit(f"memmap: {what}: {found!r}, where {expected!r} was expected")


def slab(generation, length):
    """Values that no other generation has at the same place."""
    return (numpy.arange(length, dtype=numpy.int64) * 31 + generation * 1_000_003).astype(numpy.int64)


def partner(path, length, rounds, to_partner, from_partner):
    """Answers each odd generation with the even one after it."""
    values = numpy.memmap(path, dtype=numpy.int64, mode="r+", shape=(length,))
    for generation in range(1, 2 * rounds, 2):
        demand("word to the partner", to_partner.get(timeout=60), generation)
        demand("what the other process wrote", values, slab(generation, length))
        values[:] = slab(generation + 1, length)
        if generation % 3 == 0:
            values.flush()
        from_partner.put(generation + 1)


def share(path, length, rounds):
    values = numpy.memmap(path, dtype=numpy.int64, mode="w+", shape=(length,))
    to_partner, from_partner = multiprocessing.Queue(), multiprocessing.Queue()
    other = multiprocessing.Process(target=partner, args=(path, length, rounds, to_partner, from_partner))
    other.start()
    reader = os.open(path, os.O_RDONLY)
    writer = os.open(path, os.O_RDWR)
    for generation in range(1, 2 * rounds, 2):
        values[:] = slab(generation, length)
        # Without msync: read() sees what was stored through the mapping.
        found = numpy.frombuffer(os.pread(reader, length * 8, 0), dtype=numpy.int64)
        demand("read() of a mapped file", found, slab(generation, length))
        to_partner.put(generation)
        demand("word from the partner", from_partner.get(timeout=60), generation + 1)
        demand("what the partner wrote", values, slab(generation + 1, length))
        # And the mapping sees what write() puts there.
        os.pwrite(writer, numpy.full(PAGE // 8, -generation, dtype=numpy.int64).tobytes(), PAGE)
        demand("write() to a mapped file", values[PAGE // 8:PAGE // 4],
               numpy.full(PAGE // 8, -generation, dtype=numpy.int64))
    other.join()
    demand("the partner's exit", other.exitcode, 0)
    values.flush()
    del values
    return hashlib.sha256(os.pread(reader, length * 8, 0)).hexdigest()


def private(path, length):
    """A copy-on-write mapping changes nothing for others."""
    before = numpy.fromfile(path, dtype=numpy.int64)
    mapping = numpy.memmap(path, dtype=numpy.int64, mode="c", shape=(length,))
    mapping[:] = 7
    demand("a private mapping", mapping, numpy.full(length, 7))
    demand("the file below a private mapping", numpy.fromfile(path, dtype=numpy.int64), before)


def random_stores(folder, length, rounds):
    """Scattered stores, a flush each round; a reader that opens anew sees all of them."""
    path = os.path.join(folder, "scattered.npy")
    values = numpy.lib.format.open_memmap(path, mode="w+", dtype=numpy.float64, shape=(length // 64, 64))
    expected = numpy.zeros_like(values)
    rng = numpy.random.default_rng(1)
    for _ in range(rounds):
        rows = rng.integers(0, expected.shape[0], 200)
        columns = rng.integers(0, 64, 200)
        stores = rng.random(200)
        values[rows, columns] = stores
        expected[rows, columns] = stores
        values.flush()
        demand("a second mapping", numpy.load(path, mmap_mode="r"), expected)
        demand("numpy.load", numpy.load(path), expected)
    del values
    numpy.save(os.path.join(folder, "scattered.expected.npy"), expected)


def main():
    folder, mib, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    length = mib * (1 << 20) // 8
    path = os.path.join(folder, "shared.bin")
    digest = share(path, length, rounds)
    private(path, length)
    random_stores(folder, length, rounds)
    print(digest)


if __name__ == "__main__":
    main()
