"""Draws how CLIP-VIS and OVFormer work: docs/pictures/clip-vis.svg and ovformer.svg.

Usage: python tools/method_diagrams.py docs/pictures
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

WIDTH = 560  # units of the drawing; on a phone's 360 pixels its letters still are 9 pixels high
LEFT, RIGHT, COLUMN = 20, 295, 245
LINE, PADDING = 20, 12

STYLE = """
.page { fill: #ffffff; } text { fill: #1b1e25; font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.title { font-size: 17px; font-weight: 600; } .line { font-size: 14.5px; } .note { font-size: 13.5px; fill: #5b6372; }
.box { stroke-width: 1.5; } .arrow { fill: none; stroke: #5b6372; stroke-width: 1.8; } .tip { fill: #5b6372; }
.frozen { fill: #e3edff; stroke: #2457c5; } .trained { fill: #ffeed6; stroke: #c26a05; }
.rule { fill: #e2f4ee; stroke: #0f8a6d; } .data { fill: #f5f6f8; stroke: #aab1be; }
@media (prefers-color-scheme: dark) {
  .page { fill: #14161b; } text { fill: #e8eaf0; } .note { fill: #a2a9b8; }
  .arrow { stroke: #a2a9b8; } .tip { fill: #a2a9b8; }
  .frozen { fill: #1b2b4d; stroke: #7aa5ff; } .trained { fill: #46310f; stroke: #f5b14c; }
  .rule { fill: #143a30; stroke: #4cc9a4; } .data { fill: #1d2027; stroke: #5d6575; }
}
"""

Kind = Literal["frozen", "trained", "rule", "data"]
KINDS: dict[Kind, str] = {"frozen": "frozen CLIP", "trained": "trained", "rule": "no weights", "data": "in and out"}
Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A part: its title, and lines that say what it does."""

    kind: Kind
    x: float
    y: float
    title: str
    lines: tuple[str, ...] = ()
    width: float = COLUMN

    @property
    def height(self) -> float:
        """Its height, by its lines."""
        return 2 * PADDING + LINE * (1 + len(self.lines))

    @property
    def bottom(self) -> float:
        """Where it ends."""
        return self.y + self.height

    def top(self, share: float = 0.5) -> Point:
        """Return a point of its upper edge."""
        return self.x + share * self.width, self.y

    def foot(self, share: float = 0.5) -> Point:
        """Return a point of its lower edge."""
        return self.x + share * self.width, self.bottom

    def left(self, share: float = 0.5) -> Point:
        """Return a point of its left edge."""
        return self.x, self.y + share * self.height

    def right(self, share: float = 0.5) -> Point:
        """Return a point of its right edge."""
        return self.x + self.width, self.y + share * self.height

    def drawn(self) -> str:
        """Return it as SVG."""
        middle = self.x + self.width / 2
        round_ = 20 if self.kind == "data" else 8
        out = [
            f'<rect class="box {self.kind}" x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" '
            f'height="{self.height:g}" rx="{round_}"/>'
        ]
        for i, text in enumerate((self.title, *self.lines)):
            name, y = "line" if i else "title", self.y + PADDING + LINE * i + 15
            out.append(f'<text class="{name}" x="{middle:g}" y="{y:g}" text-anchor="middle">{escape(text)}</text>')
        return "\n".join(out)


def arrow(*points: Point) -> str:
    """Return an arrow along some points, its tip at the last."""
    (x0, y0), (x1, y1) = points[-2:]
    length = max(abs(x1 - x0), abs(y1 - y0)) or 1
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    end = x1 - 7 * dx, y1 - 7 * dy
    line = " ".join(f"{x:g},{y:g}" for x, y in (*points[:-1], end))
    tip = ((x1, y1), (end[0] - 5 * dy, end[1] + 5 * dx), (end[0] + 5 * dy, end[1] - 5 * dx))
    corners = " ".join(f"{x:g},{y:g}" for x, y in tip)
    return f'<polyline class="arrow" points="{line}"/>\n<polygon class="tip" points="{corners}"/>'


def down(one: Box, other: Box, share: float = 0.5) -> str:
    """Return an arrow from a box to one below it."""
    return arrow(one.foot(share), (one.foot(share)[0], other.y))


def drawing(title: str, told: str, boxes: list[Box], arrows: list[str], notes: list[tuple[Point, str]]) -> str:
    """Return the whole drawing.

    Args:
        title: what it shows.
        told: the same in words, for who does not see it.
        boxes: its parts.
        arrows: between them.
        notes: short words beside arrows.
    """
    foot = max(box.bottom for box in boxes) + 24
    legend, x = [], float(LEFT)
    for kind, name in KINDS.items():
        legend.append(f'<rect class="box {kind}" x="{x:g}" y="{foot:g}" width="22" height="16" rx="4"/>')
        legend.append(f'<text class="note" x="{x + 29:g}" y="{foot + 13:g}">{name}</text>')
        x += 132
    height = foot + 36
    words = [f'<text class="note" x="{x:g}" y="{y:g}">{escape(text)}</text>' for (x, y), text in notes]
    parts = [*arrows, *(box.drawn() for box in boxes), *words, *legend]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        f'role="img" aria-labelledby="title told">\n<title id="title">{escape(title)}</title>\n'
        f'<desc id="told">{escape(told)}</desc>\n<style>{STYLE}</style>\n'
        f'<rect class="page" width="{WIDTH}" height="{height:g}" rx="12"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def clip_vis() -> str:
    """Return CLIP-VIS, one frame from top to bottom."""
    frame = Box("data", LEFT, 20, "one frame")
    words = Box("data", RIGHT, 20, "words")
    encoder = Box("frozen", LEFT, 94, "CLIP's image encoder", ("ResNet-50 or ConvNeXt-B",))
    texts = Box("frozen", RIGHT, 94, "CLIP's text encoder", ("each word in 14 prompts",))
    pixels = Box("trained", LEFT, 188, "Pixel decoder", ("deformable attention,", "strides 32 to 4"))
    queries = Box("trained", LEFT, 302, "Query decoder", ("100 queries, each looks", "where its own mask is"))
    heads = Box("trained", LEFT, 416, "Heads", ("mask, object score,", "mask IoU score"))
    naming = Box(
        "rule",
        RIGHT,
        322,
        "Naming",
        ("CLIP's features under a mask,", "pooled, against the texts;", "weighted by object score", "and mask IoU"),
    )
    matching = Box("rule", LEFT, 530, "Matching over time", ("against the last 9 frames;", "the best 5 of them vote"))
    tracks = Box("data", LEFT, 648, "tracks", ("masks, identity, name, score of each object",), 520)
    beside = (LEFT + COLUMN + RIGHT) / 2
    arrows = [
        down(frame, encoder),
        down(words, texts),
        down(encoder, pixels),
        down(pixels, queries),
        down(queries, heads),
        down(heads, matching),
        down(matching, tracks),
        down(texts, naming, 0.6),
        arrow(encoder.right(0.7), (beside, encoder.right(0.7)[1]), (beside, naming.left(0.25)[1]), naming.left(0.25)),
        arrow(heads.right(0.3), naming.left((heads.right(0.3)[1] - naming.y) / naming.height)),
        arrow(naming.foot(), (naming.foot()[0], tracks.y)),
    ]
    notes = [((beside + 8, 218.0), "features, stride 32")]
    told = (
        "A frozen CLIP encodes the frame. A pixel decoder and a query decoder, trained, make 100 queries of its "
        "features; heads give each a mask, an object score and a mask IoU score. Naming pools CLIP's own features "
        "under each mask and compares them with CLIP's embeddings of the words, weighted by both scores. Matching "
        "compares the queries "
        "with those of the last nine frames, of which the best five vote. Both make the tracks."
    )
    return drawing(
        "CLIP-VIS, for each frame",
        told,
        [frame, words, encoder, texts, pixels, queries, heads, naming, matching, tracks],
        arrows,
        notes,
    )


def ovformer() -> str:
    """Return OVFormer, one window from top to bottom."""
    window = Box("data", LEFT, 20, "a window of 5 frames")
    words = Box("data", RIGHT, 20, "words")
    backbone = Box("trained", LEFT, 94, "Backbone", ("ResNet-50 or Swin-B",))
    eye = Box("frozen", RIGHT, 188, "CLIP's image encoder", ("ViT-B/32: one embedding", "for each frame"))
    pixels = Box("trained", LEFT, 188, "Pixel decoder", ("deformable attention,", "frame by frame"))
    queries = Box(
        "trained", LEFT, 302, "Query decoder", ("a query is one object in all", "frames: codes of place", "and time")
    )
    texts = Box("frozen", RIGHT, 94, "CLIP's text encoder", ("prompts of each word",))
    heads = Box("trained", LEFT, 436, "Heads", ("object score; a mask", "in each frame"))
    align = Box(
        "trained",
        RIGHT,
        322,
        "Alignment",
        ("queries attend to CLIP's", "image embeddings"),
    )
    naming = Box("rule", RIGHT, 436, "Naming", ("aligned queries against", "the texts, by cosine"))
    matching = Box("rule", LEFT, 550, "Matching of windows", ("queries against those of", "the window before"))
    tracks = Box("data", LEFT, 668, "tracks", ("masks, identity, name, score of each object",), 520)
    beside = (LEFT + COLUMN + RIGHT) / 2
    edge = RIGHT + COLUMN + 10
    arrows = [
        down(window, backbone),
        down(words, texts),
        down(backbone, pixels),
        down(pixels, queries),
        down(queries, heads),
        down(heads, matching),
        down(matching, tracks),
        arrow(window.right(), (beside, window.right()[1]), (beside, eye.left(0.4)[1]), eye.left(0.4)),
        down(eye, align),
        arrow(queries.right(0.5), align.left((queries.right(0.5)[1] - align.y) / align.height)),
        down(align, naming),
        arrow(texts.right(), (edge, texts.right()[1]), (edge, naming.right()[1]), naming.right()),
        arrow(naming.foot(), (naming.foot()[0], tracks.y)),
    ]
    told = (
        "A trained backbone, a pixel decoder and a query decoder with codes of place and time make queries of a window "
        "of five frames: a query is one object in all of them; heads give it an object score and a mask in each frame. "
        "A frozen CLIP embeds each frame as a whole; in the alignment, which is trained, the queries attend to these. "
        "Naming compares what comes out with CLIP's embeddings of the words. Matching compares the queries with those "
        "of the window before. Both make the tracks."
    )
    return drawing(
        "OVFormer, for each window",
        told,
        [window, words, backbone, eye, pixels, queries, texts, heads, align, naming, matching, tracks],
        arrows,
        [],
    )


def main() -> None:
    """Draw both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name, text in (("clip-vis.svg", clip_vis()), ("ovformer.svg", ovformer())):
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
