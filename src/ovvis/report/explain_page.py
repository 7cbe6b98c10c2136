"""The report of `ovvis evaluate --explain`: what a model's AP is lost to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ovvis.evaluation.error_types import KINDS
from ovvis.evaluation.explanation import ORACLES, Explanation
from ovvis.report.page import bars, figures, page, section, table
from ovvis.report.strips import Strip
from ovvis.report.videos import video_html
from ovvis.version import __version__

TITLES = {
    "name": "Wrong name",
    "mask": "Poor mask",
    "switch": "Identity switch",
    "broken": "Broken track",
    "both": "Name and track",
    "duplicate": "Duplicate",
    "background": "Background",
    "uncounted": "Not counted",
    "missed": "Missed",
}
ROWS = 10  # categories and pairs of names


def explain_page(explanation: Explanation, dataset: str, results: str, strips: Sequence[Strip]) -> str:
    """Return the report as one HTML file's text.

    Args:
        explanation: the figures.
        dataset: the data set's name.
        results: where the results come from.
        strips: the worst videos.
    """
    report = explanation.report
    subtitle = f"{results} on {dataset}, counted by the rules of {report.rules}"
    sections = [
        _overview(explanation),
        _losses(explanation),
        _oracles(explanation),
        _categories(explanation),
        _confusions(explanation),
        _videos(strips),
    ]
    foot = (
        f"ovvis {__version__}. An error is worth the AP that is regained if errors of its kind, and no others, are "
        "repaired; gains act on each other and do not add up. Overlap is counted over all frames of a video. "
        "docs/explain.md defines every kind; errors.csv lists every error; explain.json holds the figures."
    )
    return page("What AP is lost to", subtitle, [part for part in sections if part], foot, drawn=bool(strips))


def _overview(explanation: Explanation) -> str:
    metrics = explanation.report.metrics
    results, truths = len(explanation.results.score), int((~explanation.truths.ignored).sum())
    large = [
        (name, _percent(metrics["all"][name])) for name in ("AP", "AP50", "AP75", f"AR{explanation.report.limits[-1]}")
    ]
    losses = {kind: gain["AP"] for kind, gain in explanation.losses().items() if kind in KINDS}
    kind = max(losses, key=lambda name: losses[name])
    lead = f"{results:,} results for {truths:,} objects in {len(explanation.videos):,} videos; in percent."
    if losses[kind] > 0:
        lead += f" Most is lost to “{TITLES[kind].lower()}”: {KINDS[kind]}, {100 * losses[kind]:.1f} points."
    # Precision of all, and recall by the number of results.
    shown = [name for name in explanation.report.names if name.startswith("AP") or name[2:].isdigit()]
    rows = [[group, *(_percent(metrics[group][name]) for name in shown)] for group in metrics]
    return section("Average precision", lead, figures(large), table(["group", *shown], rows))


def _losses(explanation: Explanation) -> str:
    groups = [group for group in explanation.report.groups if explanation.members(group).any()]
    if not groups:
        return section("What AP is lost to", "The data set has no truth to be found.")
    losses, counts = {group: explanation.losses(group) for group in groups}, explanation.counts()
    kinds = [kind for kind in KINDS if kind != "uncounted" or counts[kind]]
    kinds.sort(key=lambda kind: -losses["all"][kind]["AP"])
    drawn = [(TITLES[kind], KINDS[kind], [100 * losses[group][kind]["AP"] for group in groups]) for kind in kinds]
    special = {"No wrong result": "no wrong result", "No object missed": "no truth missed"}
    rows = [[TITLES[kind], *_gains(losses["all"][kind]), f"{counts[kind]:,}"] for kind in kinds]
    rows += [[title, *_gains(losses["all"][name]), ""] for title, name in special.items()]
    return section(
        "What AP is lost to",
        "Points of AP regained if all errors of one kind, and no others, were repaired.",
        bars(drawn, groups),
        table(["points regained, all", "AP", "AP50", "AP75", "errors at 0.5"], rows),
    )


def _oracles(explanation: Explanation) -> str:
    groups = [group for group in explanation.report.groups if explanation.members(group).any()]
    without = {group: explanation.figures(group) for group in groups}
    given = {group: explanation.oracle_figures(group) for group in groups}
    rows = [["as it is", *(_percent(without[group]["AP"]) for group in groups)]]
    rows += [[name, *(_percent(given[group][name]["AP"]) for group in groups)] for name in ORACLES]
    return section(
        "With an oracle",
        "AP if each result had the name, the masks, or both, of the object that it overlaps most.",
        table(["AP, percent", *groups], rows),
    )


def _categories(explanation: Explanation) -> str:
    ap, losses = explanation.precisions.mean(axis=1), explanation.category_losses()
    counts = np.bincount(explanation.truths.category[~explanation.truths.ignored], minlength=len(ap))
    held = np.flatnonzero(explanation.precisions[:, 0] >= 0)
    if not len(held):
        return ""
    worst_first = held[np.lexsort((held, -counts[held], ap[held]))].tolist()
    lowest = worst_first[: min(ROWS, (len(held) + 1) // 2)]
    best_first = sorted(worst_first[len(lowest) :], key=lambda k: (-ap[k], -counts[k], k))

    def rows(order: Sequence[int]) -> list[list[str]]:
        out = []
        for k in order:
            kind = int(losses[k].argmax())
            most = f"{list(TITLES.values())[kind]} ({100 * losses[k, kind]:.0f})" if losses[k, kind] > 0 else ""
            category = explanation.report.categories[k]
            name = f"{category.name} ({', '.join(category.groups)})" if category.groups else category.name
            out.append([name, most, str(counts[k]), _percent(float(ap[k]))])
        return out

    head = ["category", "most is lost to (points)", "objects", "AP"]
    worst, best = rows(lowest), rows(best_first[:ROWS])
    return section(
        "Categories",
        f"Those of lowest and of highest AP among {len(held):,} that have objects; of equals the one with more.",
        f'<div class="pair"><div><h3>Lowest</h3>{table(head, worst, 2)}</div>'
        f"<div><h3>Highest</h3>{table(head, best, 2)}</div></div>\n",
    )


def _confusions(explanation: Explanation) -> str:
    pairs, categories = explanation.confusions(), explanation.report.categories
    if not pairs:
        return ""
    counts = np.bincount(explanation.truths.category, minlength=len(categories))
    rows = [[categories[a].name, categories[b].name, str(n), str(counts[a])] for a, b, n in pairs[:ROWS]]
    mistaken, seen = sum(n for _, _, n in pairs), int((explanation.best_on >= 0).sum())
    return section(
        "Mistaken names",
        f"Of {seen:,} objects on whose mask there is a result, the best-scored one says another name on {mistaken:,}. "
        "The most frequent pairs:",
        table(["object", "is called", "times", "of objects"], rows, 2),
    )


def _videos(strips: Sequence[Strip]) -> str:
    if not strips:
        return ""
    plain = any(strip.plain for strip in strips)
    return section(
        f"The {len(strips)} worst videos" if len(strips) > 1 else "The worst video",
        "A video is as bad as the AP, over the whole data set, that is regained if all of its errors are repaired and "
        "no other's. Above is what was found, below the truth; a track has the colour of the object that it overlaps "
        "most, one of its name before others. Of results with the same masks the best-scored is shown, and of these "
        "the best-scored: as many as there are objects, three at least. What is said of each holds at an overlap of "
        "0.5. The line of each shows where it is seen and how large, with a mark at each frame that is shown; point at "
        "one to light it up, ● hides it, S shows it alone."
        + (" Frames that are not on this disk are grey." if plain else ""),
        *(video_html(strip, rank, TITLES) for rank, strip in enumerate(strips, 1)),
    )


def _percent(value: float) -> str:
    return "–" if value < 0 else f"{100 * value:.1f}"


def _gains(figures: dict[str, float]) -> list[str]:
    return [f"+{100 * value:.1f}" for value in figures.values()]
