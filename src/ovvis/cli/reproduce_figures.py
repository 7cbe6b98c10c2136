"""`ovvis reproduce figures`: the papers' figures, from what was measured and from the project's own world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ovvis.cli import segmenter as shared
from ovvis.cli.console import out, progress, warn
from ovvis.cli.extras import need
from ovvis.cli.options import Overwrite
from ovvis.cli.process import IN_PART
from ovvis.cli.shards import names_in
from ovvis.errors import InputError, nearest
from ovvis.files.output import OutputFolder
from ovvis.inference.stopwatch import Stopwatch
from ovvis.paths import user_path
from ovvis.reproduction.drawing import SUFFIXES
from ovvis.reproduction.measured import Measured, read_measured
from ovvis.reproduction.paper_figures import bars_of, windows_of, write_bars, write_windows
from ovvis.version import __version__
from ovvis.world.sprites import load_sprites

if TYPE_CHECKING:
    from ovvis.datasets.drawn import DrawnSplit
    from ovvis.inference.pipeline import VideoSegmenter

STICKERS = "clip-vis-stickers"
SHOWN = {
    "embeddings": "CLIP-VIS Fig. 4: query embeddings of a video in two dimensions, and who keeps to an object",
    "base-novel": "OVFormer Figs. 1, 4: AP of base and novel categories",
    "windows": "OVFormer Fig. 5: AP against window length",
}
FACTS = "embeddings.json"
WRITTEN = (*(f"{name}{suffix}" for name in SHOWN for suffix in (*SUFFIXES, ".csv")), FACTS)
MEASURED = ("reproduction", "papers")  # where `ovvis reproduce` writes unless told otherwise


def figures(
    output: Annotated[Path, typer.Option(help="Folder for pictures and numbers.", metavar="DIR")] = Path("figures"),
    chosen: Annotated[
        str | None, typer.Option("--figures", help=f"Some of {', '.join(SHOWN)}; all if not given.")
    ] = None,
    measured: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="What was measured: a folder of ovvis reproduce stickers or papers, their figures.json or papers.csv, "
            f"or a Markdown page with the tables; if not given, {' and '.join(MEASURED)}, where they are.",
            metavar="PLACE",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Of embeddings: whose videos, val, val-hard or val-long.")] = "val-long",
    videos: Annotated[
        int, typer.Option(min=1, help="Of embeddings: how many to look through for the object that tells most.")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of embeddings: added to the split's own; and of the layout.")] = 0,
    overwrite: Overwrite = False,
    model: Annotated[str | None, typer.Option(help=f"Of embeddings: a name from `ovvis models`; {STICKERS}.")] = None,
    weights: shared.Weights = None,
    mirror: shared.Mirror = None,
    device: shared.Device = "auto",
    precision: shared.PrecisionName = "float32",
    short_edge: shared.ShortEdge = None,
) -> None:
    """The papers' figures: query embeddings, base and novel, window lengths; pictures and the numbers beside them."""
    names = names_in(chosen) or list(SHOWN)
    for name in names:
        if name not in SHOWN:
            raise InputError(f"figure {name!r}: there is none of that name; {nearest(name, SHOWN)}")
    known = _measured(measured)
    options = shared.SegmenterOptions(
        model=model or (STICKERS if weights is None else None),
        weights=weights,
        mirror=mirror,
        device=device,
        precision=precision,
        short_edge=short_edge,
    )
    asked = _Asked(split, videos, seed)
    if "embeddings" in names:
        need("the figure of embeddings", "figures", ["sklearn"])
        options.check()
        asked.check()
    missing = []
    with OutputFolder(
        output, [name for name in WRITTEN if name.startswith(tuple(names))], overwrite=overwrite
    ) as folder:

        def paths(name: str) -> list[Path]:
            return [folder.file(f"{name}{suffix}") for suffix in SUFFIXES]

        if "base-novel" in names:
            write_bars(bars_of(known), paths("base-novel"), folder.file("base-novel.csv"))
        if "windows" in names:
            if (found := windows_of(known)) is None:
                missing.append("windows: nothing is measured; ovvis reproduce stickers --tables families measures it")
            else:
                write_windows(*found, paths("windows"), folder.file("windows.csv"))
        if "embeddings" in names:
            facts = _embeddings(options, asked, paths("embeddings"), folder.file("embeddings.csv"))
            folder.file(FACTS).write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        if len(missing) == len(names):
            raise InputError(f"no figure can be made: {missing[0]}")
    for line in missing:
        warn(line)
    done = [name for name in names if not any(line.startswith(name) for line in missing)]
    for name in done:
        out.print(f"{name}.png, .svg, .csv: {SHOWN[name]}", soft_wrap=True)
    out.print(f"Results: {escape(str(folder.path))}", soft_wrap=True)
    if missing:
        raise typer.Exit(IN_PART)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose embeddings."""

    split: str
    videos: int
    seed: int

    def check(self) -> None:
        from ovvis.datasets.stickers import SPLITS

        if self.split not in SPLITS or self.split == "train":
            raise InputError(
                f"--split {self.split}: {nearest(self.split, [name for name in SPLITS if name != 'train'])}"
            )

    def drawn(self) -> DrawnSplit:
        from ovvis.datasets.drawn import DrawnSplit
        from ovvis.datasets.stickers import SPLITS

        one = SPLITS[self.split]
        return DrawnSplit(one, load_sprites(), min(self.videos, one.videos), self.seed)


def _measured(given: Sequence[Path] | None) -> list[Measured]:
    places = [user_path(place) for place in given or ()]
    if not places:
        places = [Path(name) for name in MEASURED if Path(name).is_dir() and any(Path(name).glob("*.[jc]s*"))]
    return [one for place in places for one in read_measured(place)]


def _embeddings(
    options: shared.SegmenterOptions, asked: _Asked, pictures: Sequence[Path], table: Path
) -> dict[str, Any]:
    """Draw the embeddings of the video that tells most, and return its numbers."""
    shared.prepare_process()
    from ovvis.datasets.words import dataset_vocabulary
    from ovvis.reproduction.embedding_figure import draw, telling_video

    drawn = asked.drawn()
    vocabulary, ids = dataset_vocabulary(drawn.categories)
    segmenter: VideoSegmenter = options.load(vocabulary, Stopwatch())
    with progress("looking for the object that tells most", "frames") as step:
        found = telling_video(segmenter, drawn, {category: label for label, category in enumerate(ids)}, step)
    with progress("laying out", "pictures"):
        facts = draw(found, drawn, pictures, table, asked.seed)
    about = {"model": segmenter.model.name, "split": asked.split, "seed": drawn.own_seed, "ovvis": __version__}
    return about | {"weights_sha256": options.weights_digest(segmenter.model.name)} | facts
