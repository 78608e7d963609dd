#!/usr/bin/env python3
"""Draws recall against queries per second from a benchmark CSV as SVG (standard library only).

usage: plot.py RESULTS.csv OUT.svg

One panel for each data set, one line for each (library, variant, threads). The recall axis is stretched towards 1, where the
differences are; the other axis is logarithmic.
"""
import csv
import html
import math
import sys
from collections import defaultdict

PANEL_W, PANEL_H = 620, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 44, 52
LEGEND_ROW = 18
COLOURS = ["#0b6e4f", "#c1440e", "#3454d1", "#8a2be2", "#b8860b", "#2f4f4f", "#d81b60", "#00838f"]
RECALL_TICKS = [0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999]
RECALL_LOW, RECALL_HIGH = 0.7, 0.9995


def recall_position(recall):
    """0..1 along the axis: -log10(1 - recall), clipped to the ends of the axis."""
    low, high = -math.log10(1 - RECALL_LOW), -math.log10(1 - RECALL_HIGH)
    clipped = min(max(recall, RECALL_LOW), RECALL_HIGH)
    return (-math.log10(1 - clipped) - low) / (high - low)


def read(path):
    """{dataset: {(library, variant, threads): [(recall, qps), ...]}}"""
    panels = defaultdict(lambda: defaultdict(list))
    with open(path, newline="", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            line = (row["library"], row["variant"], int(row["threads"]))
            panels[row["dataset"]][line].append((float(row["recall"]), float(row["qps"])))
    return panels


def text(x, y, words, anchor="start", size=12, extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" {extra}>'
            f"{html.escape(words)}</text>")


def axes(out, y_of, low, high):
    right, bottom = PANEL_W - RIGHT, PANEL_H - BOTTOM
    for tick in RECALL_TICKS:
        x = LEFT + recall_position(tick) * (right - LEFT)
        out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>')
        out.append(text(x, bottom + 18, f"{tick:g}", "middle", 11))
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for factor in (1, 2, 5):
            value = factor * 10.0 ** power
            if low <= value <= high:
                y = y_of(value)
                out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#ddd"/>')
                out.append(text(LEFT - 8, y + 4, f"{value:,.0f}", "end", 11))
    out.append(f'<rect x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}" fill="none" stroke="#444"/>')
    out.append(text((LEFT + right) / 2, PANEL_H - 14, "recall@10", "middle"))
    middle = (TOP + bottom) / 2
    out.append(text(16, middle, "queries per second", "middle", 12, f'transform="rotate(-90 16 {middle})"'))


def panel(name, lines, top):
    values = [qps for points in lines.values() for _, qps in points]
    low, high = min(values) / 1.3, max(values) * 1.3
    bottom = PANEL_H - BOTTOM

    def y_of(qps):
        return bottom - (math.log(qps / low) / math.log(high / low)) * (bottom - TOP)

    out = [f'<g transform="translate(0 {top})">', text(LEFT, 24, name, size=15)]
    axes(out, y_of, low, high)
    for i, (line, points) in enumerate(sorted(lines.items())):
        colour = COLOURS[i % len(COLOURS)]
        points = sorted(points)
        kept = [p for p in points if p[0] < RECALL_HIGH] + [p for p in points if p[0] >= RECALL_HIGH][:1]
        places = [(LEFT + recall_position(r) * (PANEL_W - RIGHT - LEFT), y_of(q)) for r, q in kept]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
        y = PANEL_H + 12 + i * LEGEND_ROW
        out.append(f'<rect x="{LEFT}" y="{y - 9}" width="14" height="4" fill="{colour}"/>')
        threads = "1 thread" if line[2] == 1 else f"{line[2]} threads"
        out.append(text(LEFT + 22, y - 3, f"{line[0]} {line[1]}, {threads}"))
    out.append("</g>")
    return out, PANEL_H + len(lines) * LEGEND_ROW + 28


def main():
    if len(sys.argv) != 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    panels = read(sys.argv[1])
    if not panels:
        print(f"{sys.argv[1]}: no rows", file=sys.stderr)
        return 1
    body, height = [], 0
    for name, lines in panels.items():
        parts, used = panel(name, lines, height)
        body.extend(parts)
        height += used
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{PANEL_W}" height="{height}" '
                f'viewBox="0 0 {PANEL_W} {height}" font-family="sans-serif" fill="#222">\n'
                '<rect width="100%" height="100%" fill="white"/>\n')
        f.write("\n".join(body))
        f.write("\n</svg>\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
