"""Draws the ablations of docs/reproduction-tables.md as bars: AP of chosen rows on both kinds of videos.

Usage: python tools/ablation_picture.py docs/reproduction-tables.md docs/pictures/ablations.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ovvis.reproduction.figures import Spread
from ovvis.reproduction.measured import read_measured

SPLITS = {"val": "val: 24 frames", "val-long": "val-long: 120 frames, crowded"}
CHOSEN = {
    "modules": ("neither", "WOC", "WOC and TKM"),
    "weighting": ("none", "mask IoU", "object", "both"),
    "matching": ("adjacent", "long-term", "T 9, K 1", "T 9, K 5", "T 9, K 5, births", "T 9, K 5, births, names"),
    "oracles": ("nothing given", "names", "identities", "names and identities", "masks and identities"),
}
TITLES = {
    "modules": "Modules (CLIP-VIS II)",
    "weighting": "Weighting (III)",
    "matching": "Matching (V), and ours",
    "oracles": "Parts told by the truth",
}


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    asked = parser.parse_args()
    tables: dict[tuple[str, str], dict[str, Spread]] = {}
    for one in read_measured(asked.page):
        tables.setdefault((one.table, one.split), {})[one.row] = one.AP
    draw(tables, asked.picture)


def draw(tables: dict[tuple[str, str], dict[str, Spread]], picture: Path) -> None:
    """Draw a panel for each split, with a group of bars for each table."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 6.2), sharey=True, layout="constrained")
    for axes, (split, title) in zip(panels, SPLITS.items(), strict=True):
        place, places, names = 0.0, [], []
        for number, (table, rows) in enumerate(CHOSEN.items()):
            axes.text(0, place - 0.15, TITLES[table], va="bottom", fontsize=9, fontweight="bold")
            for row in rows:
                place += 1
                mean, spread = tables[table, split][row].mean, tables[table, split][row].deviation or 0
                axes.barh(place, mean, 0.75, color=f"C{number}", xerr=spread, error_kw={"elinewidth": 0.8})
                axes.text(mean + spread + 1, place, f"{mean:.1f}", va="center", fontsize=8)
                places.append(place)
                names.append(row)
            place += 1.6
        axes.set(title=title, xlim=(0, 100), ylim=(place - 1, -0.9), xlabel="AP (percent), spread over three seeds")
        axes.set_yticks(places, names, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    main()
