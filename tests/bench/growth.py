#!/usr/bin/env python3
"""Measures what Varve costs as its history grows. Started by scripts/bench --growth."""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import growth_report
from bench import Progress, machine
from peers import is_mounted, run, timed, wait_for
from redundant_peers import Varve

EMPTY_DIRECTORIES = 10  # of 100 files: what "an empty volume" has, for there to be something to ask
FILL_RATE = 30_000  # versions a second, for the time left only


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="scripts/bench --growth",
        description="Measures what Varve costs as its history grows: operations against an empty "
        "volume, the past against the present, mounting, rebuilding, bytes and stalls.",
        epilog="Needs root. About 1 KiB of disk a version.")
    parser.add_argument("--growth", action="store_true", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--versions", type=int, default=10_000_000, metavar="N",
                        help="measure at 10^4, 10^5 ... up to N (default 10,000,000)")
    parser.add_argument("--only", action="store_true", help="measure at N versions alone")
    parser.add_argument("--scattered", type=int, default=10, metavar="PERCENT",
                        help="of the work in the history that strikes any older file instead of "
                        "the newest directory (default 10)")
    parser.add_argument("--rounds", type=int, default=5, help="of interleaved operations (5)")
    parser.add_argument("--seconds", type=float, default=20.0,
                        help="of each measurement of latencies (20)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"),
                        help="where to measure (default /var/tmp)")
    parser.add_argument("--output", type=Path,
                        help="for growth.md, growth.json, growth.svg (default build/bench)")
    parser.add_argument("--json", action="store_true", help="print the JSON, not the table")
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if not 10_000 <= options.versions <= 1_000_000_000:
        parser.error("--versions: 10,000 to 1,000,000,000 are wanted")
    if not 1 <= options.rounds <= 100 or options.seconds < 1:
        parser.error("--rounds: 1 to 100, --seconds: 1 at least")
    if not options.directory.is_dir():
        parser.error(f"--directory: {options.directory} is no directory")
    if os.geteuid() != 0:
        parser.error("root is needed: volumes are mounted, and the kernel's caches dropped")
    need = options.versions * 1024 + (4 << 30)
    free = shutil.disk_usage(options.directory).free
    if free < need:
        parser.error(f"{options.directory} has {free >> 30} GiB free, {need >> 30} are needed; "
                     "see --directory")
    options.output = options.output or options.build / "bench"
    options.output.mkdir(parents=True, exist_ok=True)
    return options


class GrowthProgress(Progress):
    """Steps are expected seconds here; elsewhere than on a terminal a line for each new text."""

    text = None

    def advance(self, seconds, text):
        if self.terminal:
            self.done = min(self.done + seconds, self.steps) - 1
            self.step(text)
            return
        self.done += seconds
        if text != self.text:
            self.text = text
            spent = time.monotonic() - self.begin
            sys.stderr.write(f"bench: [{int(spent // 60)}m{int(spent % 60)}s] "
                             f"{min(100, int(100 * self.done / self.steps))} % {text}\n")
            sys.stderr.flush()


class Grown(Varve):
    """A volume that is given a history before it is mounted."""

    name = "grown"

    def up(self):
        self.lost = []
        self.varve = self.build / "varve"
        self.disks = [self.work / f"disk{shelf}" for shelf in range(6)]
        run(self.varve, "mkfs", "--data", 4, "--parity", 2, *self.disks)

    def fill(self, words, heard=lambda versions: None):
        """Answers the last line that the program says."""
        program = self.build / "tests/bench/varve_bench_growth_history"
        with subprocess.Popen([str(word) for word in (program, self.disks[0], *words)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as filling:
            said = {}
            for line in filling.stdout:
                said = json.loads(line)
                heard(said["versions"])
            if filling.wait() != 0:
                raise RuntimeError(filling.stderr.read().strip())
        return said

    def catalog_bytes(self):
        return sum(os.lstat(file).st_size for disk in self.disks
                   for file in disk.glob("catalog/*"))

    def status(self):
        return json.loads(run(self.varve, "status", "--json", self.root))

    def start_probe(self, verb, **options):
        words = [self.build / "tests/bench/varve_bench_growth_probe", verb, self.root]
        for key, value in options.items():
            words += ["--" + key, value]
        return subprocess.Popen([str(word) for word in words], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def probe(self, verb, **options):
        said, complaint = (probing := self.start_probe(verb, **options)).communicate()
        if probing.returncode != 0:
            raise RuntimeError(f"{verb}: {complaint.strip()}")
        return json.loads(said)

    def kill(self):
        """The daemon ends as if the machine had, but for what the page cache holds."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), "the daemon's end")
        run("umount", "-l", self.root)
        wait_for(lambda: not is_mounted(self.root), "unmounting")


class Empty(Grown):
    name = "empty"


def measure_mounts(volume, rounds):
    """Seconds to mount what was unmounted cleanly, and to unmount it."""
    mounts, ends = [], []
    for _ in range(rounds):
        mounts.append(timed(volume.mount))
        ends.append(timed(volume.down))
    return mounts, ends


def measure_live(volume, empty, directories, rounds):
    """Microseconds of the median operation of each kind, pairs (grown, empty), round by round.

    Not the mean: on a machine that has other work too it says how often that came in between."""
    pairs = {}
    for seed in range(1, rounds + 1):
        sides = [(volume, directories), (empty, EMPTY_DIRECTORIES)]
        took = {}
        for side, count in sides if seed % 2 else reversed(sides):
            took[side.name] = side.probe("live", directories=count, seed=seed)
        for kind in took["grown"]:
            pairs.setdefault(kind, []).append((took["grown"][kind]["p50"],
                                               took["empty"][kind]["p50"]))
    return pairs


def measure_then(volume, directories, versions, rounds):
    """The same of looking up and reading, as pairs (then, now)."""
    pairs = {}
    for seed in range(1, rounds + 1):
        took = volume.probe("then", directories=directories, versions=versions, seed=seed)
        for kind in ("stat", "read"):
            pairs.setdefault(kind, []).append((took[f"{kind} then"]["p50"],
                                               took[f"{kind} live"]["p50"]))
    return pairs


def measure_crash(volume, directories, seconds):
    """Seconds to mount after the daemon was killed at work."""
    probing = volume.start_probe("mix", directories=directories, seconds=seconds * 10, seed=91)
    time.sleep(seconds)
    volume.kill()
    probing.communicate()
    if probing.returncode == 0:
        raise RuntimeError("the daemon was killed and nobody noticed")
    return timed(volume.mount)


def measure_rebuild(volume):
    """(records, seconds, seconds of processor time): mounting without any catalog."""
    records = volume.status()["history"]["last_lsn"]
    volume.down()
    for disk in volume.disks:
        shutil.rmtree(disk / "catalog", ignore_errors=True)
    seconds = timed(volume.mount)
    return records, seconds, volume.cpu_seconds()


def measure_loss(volume, directories, seconds, has_catalog):
    """Latencies of a program while a disk goes away under it: one with the catalog, or another."""
    disks = volume.status()["disks"]
    slot = next(disk for disk in disks if disk.get("catalog", False) == has_catalog
                and disk["state"] == "online")
    path = Path(slot["path"])
    probing = volume.start_probe("mix", directories=directories, seconds=seconds,
                                 seed=92 + has_catalog)
    time.sleep(1)
    path.rename(path.with_name(path.name + ".gone"))
    said, complaint = probing.communicate()
    if probing.returncode != 0:
        raise RuntimeError(f"mix: {complaint.strip()}")
    volume.lost.append(path)
    return json.loads(said)["any"]


def measure_replacement(volume):
    """Seconds that `varve fsck --replace` takes for all lost disks; only unmounted there is such."""
    volume.disks.sort(key=lambda disk: disk in volume.lost)  # one that is there says the others
    begin = time.monotonic()
    rate = volume.rebuild()
    return {"seconds": time.monotonic() - begin, "mb_per_s": rate, "disks": len(volume.lost)}


def expected_seconds(versions, options):
    """Of one size: what the bar is drawn by."""
    return versions / FILL_RATE + 8 * options.rounds + 5 * options.seconds + versions / 100_000


def measure_size(work, versions, options, progress):
    size = {"asked": versions}
    name = f"10^{len(str(versions)) - 1}" if str(versions).strip("0") == "1" else f"{versions:,}"
    heard = [0]

    def filling(now):
        progress.advance((now - heard[0]) / FILL_RATE, f"{name}: filling")
        heard[0] = now

    rest = options.seconds / 2
    with Grown(work, options.build) as volume, Empty(work, options.build) as empty:
        made = volume.fill(["--versions", versions, "--scattered", options.scattered], filling)
        directories = made["directories"]
        size.update(versions=made["versions"], files=directories * 100,
                    fill_seconds=made["seconds"],
                    catalog_bytes=volume.catalog_bytes())
        empty.fill(["--directories", EMPTY_DIRECTORIES])
        progress.advance(rest, f"{name}: mounting")
        size["mount_clean"], size["unmount"] = measure_mounts(volume, 3)
        volume.mount()
        empty.mount()
        progress.advance(4 * options.rounds, f"{name}: operations")
        size["live"] = measure_live(volume, empty, directories, options.rounds)
        progress.advance(4 * options.rounds, f"{name}: the past")
        size["then"] = measure_then(volume, directories, made["versions"], options.rounds)
        size["raw_bytes"] = volume.raw_bytes()
        progress.advance(options.seconds, f"{name}: latencies while checkpoints are taken")
        size["mix"] = volume.probe("mix", directories=directories, seconds=options.seconds)["any"]
        size["mix_empty"] = empty.probe("mix", directories=EMPTY_DIRECTORIES,
                                        seconds=options.seconds)["any"]
        size["peak_bytes"] = volume.peak_bytes()
        progress.advance(rest, f"{name}: a crash")
        size["mount_crash"] = [measure_crash(volume, directories, options.seconds / 2)
                               for _ in range(2)]
        progress.advance(versions / 100_000, f"{name}: making the catalog anew")
        size["rebuild"] = measure_rebuild(volume)
        progress.advance(options.seconds, f"{name}: a disk goes")
        size["mix_lost"] = measure_loss(volume, directories, options.seconds, False)
        progress.advance(options.seconds, f"{name}: the catalog's disk goes")
        size["mix_catalog_lost"] = measure_loss(volume, directories, options.seconds, True)
        progress.advance(rest, f"{name}: disks are replaced")
        size["replacement"] = measure_replacement(volume)
    return size


def main(argv):
    options = parse(argv)
    sizes = [options.versions]
    if not options.only:
        sizes = [10**power for power in range(4, 10) if 10**power < options.versions] + sizes
    report = {"when": time.strftime("%Y-%m-%d"), "command": shlex.join(["scripts/bench"] + [
                  word for word in argv if not word.startswith("--build")]),
              "machine": machine(), "rounds": options.rounds, "sizes": []}
    progress = GrowthProgress(sum(expected_seconds(size, options) for size in sizes))
    with tempfile.TemporaryDirectory(prefix="varve-growth-", dir=options.directory) as work:
        for versions in sizes:
            report["sizes"].append(measure_size(work, versions, options, progress))
            growth_report.write(report, options.output)
    if options.json:
        print(json.dumps(report))
    else:
        print((options.output / "growth.md").read_text(encoding="utf-8"))
    print(f"bench: {options.output}/growth.md, growth.json and growth.svg", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
