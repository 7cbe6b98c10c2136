"""A run as curves: seconds and memory against size, words and length, and where a frame's time goes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ovvis.benchmark.plan import Row
from ovvis.benchmark.records import Record, Result
from ovvis.benchmark.tables import parts, seconds, shared, title

Lines = dict[str, list[Result]]

CURVES: dict[str, tuple[Callable[[Row], float], str, tuple[str, ...]]] = {
    "size": (lambda row: row.height * row.width / 1e6, "by size of the frame", ("height", "width")),
    "words": (lambda row: row.words, "by number of words", ("words",)),
    "frames": (lambda row: row.frames, "by length in frames", ("frames",)),
}
"""Of each axis a row's place on it, how it is said, and the fields of a row that it is made of."""
COLOURS = ("#2f7fc8", "#e2792f", "#2a9d7c", "#b05cb8", "#c79a1b", "#d1495b")
STAGES = {
    "backbone": "#41658f",
    "pixel decoder": "#6f9acb",
    "query decoder": "#9dbfe3",
    "other network": "#4fa3a1",
    "network": "#6f9acb",
    "read": "#7f9a4e",
    "names": "#d0a340",
    "tracking": "#c46b7c",
    "tubes": "#bf6f3c",
    "masks": "#9b6596",
}
"""Of lines, and of stages: bright enough on black, dark enough on white."""
PAPER, INK, PALE, REST = "#ffffff", "#1f2328", "#d0d7de", "#8b949e"
DARK = {PAPER: "#0d1117", INK: "#e6edf3", PALE: "#30363d"}
"""What an SVG's colours become where the reader's pages are dark."""
SMALL = 0.03  # stages that take less than this share of every row's frame are drawn as one
APART = 0.12  # of an axis: marks that are nearer than this would run into each other
_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), PAPER),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), PALE),
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "legend.frameon": False,
}


def draw(record: Record, path: Path) -> bool:
    """Draw a run's videos; return whether there were any.

    Args:
        record: the run.
        path: where to draw: a PNG, or an SVG that is light or dark as its reader's pages are.
    """
    results = [result for result in record.measured if result.row.task == "video"]
    if not results:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    svg = path.suffix == ".svg"
    with plt.rc_context(_STYLE):
        figure = _figure(plt, results, {axis: lines for axis in CURVES if (lines := curves(results, axis))})
        facts = {"Date": None} if svg else {"Software": None}
        figure.savefig(path, dpi=130, format="svg" if svg else "png", metadata=facts)
        plt.close(figure)
    if svg:
        path.write_text(_in_the_dark(path.read_text(encoding="utf-8")), encoding="utf-8")
    return True


def curves(results: Sequence[Result], axis: str) -> Lines:
    """Return the rows that differ in one axis alone, at least two of a kind, in its order, by what sets them apart."""
    value, _, own = CURVES[axis]
    alike: dict[Row, list[Result]] = {}
    for result in results:
        alike.setdefault(msgspec.structs.replace(result.row, **dict.fromkeys(own, 0)), []).append(result)
    kinds = {kind: points for kind, points in alike.items() if len({value(point.row) for point in points}) > 1}
    rows = list(kinds)
    common = {*shared(rows)} if len(rows) > 1 else {part for row in rows for part in parts(row).values()}
    common -= {row.model for row in rows}
    return {
        title(kind, {*common, parts(kind)[axis]}): sorted(points, key=lambda point: value(point.row))
        for kind, points in kinds.items()
    }


def _figure(plt: Any, results: Sequence[Result], axes: Mapping[str, Lines]) -> Any:
    # Seconds above memory, an axis a column; of a single axis they stand side by side.
    rows, columns = (min(2, len(axes)), len(axes)) if len(axes) != 1 else (1, 2)
    heights = [2.7 * rows + 0.3 * bool(rows), 1.1 + 0.25 * len(results)]
    figure = plt.figure(figsize=(max(9.5, 4.2 * columns), sum(heights)), layout="constrained")
    if not axes:
        _stages(figure, results)
        return figure
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    names = list(dict.fromkeys(label for lines in axes.values() for label in lines))
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
    parts_of = above.subplots(rows, columns, squeeze=False)
    for number, (axis, lines) in enumerate(axes.items()):
        for line, (what, curve) in enumerate((("Seconds a frame", _seconds), ("Peak memory, GiB", _memory))):
            part = parts_of[(line, number) if rows == 2 else (0, line)]
            for label, points in lines.items():
                curve(part, [CURVES[axis][0](point.row) for point in points], points, colours[label])
            part.set_title(f"{what}, {CURVES[axis][1]}")
            _scale(part, axis, [point.row for points in lines.values() for point in points])
    handles = [plt.Line2D([], [], color=colours[name], marker="o", label=name) for name in names]
    above.legend(handles=handles, loc="outside upper left", ncols=min(4, len(names)))
    _stages(below, results)
    return figure


def _seconds(part: Any, x: Sequence[float], points: Sequence[Result], colour: str) -> None:
    y = [point.median for point in points]
    spread = [[point.median - min(point.seconds) for point in points], [max(p.seconds) - p.median for p in points]]
    part.errorbar(x, y, yerr=spread, marker="o", markersize=5, capsize=3, color=colour)


def _memory(part: Any, x: Sequence[float], points: Sequence[Result], colour: str) -> None:
    known = [(at, point.peak_mib / 1024) for at, point in zip(x, points, strict=True) if point.peak_mib is not None]
    part.plot([at for at, _ in known], [peak for _, peak in known], marker="o", markersize=5, color=colour)


def _scale(part: Any, axis: str, rows: Sequence[Row]) -> None:
    """Let an axis of sizes begin at zero, others go by powers; mark the rows, and say what they share."""
    value = CURVES[axis][0]
    places = sorted({value(row): parts(row)[axis].split()[0] for row in rows}.items())
    part.set_ylim(0, 1.12 * part.dataLim.ymax)
    if axis == "size":
        part.set_xlim(0, 1.1 * places[-1][0])
    else:
        part.set_xscale("log")
        part.margins(x=0.1)
    part.minorticks_off()
    where = part.transScale.transform([(place, 1.0) for place, _ in places])[:, 0]
    kept: list[int] = []
    for number, at in enumerate(where):
        if not kept or at - where[kept[-1]] > APART * (where[-1] - where[0]):
            kept.append(number)
    part.set_xticks([places[n][0] for n in kept], [places[n][1] for n in kept])
    part.grid(axis="y")
    models = {row.model for row in rows}
    part.set_xlabel(", ".join(text for text in shared(rows) if text not in models))


def _stages(figure: Any, results: Sequence[Result]) -> None:
    """Draw a bar for each row, a piece for each stage; those that are small everywhere are one."""
    part = figure.subplots()
    names = list(dict.fromkeys(name for result in results for name in result.stages))
    small = [n for n in names if all(r.stages.get(n, 0.0) < SMALL * r.median for r in results)]
    pieces = [[name] for name in names if name not in small] + [small] * bool(small)
    common = shared([result.row for result in results])
    ends = [0.0] * len(results)
    for number, piece in enumerate(pieces):
        widths = [sum(result.stages.get(name, 0.0) for name in piece) for result in results]
        colour = REST if piece is small else STAGES.get(piece[0], COLOURS[number % len(COLOURS)])
        label = ", ".join(piece) if len(piece) < 3 else "everything else"
        part.barh(range(len(results)), widths, left=ends, label=label, color=colour, height=0.72)
        ends = [a + b for a, b in zip(ends, widths, strict=True)]
    for number, (result, end) in enumerate(zip(results, ends, strict=True)):
        part.annotate(
            seconds(result.median), (end, number), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
    part.set_yticks(range(len(results)), [title(result.row, common) for result in results], fontsize=8)
    part.invert_yaxis()
    part.set_xlim(0, 1.08 * max(ends, default=1.0))
    part.tick_params(axis="y", length=0)
    part.set_title("Seconds a frame, by stage")
    part.set_xlabel(", ".join(common))
    if pieces:
        figure.legend(loc="outside lower left", ncols=min(8, len(pieces)), columnspacing=1.4, handlelength=1.2)


def _in_the_dark(svg: str) -> str:
    """Return a drawing whose paper and ink follow the reader's pages."""
    rules = [
        f'[style*="{name}: {light}"] {{ {name}: {dark} !important; }}'
        for light, dark in DARK.items()
        for name in ("fill", "stroke")
    ]
    style = "\n".join(["<style>@media (prefers-color-scheme: dark) {", *rules, "}</style>"])
    return re.sub(r"(<svg\b[^>]*>)", lambda head: f"{head[1]}\n{style}", svg, count=1)
