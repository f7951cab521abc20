#!/usr/bin/env python3
"""Measures Varve side by side with its peers. Started by scripts/bench, which sees to the rest."""

import argparse
import json
import os
import platform
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import peers
import redundant_peers
import report as reports
import workloads


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measures Varve side by side with its peers, in one run.",
        epilog="Needs root. Peers whose packages are missing are named in the report. What a long "
        "history costs is measured by scripts/bench --growth, which has a --help of its own.")
    known = ", ".join(peer.name for peer in redundant_peers.ALL)
    parser.add_argument("--quick", action="store_true",
                        help="small sizes, the quick peers, one round: about three minutes")
    parser.add_argument("--peers", metavar="LIST", help=f"only these: {known}")
    parser.add_argument("--rows", metavar="TEXT",
                        help="only workloads whose name contains TEXT (and what they need)")
    parser.add_argument("--rounds", type=int, default=0, help="default 3, with --quick 1; rows of "
                        "small files (and rebuilding, which copies them) that take a peer more "
                        "than ten minutes are measured once")
    parser.add_argument("--reference", default="plain", help="what ratios refer to (plain)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"),
                        help="where to measure: 50 GB free, 15 with --quick (default /var/tmp)")
    parser.add_argument("--output", type=Path, help="for bench.md, bench.json, bench.svg "
                        "(default build/bench)")
    parser.add_argument("--json", action="store_true", help="print the JSON, not the table")
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    chosen = {peer.name: peer for peer in redundant_peers.ALL}
    if options.peers:
        wanted = options.peers.split(",")
        unknown = [name for name in wanted if name not in chosen]
        if unknown:
            parser.error(f"no such peer: {', '.join(unknown)}; there are {known}")
        options.chosen = [chosen[name] for name in wanted]
    elif options.quick:
        options.chosen = [chosen[name] for name in ("plain", "null", "varve", "bindfs",
                                                    "btrfs-raid6")]
    else:
        options.chosen = redundant_peers.ALL
    if options.rounds < 0 or options.rounds > 100:
        parser.error("--rounds: 1 to 100 are wanted")
    options.rounds = options.rounds or (1 if options.quick else 3)
    if options.reference not in chosen:
        parser.error(f"--reference: no such peer; there are {known}")
    if not options.directory.is_dir():
        parser.error(f"--directory: {options.directory} is no directory")
    if os.geteuid() != 0:
        parser.error("root is needed: peers mount, and caches are dropped between workloads")
    need = (15 if options.quick else 50) << 30
    free = shutil.disk_usage(options.directory).free
    if free < need:
        parser.error(f"{options.directory} has {free >> 30} GiB free, {need >> 30} are needed; "
                     "see --directory")
    options.output = options.output or options.build / "bench"
    options.output.mkdir(parents=True, exist_ok=True)
    return options


class Progress:
    """A bar with the time left on a terminal, a line a step elsewhere; on stderr."""

    def __init__(self, steps):
        self.steps = steps
        self.done = 0
        self.begin = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def pass_over(self, name, done):
        self.done = done - 1
        self.step(f"{name}: passed over")

    def step(self, text):
        self.done += 1
        spent = time.monotonic() - self.begin
        if self.terminal:
            left = spent / self.done * (self.steps - self.done)
            filled = int(30 * self.done / self.steps)
            sys.stderr.write(f"\r\033[K[{'#' * filled}{'.' * (30 - filled)}] "
                             f"{int(left // 60)}m{int(left % 60):02d}s left  {text}")
            if self.done == self.steps:
                sys.stderr.write("\n")
        else:
            sys.stderr.write(f"bench: [{int(spent // 60)}m{int(spent % 60)}s] "
                             f"{self.done}/{self.steps} {text}\n")
        sys.stderr.flush()


def device_figures(folder):
    """What the device below does, by fio: the limit that no filesystem on it can pass."""
    if shutil.which("fio") is None:
        return {}
    jobs = {"sequential write": ("write", "1M", 8, "MB/s"),
            "sequential read": ("read", "1M", 8, "MB/s"),
            "4 KiB random read, depth 4": ("randread", "4k", 4, "op/s")}
    figures = {}
    target = folder / "fio"
    for name, (kind, block, depth, unit) in jobs.items():
        said = peers.run("fio", "--name=d", f"--filename={target}", "--size=1G", f"--rw={kind}",
                         f"--bs={block}", f"--iodepth={depth}", "--ioengine=libaio", "--direct=1",
                         "--runtime=5", "--output-format=json", "--end_fsync=1")
        job = json.loads(said[said.index("{"):])["jobs"][0]
        side = job["write" if kind == "write" else "read"]
        figures[name] = (side["bw_bytes"] / 1e6 if unit == "MB/s" else side["iops"], unit)
    target.unlink()
    return figures


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores {model}, Linux {platform.release()}"


COSTS = {"sequential write, incompressible, fsync": ("write_per_gib", lambda s: s.big / 2**30),
         "sequential read, cold": ("read_per_gib", lambda s: s.big / 2**30),
         "create files of 4 KiB": ("create_us", lambda s: s.small / 1e6)}


# Rows of small files that took a peer longer than that in a round are not repeated.
LONG_SECONDS = 600


def note_missing(report, name, failure):
    said = "; ".join(filter(None, str(failure).splitlines()))
    entry = report["missing"].setdefault(name, {"why": said, "rounds": []})
    entry["rounds"].append(report["rounds"])


def end_after_clean_up(*_):
    """For SIGTERM: a peer that is up is brought down first, and a second signal does not stop that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def is_ending():
    return signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


def measure(peer, rows, sizes, options, tree, report, progress):
    """All rows of one peer, once. A peer that breaks raises; what it has said till then counts."""
    entry = report["peers"].setdefault(peer.name, {"about": peer.about})
    context = workloads.Context(peer, sizes, str(options.build / "tests/bench/varve_bench_workload"),
                                tree)
    known = peer.name in report["once"]
    small_seconds = 0
    for row, result in rows:
        progress.step(f"{peer.name}: {row.name}")
        if known and row.small:
            continue
        begin = time.monotonic()
        before = peer.cpu_seconds()
        try:
            value = row.measure(context)
        except (RuntimeError, OSError) as failure:
            note_missing(report, f"{peer.name}, {row.name}", failure)
            value = None
        result["rounds"].setdefault(peer.name, []).append(value)
        if row.small:
            small_seconds += time.monotonic() - begin
        if row.name in COSTS and before is not None and value is not None:
            key, amount = COSTS[row.name]
            cost = entry.setdefault("cost", {"write_per_gib": [], "read_per_gib": [],
                                             "create_us": []})
            cost[key].append((peer.cpu_seconds() - before) / amount(sizes))
        if "cost" in entry and peer.pids:
            entry["cost"]["peak_bytes"] = max(entry["cost"].get("peak_bytes", 0),
                                              peer.peak_bytes())
    if small_seconds > LONG_SECONDS:
        report["once"][peer.name] = small_seconds / 60


def main(argv):
    options = parse(argv)
    sizes = workloads.Sizes.quick() if options.quick else workloads.Sizes()
    rows = workloads.rows_with(options.rows or "")
    if not rows:
        print(f"bench: no workload's name contains '{options.rows}'", file=sys.stderr)
        return 2
    report = {"when": time.strftime("%Y-%m-%d"), "command": shlex.join(["scripts/bench"] + [
                  word for word in argv if not word.startswith("--build")]),
              "machine": machine(), "rounds": 0, "reference": options.reference,
              "device": {}, "peers": {}, "missing": {}, "once": {},
              "rows": [{"name": row.name, "unit": row.unit,
                        "lower_is_better": row.lower_is_better, "rounds": {}} for row in rows]}
    signal.signal(signal.SIGTERM, end_after_clean_up)
    progress = Progress(options.rounds * len(options.chosen) * len(rows))
    with tempfile.TemporaryDirectory(prefix=peers.WORK_PREFIX, dir=options.directory) as work:
        report["device"] = device_figures(Path(work))
        tree = None if options.quick else workloads.make_source_tree(work)
        for begun in range(1, options.rounds + 1):
            report["rounds"] = begun
            if tree is None and not options.quick:
                note_missing(report, "source tree", "apt-get install linux-source")
            for place, kind in enumerate(options.chosen, 1):
                try:
                    with kind(work, options.build) as peer:
                        measure(peer, list(zip(rows, report["rows"])), sizes, options, tree, report,
                                progress)
                except (peers.Unavailable, RuntimeError, OSError) as why:
                    if is_ending():  # and bringing it down has failed
                        sys.exit(128 + signal.SIGTERM)
                    note_missing(report, kind.name, why)
                    progress.pass_over(kind.name, len(rows) * (place + len(options.chosen) *
                                                               (begun - 1)))
                reports.write(report, options.output)  # what there is, should the next one be cut short
    if options.json:
        print(json.dumps(report))
    else:
        print((options.output / "bench.md").read_text(encoding="utf-8"))
    print(f"bench: {options.output}/bench.md, bench.json and bench.svg", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
