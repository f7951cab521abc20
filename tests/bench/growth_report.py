"""What scripts/bench --growth has measured, as a Markdown table, JSON and a plot (SVG)."""

import html
import json
import math

from report import COLOURS, figure, median

# How many times an operation may cost what it costs on an empty volume, and so on: issue and target.
LIVE_TARGET = 1.2
THEN_TARGET = 2.0


def first(pairs):
    return median([pair[0] for pair in pairs])


def times(pairs):
    """How many times more than the other of the pair, round by round."""
    return median([one / other for one, other in pairs])


def rebuild_rate(size):
    records, seconds, _ = size["rebuild"]
    return records / max(seconds - median(size["mount_clean"]), 0.001)


def milliseconds(name, part):
    return lambda size: size[name][part] / 1000


def rows():
    """(name, unit, figure of a size, target or None, whether less is better)."""
    listed = []
    for kind in ("create", "stat", "read", "overwrite", "readdir"):
        listed.append((f"{kind}, a file" if kind != "readdir" else "readdir, 100 entries", "µs",
                       lambda size, kind=kind: first(size["live"][kind]), None, True))
        listed.append(("– against an empty volume", "×",
                       lambda size, kind=kind: times(size["live"][kind]), LIVE_TARGET, True))
    for kind, name in (("stat", "look-up as of then"), ("read", "open and read as of then")):
        listed.append((name, "µs", lambda size, kind=kind: first(size["then"][kind]), None, True))
        listed.append(("– against now", "×", lambda size, kind=kind: times(size["then"][kind]),
                       THEN_TARGET, True))
    listed += [
        ("mount, clean", "s", lambda size: median(size["mount_clean"]), 1, True),
        ("mount after kill -9", "s", lambda size: max(size["mount_crash"]), 5, True),
        ("catalog made anew", "records/s", rebuild_rate, 200_000, False),
        ("– processor time, all threads", "µs a record",
         lambda size: size["rebuild"][2] / size["rebuild"][0] * 1e6, None, True),
        ("catalog a version", "bytes", lambda size: size["catalog_bytes"] / size["versions"], 150,
         True),
        ("mix while checkpoints are taken: p50", "ms", milliseconds("mix", "p50"), None, True),
        ("– p99", "ms", milliseconds("mix", "p99"), None, True),
        ("– p99.9", "ms", milliseconds("mix", "p999"), 100, True),
        ("– longest", "ms", milliseconds("mix", "max"), None, True),
        ("the same on an empty volume: p99.9", "ms", milliseconds("mix_empty", "p999"), None, True),
        ("mix while a disk goes: p99.9", "ms", milliseconds("mix_lost", "p999"), 100, True),
        ("– longest", "ms", milliseconds("mix_lost", "max"), None, True),
        ("mix while the catalog's disk goes: p99.9", "ms",
         milliseconds("mix_catalog_lost", "p999"), 100, True),
        ("– longest", "ms", milliseconds("mix_catalog_lost", "max"), None, True),
        ("history made, in process", "versions/s",
         lambda size: size["versions"] / size["fill_seconds"], None, False),
        ("peak memory of the daemon", "MiB", lambda size: size["peak_bytes"] / 2**20, 512, True),
    ]
    return listed


def power(versions):
    return f"10^{round(math.log10(versions))}" if versions else "0"


def table(report):
    sizes = report["sizes"]
    lines = ["| | unit | target | " + " | ".join(power(size["versions"]) for size in sizes) + " |",
             "|---|---|---:|" + "---:|" * len(sizes)]
    for name, unit, value, target, less in rows():
        cells = []
        for size in sizes:
            got = value(size)
            missed = target is not None and (got > target if less else got < target)
            cells.append(f"**{figure(got)}**" if missed else figure(got))
        wanted = "" if target is None else ("≤ " if less else "≥ ") + figure(target)
        lines.append(f"| {name} | {unit} | {wanted} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def markdown(report):
    last = report["sizes"][-1]
    replaced = last["replacement"]
    return (f"Measured {report['when']}, `{report['command']}`, {report['machine']}; columns are "
            f"versions in the catalog, {last['files']:,} files in the last; medians of "
            f"{report['rounds']} interleaved rounds; bold misses its target.\n\n{table(report)}\n\n"
            f"Disks are replaced only while unmounted (`varve fsck --replace`): {replaced['disks']} "
            f"lost disks took {replaced['seconds']:.1f} s, the mount after it included. There is no "
            f"cleaner yet.\n")


PANELS = (
    ("microseconds an operation", 1, 10_000, (
        ("create", lambda size: first(size["live"]["create"])),
        ("stat", lambda size: first(size["live"]["stat"])),
        ("open and read", lambda size: first(size["live"]["read"])),
        ("overwrite", lambda size: first(size["live"]["overwrite"])),
        ("readdir", lambda size: first(size["live"]["readdir"])),
        ("stat as of then", lambda size: first(size["then"]["stat"])),
        ("read as of then", lambda size: first(size["then"]["read"])))),
    ("milliseconds", 1, 1_000_000, (
        ("mount, clean", lambda size: median(size["mount_clean"]) * 1000),
        ("mount after a crash", lambda size: max(size["mount_crash"]) * 1000),
        ("mount without catalog", lambda size: size["rebuild"][1] * 1000),
        ("mix: p99.9", milliseconds("mix", "p999")),
        ("mix: longest", milliseconds("mix", "max")))),
    ("bytes", 10, 10_000, (
        ("catalog a version", lambda size: size["catalog_bytes"] / size["versions"]),
        ("on all disks a version", lambda size: size["raw_bytes"] / size["versions"]))),
)


def panel(report, title, low, high, series, left):
    """One plot of figures over versions, both axes logarithmic, its upper left corner at `left`."""
    width, height, top = 300, 300, 150
    counts = [math.log10(size["versions"]) for size in report["sizes"]]
    begin, end = 4.0, max(7.0, counts[-1])

    def x(count):
        return left + (count - begin) / (end - begin) * width

    def y(value):
        part = (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return top + height * (1 - min(max(part, 0), 1))

    out = [f'<text x="{left}" y="{top - 120}" font-weight="bold">{title}</text>']
    for exponent in range(round(math.log10(low)), round(math.log10(high)) + 1):
        at = y(10**exponent)
        out.append(f'<line x1="{left}" y1="{at:.0f}" x2="{left + width}" y2="{at:.0f}" '
                   f'stroke="#ddd"/><text x="{left - 6}" y="{at + 4:.0f}" text-anchor="end">'
                   f'{10**exponent:,}</text>')
    for exponent in range(4, int(end) + 1):
        out.append(f'<text x="{x(exponent):.0f}" y="{top + height + 18}" text-anchor="middle">'
                   f'10^{exponent}</text>')
    for index, (name, value) in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        points = [(x(count), y(value(size))) for count, size in zip(counts, report["sizes"])]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        at = top - 105 + 15 * index
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
                   + "".join(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>'
                             for px, py in points)
                   + f'<circle cx="{left + 5}" cy="{at}" r="4" fill="{colour}"/>'
                   f'<text x="{left + 14}" y="{at + 4}">{html.escape(name)}</text>')
    return "\n".join(out)


def plot(report):
    drawn = [panel(report, *what, 70 + 390 * index) for index, what in enumerate(PANELS)]
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="1180" height="490" '
            'font-family="sans-serif" font-size="12">\n'
            '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(drawn) +
            '\n<text x="70" y="485">versions in the catalog</text></svg>\n')


def write(report, folder):
    (folder / "growth.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / "growth.md").write_text(markdown(report), encoding="utf-8")
    (folder / "growth.svg").write_text(plot(report), encoding="utf-8")
