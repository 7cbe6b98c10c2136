"""A video of the report: its frames, masks and timelines, which the viewer's script draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ovvis.plain import visible
from ovvis.report.strips import Shown, Strip
from ovvis.viewer.page import as_script, escape
from ovvis.viewer.timeline import columns_of


def video_html(strip: Strip, rank: int, titles: Mapping[str, str]) -> str:
    """Return a video's part of the page.

    Args:
        strip: the video.
        rank: its place, from 1.
        titles: of the kinds of errors.
    """
    wrong = ", ".join(f"{count} {titles[kind].lower()}" for kind, count in strip.wrong)
    said = f"Wrong results: {wrong}." if wrong else "No wrong result."
    if strip.hidden:
        said += f" {strip.hidden} result{'s' if strip.hidden > 1 else ''} of the same masks or a lower score not shown."
    title = escape(f"{strip.name} ({strip.folder})" if strip.folder else strip.name)
    return (
        f'<article class="video"><header><h3>{rank}. {title}</h3>'
        f"<b>{100 * strip.loss:.2f} points</b></header>\n<p>{escape(said)}</p>\n"
        f'<div class="label">Found</div>{_rows("found", strip.found, "nothing")}'
        f'<div class="strip">{_frames(strip, "found")}{_frames(strip, "truth")}</div>\n'
        f'<div class="label">Truth</div>{_rows("truth", strip.true, "no annotated object")}'
        f'<script type="application/json">{as_script(_facts(strip, titles))}</script></article>\n'
    )


def _rows(what: str, tracks: Sequence[Shown], none: str) -> str:
    return f'<ul class="rows {what}"></ul>\n' if tracks else f'<p class="none">{escape(none)}</p>\n'


def _frames(strip: Strip, what: str) -> str:
    cells = []
    for frame, image in zip(strip.frames, strip.images, strict=True):
        note = f"<figcaption>frame {frame}</figcaption>" if what == "truth" else ""
        alt = escape(f"{what}, {strip.name}, frame {frame}")
        picture = f'<div class="picture"><img src="{image}" alt="{alt}"><canvas></canvas></div>'
        cells.append(f"<figure>{picture}{note}</figure>")
    style = f"grid-template-columns:repeat({len(cells)},1fr)"
    return f'<div class="frames {what}" style="{style}">{"".join(cells)}</div>\n'


def _facts(strip: Strip, titles: Mapping[str, str]) -> dict[str, Any]:
    """Return what the script is told, as the viewer's rows and painter take it."""
    names = {track.name for track in (*strip.found, *strip.true)}
    return {
        "height": strip.size[0],
        "width": strip.size[1],
        "fps": 1,
        "unit": "frame",
        "frames": list(range(strip.length)),
        "times": list(range(strip.length)),
        "columns": columns_of(strip.length),
        "marks": strip.frames,
        "plain": {name: visible(name) for name in names if visible(name) != name},
        "found": [_tube(track, titles) for track in strip.found],
        "truth": [_tube(track, titles) for track in strip.true],
    }


def _tube(track: Shown, titles: Mapping[str, str]) -> dict[str, Any]:
    right = "found" if track.score is None else "right"
    note = {"text": right, "kind": "good"}
    if track.kind:
        note = {"text": titles[track.kind].lower(), "kind": "bad"}
    elif track.passed:
        note = {"text": "not counted", "kind": ""}
    return {
        "id": track.id,
        "label": track.name,
        "names": [(track.name, track.score)],
        "score": track.score,
        "colour": track.colour,
        "note": note,
        "codes": track.codes,
        **track.timeline,
    }
