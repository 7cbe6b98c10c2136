"""The papers' figures as pictures: PNG and SVG by matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ovvis.outputs.painting import PALETTE
from ovvis.reproduction.figures import Spread

SUFFIXES = (".png", ".svg")
OVERALL, BASE, NOVEL = "#374151", "#2457c5", "#d97706"
RIGHT, BETTER, WRONG = "#15803d", "#2457c5", "#dc2626"
_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "ovvis",  # the same file from the same numbers
    "figure.constrained_layout.use": True,
}

_BELOW: dict[str, Any] = {
    "fontsize": 7,
    "ncols": 2,
    "loc": "upper center",
    "bbox_to_anchor": (0.5, -0.02),
    "frameon": False,
}


@dataclass(frozen=True, slots=True)
class Bars:
    """A group of bars."""

    title: str
    rows: Sequence[tuple[str, Spread, Spread]]  # a name, AP of base and of novel categories; percent


@dataclass(frozen=True, slots=True)
class Matchings:
    """One object's points, and where matchings keep to it."""

    title: str
    places: NDArray[np.float64]  # P, 2
    all_right: NDArray[np.bool_]  # P; by every matching
    better_right: NDArray[np.bool_]  # P; by the better one, but not by every other
    taken: NDArray[np.float64]  # R, 2; what others took in its place
    better: str
    others: str


@contextmanager
def _figure(size: tuple[float, float], columns: int, paths: Sequence[Path], **options: Any) -> Iterator[Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(1, columns, figsize=size, squeeze=False, **options)
        yield axes[0]
        for path in paths:
            facts = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            figure.savefig(path, dpi=130, format=path.suffix[1:], metadata=facts)
        plt.close(figure)


def draw_embeddings(
    places: NDArray[np.float64],
    objects: NDArray[np.int64],
    names: Mapping[int, str],
    matchings: Matchings | None,
    paths: Sequence[Path],
) -> None:
    """Draw query embeddings, coloured by the object that they have; and one object's, by who keeps to it.

    Args:
        places: P, 2.
        objects: P.
        names: of each object.
        matchings: the second picture, if there is one.
        paths: where to.
    """
    columns = 1 if matchings is None else 2
    with _figure((5.4 * columns, 5.0), columns, paths, sharex=True, sharey=True) as axes:
        for place in np.unique(objects).tolist():
            here = places[objects == place]
            axes[0].scatter(*here.T, s=14, color=PALETTE[place % len(PALETTE)], label=names[place], linewidths=0)
        axes[0].set_title("Query embeddings, by the object that they have", fontsize=10)
        axes[0].legend(markerscale=1.4, **_BELOW)
        if matchings is not None:
            _matchings(axes[1], matchings)
        for one in axes:
            one.set(xticks=[], yticks=[])
            one.margins(0.06)


def _matchings(axes: Any, one: Matchings) -> None:
    kinds = (
        (one.places[one.all_right], "o", RIGHT, "kept by all"),
        (one.places[one.better_right], "^", BETTER, f"kept by {one.better}, lost by another"),
        (one.places[~(one.all_right | one.better_right)], "x", OVERALL, f"lost by {one.better}"),
        (one.taken, "s", WRONG, f"taken in its place by {one.others}"),
    )
    for places, marker, colour, label in kinds:
        if len(places):
            axes.scatter(*places.T, s=22, marker=marker, color=colour, label=f"{label} ({len(places)})", linewidths=0.8)
    axes.set_title(one.title, fontsize=10)
    axes.legend(**_BELOW)


def draw_bars(groups: Sequence[Bars], paths: Sequence[Path]) -> None:
    """Draw AP of base and of novel categories, a pair of bars for each row, a panel for each group."""
    rows = max(len(group.rows) for group in groups)
    with _figure((4.6 * len(groups), 1.2 + 0.46 * rows), len(groups), paths) as axes:
        for panel, group in zip(axes, groups, strict=True):
            at = np.arange(len(group.rows))
            for offset, name, colour, which in ((-0.2, "base", BASE, 0), (0.2, "novel", NOVEL, 1)):
                known = [row[1:][which] for row in group.rows]
                means, spreads = [one.mean for one in known], [one.deviation or 0 for one in known]
                error = {"elinewidth": 0.8, "ecolor": OVERALL}
                panel.barh(at + offset, means, 0.38, color=colour, label=name, xerr=spreads, error_kw=error)
                for y, mean, spread in zip(at + offset, means, spreads, strict=True):
                    if not np.isnan(mean):
                        panel.text(mean + spread, y, f" {mean:.1f}", va="center", fontsize=7)
            panel.set_yticks(at, [row[0] for row in group.rows])
            panel.set_ylim(rows - 0.4, -0.6)  # bars of one height everywhere
            panel.set_title(group.title, fontsize=10)
            panel.set_xlabel("AP, percent")
            panel.margins(x=0.12)
            panel.set_xlim(left=0)  # a wide spread reaches below
        axes[0].legend(fontsize=8, loc="upper right", frameon=False)


def draw_windows(
    lengths: Sequence[str], lines: Mapping[str, Sequence[Spread]], title: str, paths: Sequence[Path]
) -> None:
    """Draw AP against the length of the network's window.

    Args:
        lengths: the windows' names, in order.
        lines: by "AP", "base", "novel" a spread for each.
        title: of the picture.
        paths: where to.
    """
    colours = {"AP": OVERALL, "base": BASE, "novel": NOVEL}
    with _figure((5.6, 3.6), 1, paths) as (axes,):
        for shift, (name, spreads) in enumerate(lines.items()):
            x = np.arange(len(lengths)) + 0.06 * (shift - 1)  # so that spreads do not hide each other
            means, spread = [one.mean for one in spreads], [one.deviation or 0 for one in spreads]
            axes.errorbar(x, means, yerr=spread, marker="o", ms=4, capsize=2, lw=1.4, color=colours[name], label=name)
        axes.set_xticks(range(len(lengths)), lengths)
        axes.set(xlabel="frames that the network sees at once (T)", ylabel="AP, percent", ylim=(0, None))
        axes.set_title(title, fontsize=10)
        axes.grid(axis="y", alpha=0.25)
        axes.legend(fontsize=8, ncols=3, frameon=False, loc="lower right")
