"""What is measured: a list of rows, in the order in which they run on one fresh filesystem.

A row runs on a peer and answers a figure in its unit, or None where the peer has no such thing.
Later rows use the files that earlier ones left.
"""

import json
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import Callable

import peers

MEBI = 1 << 20


@dataclass
class Sizes:
    """How much of everything; --quick takes a quarter or less."""

    big: int = 2048 * MEBI
    medium: int = 1024 * MEBI
    reads: int = 20_000
    synced: int = 3_000
    overwrites: int = 40_000
    small: int = 20_000
    dataset: int = 4_000
    history_rounds: int = 10

    @staticmethod
    def quick():
        return Sizes(512 * MEBI, 256 * MEBI, 5_000, 500, 10_000, 4_000, 1_000, 4)


@dataclass
class Context:
    """A peer under measurement, the sizes, and the program that does the work."""

    peer: peers.Peer
    sizes: Sizes
    workload: str
    source_tree: str | None  # a tar file, or None
    def path(self, name):
        return str(self.peer.root / name)

    def drive(self, verb, name, **options):
        words = [self.workload, verb, self.path(name)]
        for key, value in options.items():
            words.append("--" + key)
            if value is not True:
                words.append(str(value))
        done = subprocess.run(words, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout)


def megabytes(result):
    return result["bytes"] / result["seconds"] / 1e6


def operations(result):
    return result["operations"] / result["seconds"]


@dataclass
class Row:
    name: str
    unit: str
    measure: Callable[[Context], float | None]
    lower_is_better: bool = False
    small: bool = False  # thousands of small operations, which may take a peer minutes
    needs: tuple = ()  # what other rows measure that leave the files for this one


def cold(context):
    peers.drop_caches()
    return context


def seq_write(c):
    return megabytes(c.drive("write", "big", bytes=c.sizes.big))


def seq_write_half(c):
    return megabytes(c.drive("write", "half", bytes=c.sizes.big, half=True))


def seq_read_cold(c):
    return megabytes(cold(c).drive("read", "big"))


def seq_read_warm(c):
    return megabytes(c.drive("read", "big"))


def random_read(threads):
    def measure(c):
        return operations(cold(c).drive("read", "big", random=True, block=4096,
                                        count=c.sizes.reads * (2 if threads > 1 else 1),
                                        threads=threads))
    return measure


def random_write_sync(c):
    return operations(c.drive("write", "big", keep=True, random=True, block=4096,
                              count=c.sizes.synced, sync="each"))


def random_overwrite(c):
    return operations(c.drive("write", "big", keep=True, random=True, block=4096,
                              count=c.sizes.overwrites, sync="end"))


def create(c):
    return operations(c.drive("write-files", "small", count=c.sizes.small, bytes=4096))


def stat_cold(c):
    return operations(cold(c).drive("stat-files", "small", count=c.sizes.small))


def read_small_cold(c):
    return operations(cold(c).drive("read-files", "small", count=c.sizes.small, bytes=4096))


def overwrite_small(c):
    return operations(c.drive("write-files", "small", count=c.sizes.small, bytes=4096, keep=True,
                              seed=2))


def snapshot(c):
    """The median of three; after the first, the peer's program is in memory."""
    if not hasattr(c.peer, "snapshot"):
        return None
    return statistics.median(c.peer.snapshot(name) for name in ("a", "b", "bench")) * 1000


def unlink_small(c):
    return operations(c.drive("unlink-files", "small", count=c.sizes.small))


def untar(c):
    if c.source_tree is None:
        return None
    (c.peer.root / "tree").mkdir()
    return peers.timed(lambda: peers.run("tar", "-xf", c.source_tree, "-C", c.path("tree")))


def needs_tree(measure):
    return lambda c: None if c.source_tree is None else measure(c)


@needs_tree
def walk_cold(c):
    return operations(cold(c).drive("walk", "tree"))


@needs_tree
def walk_warm(c):
    return operations(c.drive("walk", "tree"))


@needs_tree
def walk_read_cold(c):
    return megabytes(cold(c).drive("walk-read", "tree"))


@needs_tree
def remove_tree(c):
    return peers.timed(lambda: peers.run("rm", "-rf", c.path("tree")))


def dataset_write(c):
    return megabytes(c.drive("write-files", "dataset", count=c.sizes.dataset, bytes=128 << 10))


def dataset_read(temperature):
    def measure(c):
        return megabytes(temperature(c).drive("read-files", "dataset", count=c.sizes.dataset,
                                              bytes=128 << 10, threads=8, random=True))
    return measure


def checkpoint(c):
    return megabytes(c.drive("checkpoint", "model", bytes=c.sizes.medium, rounds=3))


def kept_per_changed(c):
    """Raw bytes kept per changed byte: 4 KiB overwrites of 1 %, a snapshot after each round."""
    if not hasattr(c.peer, "snapshot"):
        return None
    c.drive("write", "history", bytes=c.sizes.medium)
    c.peer.snapshot("history")
    time.sleep(2)
    before = c.peer.raw_bytes()
    count = c.sizes.medium // 100 // 4096
    for round_number in range(c.sizes.history_rounds):
        c.drive("write", "history", keep=True, random=True, block=4096, count=count,
                seed=round_number + 10)
        c.peer.snapshot(f"history{round_number}")
    c.peer.settle()
    changed = c.sizes.history_rounds * count * 4096
    return (c.peer.raw_bytes() - before) / changed


def rollback_file(c):
    return c.peer.rollback("model", "bench2") * 1000 if hasattr(c.peer, "rollback") else None


def before_rollback(c):
    """The moment to go back to, and 1 GiB changed since."""
    if not hasattr(c.peer, "rollback"):
        return None
    c.peer.snapshot("bench2")
    c.drive("write", "model", bytes=c.sizes.medium, seed=7)
    return rollback_file(c)


def rollback_tree(c):
    if not hasattr(c.peer, "rollback"):
        return None
    c.drive("write-files", "dataset", count=c.sizes.dataset, bytes=4096, keep=True, seed=9)
    seconds = c.peer.rollback("dataset", "bench2")
    return None if seconds is None else seconds * 1000


def lost_read(lost):
    def measure(c):
        if not hasattr(c.peer, "lose"):
            return None
        if lost == 1:
            c.drive("write", "survivor", bytes=c.sizes.medium)
        c.peer.lose()
        return megabytes(cold(c).drive("read", "survivor"))
    return measure


one_lost_read = lost_read(1)
two_lost_read = lost_read(2)


def rebuild(c):
    return c.peer.rebuild() if hasattr(c.peer, "rebuild") else None


def scrub(c):
    return c.peer.scrub() if hasattr(c.peer, "scrub") else None


ROWS = [
    Row("sequential write, incompressible, fsync", "MB/s", seq_write),
    Row("sequential write, half compressible", "MB/s", seq_write_half),
    Row("sequential read, cold", "MB/s", seq_read_cold, needs=(seq_write,)),
    Row("sequential read, warm", "MB/s", seq_read_warm, needs=(seq_write,)),
    Row("4 KiB random read, cold, 1 thread", "op/s", random_read(1), needs=(seq_write,)),
    Row("4 KiB random read, cold, 4 threads", "op/s", random_read(4), needs=(seq_write,)),
    Row("4 KiB random write, fdatasync each", "op/s", random_write_sync, needs=(seq_write,)),
    Row("4 KiB random overwrite, fsync at end", "op/s", random_overwrite, needs=(seq_write,)),
    Row("create files of 4 KiB", "op/s", create, small=True),
    Row("stat all, cold", "op/s", stat_cold, small=True, needs=(create,)),
    Row("read all small, cold", "op/s", read_small_cold, small=True, needs=(create,)),
    Row("snapshot create", "ms", snapshot, lower_is_better=True, needs=(create,)),
    Row("overwrite all small", "op/s", overwrite_small, small=True, needs=(create,)),
    Row("unlink all", "op/s", unlink_small, small=True, needs=(create,)),
    Row("source tree: untar", "s", untar, lower_is_better=True, small=True),
    Row("source tree: lstat walk, cold", "op/s", walk_cold, small=True, needs=(untar,)),
    Row("source tree: lstat walk, warm", "op/s", walk_warm, small=True, needs=(untar,)),
    Row("source tree: read all, cold", "MB/s", walk_read_cold, small=True, needs=(untar,)),
    Row("source tree: rm -rf", "s", remove_tree, lower_is_better=True, small=True,
        needs=(untar,)),
    Row("dataset: write files of 128 KiB", "MB/s", dataset_write, small=True),
    Row("dataset: 8 random readers, cold", "MB/s", dataset_read(cold), small=True,
        needs=(dataset_write,)),
    Row("dataset: 8 random readers, warm", "MB/s", dataset_read(lambda c: c), small=True,
        needs=(dataset_write,)),
    Row("checkpoint: write, fsync, rename, 3 times", "MB/s", checkpoint),
    Row("rollback of one big file", "ms", before_rollback, lower_is_better=True,
        needs=(checkpoint,)),
    Row("rollback of the dataset", "ms", rollback_tree, lower_is_better=True, small=True,
        needs=(dataset_write, before_rollback)),
    Row("raw bytes kept per changed byte", "x", kept_per_changed, lower_is_better=True),
    Row("scrub (data)", "MB/s", scrub, needs=(seq_write,)),
    Row("read cold, one disk gone", "MB/s", one_lost_read),
    Row("read cold, two disks gone", "MB/s", two_lost_read, needs=(one_lost_read,)),
    # Small files too are rebuilt: without them it would be another row.
    Row("rebuild of the lost disks (their bytes)", "MB/s", rebuild, small=True,
        needs=(two_lost_read,)),
]


def rows_with(text):
    """Those whose names contain the text, and what they need, in their order."""
    chosen = {row.measure for row in ROWS if text in row.name}
    for row in reversed(ROWS):  # what is needed comes before
        if row.measure in chosen:
            chosen.update(row.needs)
    return [row for row in ROWS if row.measure in chosen]


def make_source_tree(folder):
    """A tar of some 22,000 source files out of Debian's linux-source; None without the package."""
    from pathlib import Path
    packed = sorted(Path("/usr/src").glob("linux-source-*.tar.xz"))
    if not packed:
        return None
    tree = Path(folder) / "tree.tar"
    unpacked = Path(folder) / "source"
    unpacked.mkdir()
    parts = ["fs", "include", "kernel", "mm", "arch/x86", "net", "sound", "drivers/net",
             "drivers/usb", "drivers/media", "drivers/scsi"]
    name = packed[-1].name.removesuffix(".tar.xz")
    peers.run("tar", "-xf", packed[-1], "-C", unpacked, *[f"{name}/{part}" for part in parts])
    peers.run("tar", "-cf", tree, "-C", unpacked, name)
    shutil.rmtree(unpacked)
    return str(tree)
