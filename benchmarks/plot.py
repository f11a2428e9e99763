"""Draws a roofline: what benchmarks/run measured, over the arithmetic intensity that the plans predict.

plot.py RESULTS.json FILE.svg     RESULTS.json is what --benchmark_out writes; benchmarks/run --plot calls it
Every kernel is a point with a label at the left (memory sets its limit) or at the right (arithmetic does). Needs matplotlib (Debian:
python3-matplotlib). The picture has no background of its own and follows the reader's choice of light or dark.
"""
import json
import re
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

INK, PALE = "#1f2328", "#8c959f"  # in the dark these two become:
DARK = {INK: "#e6edf3", PALE: "#6e7681"}
COLORS = {"decode": "#2f81f7", "prefill": "#d1570f", "skeleton": "#2da44e"}
INCHES_PER_LABEL = 0.17


def points_of(results):
    points = []
    for b in results["benchmarks"]:
        if b.get("error_occurred") or b.get("aggregate_name", "median") != "median" or not b.get("GFLOP/s"):
            continue
        name = re.sub(r"/real_time.*$", "", b["name"])
        kind = "decode" if "/decode" in name else "prefill" if "/prefill" in name else "skeleton"
        points.append({"name": name.replace("/", " "), "kind": kind, "x": b["GFLOP/s"] / b["GB/s"], "y": b["GFLOP/s"], "roof": b["roof"]})
    return points


def spread(values, gap, low, high):
    """Moves sorted values apart until neighbours have at least `gap` between them, within low and high."""
    gap = min(gap, (high - low) / max(len(values) - 1, 1))
    placed = []
    for v in values:
        placed.append(max(v, placed[-1] + gap if placed else low))
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], high if i == len(placed) - 1 else placed[i + 1] - gap)
    return placed


def draw(results, path):
    context = results["context"]
    bandwidth = float(context["read_bytes_per_second"]) / 1e9
    peaks = {kind: float(context[kind + "_flops"]) / 1e9 for kind in ("f32", "bf16", "int8")}
    points = points_of(results)
    if not points:
        sys.exit("plot.py: no benchmark with GFLOP/s in the results")
    ridge = peaks["f32"] / bandwidth
    sides = {"left": sorted((p for p in points if p["x"] < ridge), key=lambda p: p["y"]),
             "right": sorted((p for p in points if p["x"] >= ridge), key=lambda p: p["y"])}

    height = max(6.0, INCHES_PER_LABEL * max(map(len, sides.values())) + 1.5)
    figure, axes = plt.subplots(figsize=(14, height))
    figure.subplots_adjust(left=0.27, right=0.73, top=1 - 0.55 / height, bottom=0.6 / height)
    x_low, x_high = min(p["x"] for p in points) / 2, max(max(p["x"] for p in points), 8 * ridge) * 2
    y_low, y_high = min(p["y"] for p in points) / 2, max(peaks.values()) * 1.6
    axes.set(xscale="log", yscale="log", xlim=(x_low, x_high), ylim=(y_low, y_high), xlabel="FLOP per byte")
    axes.tick_params(axis="y", direction="in", pad=-26)

    highest = max(peaks.values())
    axes.plot([x_low, highest / bandwidth], [x_low * bandwidth, highest], color=INK, lw=1.4)
    axes.annotate(f"read {bandwidth:.1f} GB/s", (ridge / 3, ridge / 3 * bandwidth), (-6, 2), textcoords="offset points", color=INK, ha="right", fontsize=9)
    axes.text(x_low, y_high, "  GFLOP/s", color=INK, va="top", fontsize=10)
    for kind, peak in peaks.items():
        axes.plot([peak / bandwidth, x_high], [peak, peak], color=INK, lw=1.4)
        axes.text(x_high, peak * 1.03, f"{kind} {peak:.0f} ", color=INK, ha="right", va="bottom", fontsize=9)

    from_y = axes.transData.transform
    to_axes = axes.transAxes.inverted().transform
    for side, chosen in sides.items():
        own = [to_axes(from_y((p["x"], p["y"])))[1] for p in chosen]
        label_x, edge, align = (-0.03, 0.0, "right") if side == "left" else (1.03, 1.0, "left")
        for p, y, label_y in zip(chosen, own, spread(own, INCHES_PER_LABEL / (height - 1.15), 0, 1)):
            x = to_axes(from_y((p["x"], p["y"])))[0]
            color = COLORS[p["kind"]]
            axes.plot([x, edge, label_x], [y, label_y, label_y], transform=axes.transAxes, color=PALE, lw=0.4, clip_on=False, zorder=1)
            axes.plot([x], [y], "o", transform=axes.transAxes, color=color, ms=4.5, zorder=3)
            axes.text(label_x, label_y, f" {p['name']}, {100 * p['roof']:.0f} % ", transform=axes.transAxes, color=INK, fontsize=8, ha=align, va="center")

    for kind, color in COLORS.items():
        if any(p["kind"] == kind for p in points):
            axes.plot([], [], "o", color=color, ms=5, label=kind)
    legend = axes.legend(loc="lower right", frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_color(INK)
    axes.set_title(f"{context['cpu']}, {context['instruction_set']}, {context['threads']} threads; beside each name: of the roofline", color=INK, fontsize=11)
    axes.xaxis.label.set_color(INK)
    axes.tick_params(which="both", colors=INK)
    for spine in axes.spines.values():
        spine.set_color(PALE)
    plt.rcParams["svg.fonttype"] = "none"
    figure.savefig(path, transparent=True)

    with open(path, encoding="utf-8") as file:
        svg = file.read()
    rules = "".join(f'[style*="{kind}: {light}"]{{{kind}:{dark}!important}}' for light, dark in DARK.items() for kind in ("fill", "stroke"))
    svg = re.sub(r"(<svg[^>]*>)", rf"\1<style>@media (prefers-color-scheme:dark){{{rules}}}</style>", svg, count=1)
    with open(path, "w", encoding="utf-8") as file:
        file.write(svg)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        draw(json.load(file), sys.argv[2])


if __name__ == "__main__":
    main()
