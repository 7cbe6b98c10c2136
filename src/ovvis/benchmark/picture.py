"""A run as curves: seconds and memory against size, words and length, and where a frame's time goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ovvis.benchmark.plan import Row
from ovvis.benchmark.records import Record, Result
from ovvis.benchmark.tables import shared, title

Value = Callable[[Row], float]

CURVES: dict[str, tuple[Value, str, tuple[str, ...]]] = {
    "size": (lambda row: row.height * row.width / 1e6, "megapixels of a frame", ("height", "width")),
    "words": (lambda row: row.words, "words", ("words",)),
    "frames": (lambda row: row.frames, "frames of the video", ("frames",)),
}
"""Of each axis its value, its name, and the fields of a row that hold it."""


def draw(record: Record, path: Path) -> bool:
    """Draw a run's videos as a PNG; return whether there were any.

    Args:
        record: the run.
        path: where to draw.
    """
    results = [result for result in record.measured if result.row.task == "video"]
    if not results:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    axes = {axis: curves(results, axis) for axis in CURVES}
    axes = {axis: lines for axis, lines in axes.items() if lines}
    rows = 2 if axes else 0
    height = 3.2 * rows + 0.9 + 0.32 * len(results)
    figure = plt.figure(figsize=(max(9.0, 4.5 * len(axes)), height), layout="constrained")
    grid = figure.add_gridspec(rows + 1, max(1, len(axes)), height_ratios=[3.2] * rows + [0.9 + 0.32 * len(results)])
    for column, (axis, lines) in enumerate(axes.items()):
        for line, (how, name) in enumerate(((_seconds, "seconds a frame"), (_memory, "peak memory, MiB"))):
            part = figure.add_subplot(grid[line, column])
            for label, points in lines.items():
                how(part, [CURVES[axis][0](point.row) for point in points], points, label)
            part.set_ylim(0, 1.1 * part.dataLim.ymax)
            part.set_ylabel(name)
            part.set_xlabel(CURVES[axis][1])
            if axis != "size":
                places = sorted({CURVES[axis][0](point.row) for points in lines.values() for point in points})
                part.set_xscale("log")
                part.set_xticks(places, [f"{place:,.0f}" for place in places])
                part.minorticks_off()
            part.grid(alpha=0.3)
            if line == 0:
                part.legend(fontsize=7)
    _stages(figure.add_subplot(grid[rows, :]), results)
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)
    return True


def curves(results: Sequence[Result], axis: str) -> dict[str, list[Result]]:
    """Return the rows that differ in one axis alone, at least two of a kind, in its order, by what they share."""
    value, _, own = CURVES[axis]
    alike: dict[Row, list[Result]] = {}
    for result in results:
        alike.setdefault(msgspec.structs.replace(result.row, **dict.fromkeys(own, 0)), []).append(result)
    found = {}
    for points in alike.values():
        if len({value(point.row) for point in points}) > 1:
            row = points[0].row
            shared = {"size": "", "words": f"{row.words:,} words", "frames": f"{row.frames} frames"}
            kept = [row.model, row.precision, *(text for name, text in shared.items() if name != axis and text)]
            kept += [row.size] if axis != "size" else []
            kept += [part for part in (row.device if row.device != "cpu" else "", row.tracker, row.way) if part]
            label = ", ".join(part for part in kept if part != "ovvis")
            found[label] = sorted(points, key=lambda point: value(point.row))
    return found


def _seconds(part: Any, x: Sequence[float], points: Sequence[Result], label: str) -> None:
    y = [point.median for point in points]
    low = [point.median - min(point.seconds) for point in points]
    high = [max(point.seconds) - point.median for point in points]
    part.errorbar(x, y, yerr=(low, high), marker="o", capsize=3, label=label)


def _memory(part: Any, x: Sequence[float], points: Sequence[Result], label: str) -> None:
    known = [(at, point.peak_mib) for at, point in zip(x, points, strict=True) if point.peak_mib is not None]
    part.plot([at for at, _ in known], [peak for _, peak in known], marker="o", label=label)


def _stages(part: Any, results: Sequence[Result]) -> None:
    """Draw a bar for each row, a piece for each stage."""
    names = list(dict.fromkeys(name for result in results for name in result.stages))
    common = shared([result.row for result in results])
    titles = [title(result.row, common) for result in results]
    left = [0.0] * len(results)
    for name in names:
        widths = [result.stages.get(name, 0.0) for result in results]
        part.barh(titles, widths, left=left, label=name)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    part.invert_yaxis()
    part.set_xlabel(", ".join(["seconds a frame, by stage", *common]), fontsize=8)
    part.tick_params(axis="y", labelsize=7)
    part.legend(fontsize=7, ncols=3)
