"""Medians of the rounds as a Markdown table, JSON and a plot of ratios (SVG, no library needed)."""

import html
import json
import math
import statistics


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def figure(value):
    if value is None:
        return "–"
    if value >= 10_000:
        return f"{value / 1000:.1f} k"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def ratio(row, value, reference):
    """How many times better than the reference: above 1 is better, whichever way the unit runs."""
    if not value or not reference:
        return None
    return reference / value if row["lower_is_better"] else value / reference


def table(report):
    """Rows of workloads, columns of peers: each figure with its ratio to the reference."""
    reference = report["reference"]
    names = list(report["peers"])
    lines = ["| workload | unit | " + " | ".join(names) + " |",
             "|---|---|" + "---:|" * len(names)]
    for row in report["rows"]:
        medians = {name: median(row["rounds"].get(name, [])) for name in names}
        cells = []
        for name in names:
            cell = figure(medians[name])
            times = ratio(row, medians[name], medians.get(reference))
            if times is not None and name != reference:
                cell += f" ({times:.2f}×)"
            cells.append(cell)
        lines.append(f"| {row['name']} | {row['unit']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def costs(report):
    """Processor time and peak memory of the daemons."""
    lines = ["| daemon of | CPU s per GiB written | CPU s per GiB read cold | "
             "CPU µs per file created | peak RSS MiB |", "|---|---:|---:|---:|---:|"]
    for name, peer in report["peers"].items():
        cost = peer.get("cost")
        if not cost:
            continue
        peak = cost.get("peak_bytes")
        lines.append(f"| {name} | {figure(median(cost['write_per_gib']))} | "
                     f"{figure(median(cost['read_per_gib']))} | "
                     f"{figure(median(cost['create_us']))} | "
                     f"{figure(peak / 2**20 if peak else None)} |")
    return "\n".join(lines)


def in_rounds(missing, report):
    if len(missing["rounds"]) == report["rounds"]:
        return ""
    return ", round " + " and ".join(map(str, missing["rounds"]))


def markdown(report):
    parts = [f"Measured {report['when']}, `{report['command']}`, {report['machine']}; medians of "
             f"{report['rounds']} rounds, in brackets how many times better than "
             f"{report['reference']}.", table(report), costs(report)]
    if report["device"]:
        parts.append("The device below (fio): " + ", ".join(
            f"{name} {figure(value)} {unit}" for name, (value, unit) in report["device"].items()) +
            ".")
    if report["once"] and report["rounds"] > 1:
        parts.append("Rows of small files and rebuilding measured in fewer rounds, for the minutes "
                     "they took: " + ", ".join(
                         f"{name} ({spent:.0f})" for name, spent in report["once"].items()) + ".")
    if report["missing"]:
        parts.append("Not measured:\n" + "\n".join(
            f"- {name}{in_rounds(entry, report)}: {entry['why']}"
            for name, entry in report["missing"].items()))
    return "\n\n".join(parts) + "\n"


COLOURS = ["#1b6ca8", "#d1495b", "#66a182", "#edae49", "#8d6a9f", "#5c5c5c", "#00798c", "#b56576",
           "#9c89b8", "#3d405b"]


def plot(report):
    """A dot for each peer and workload, on a logarithmic axis of ratios to the reference."""
    reference = report["reference"]
    names = [name for name in report["peers"] if name != reference]
    rows = [row for row in report["rows"] if median(row["rounds"].get(reference, []))]
    left, top, step, width = 330, 60, 22, 640
    low, high = math.log10(0.01), math.log10(20)

    def x(times):
        return left + (min(max(math.log10(times), low), high) - low) / (high - low) * width

    height = top + step * len(rows) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 30}" height="{height}" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>']
    for index, name in enumerate(names):
        at = 10 + index * 110
        out.append(f'<circle cx="{at}" cy="15" r="5" fill="{COLOURS[index % len(COLOURS)]}"/>'
                   f'<text x="{at + 9}" y="19">{html.escape(name)}</text>')
    for times in (0.01, 0.1, 0.5, 1, 2, 10):
        out.append(f'<line x1="{x(times):.0f}" y1="{top - 12}" x2="{x(times):.0f}" '
                   f'y2="{height - 20}" stroke="{"#333" if times == 1 else "#ddd"}"/>'
                   f'<text x="{x(times):.0f}" y="{top - 16}" text-anchor="middle">{times}×</text>')
    for index, row in enumerate(rows):
        y = top + step * index + 6
        out.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">'
                   f'{html.escape(row["name"])}</text>')
        base = median(row["rounds"].get(reference, []))
        for order, name in enumerate(names):
            times = ratio(row, median(row["rounds"].get(name, [])), base)
            if times:
                out.append(f'<circle cx="{x(times):.1f}" cy="{y}" r="5" fill-opacity="0.8" '
                           f'fill="{COLOURS[order % len(COLOURS)]}"><title>{html.escape(name)}: '
                           f'{times:.2f}×</title></circle>')
    out.append(f'<text x="{left}" y="{height - 5}">times better than {html.escape(reference)}'
               ' (right is better)</text></svg>')
    return "\n".join(out) + "\n"


def write(report, folder):
    (folder / "bench.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / "bench.md").write_text(markdown(report), encoding="utf-8")
    (folder / "bench.svg").write_text(plot(report), encoding="utf-8")
