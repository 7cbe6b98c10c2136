"""`ovvis world`: the sprites of the project's own world, and datasets made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovvis.cli.console import out, progress, warn
from ovvis.cli.lazy import several
from ovvis.cli.options import Overwrite
from ovvis.cli.stopping import STOPPING
from ovvis.files.lock import hold
from ovvis.files.output import whole_file
from ovvis.paths import cache_folder
from ovvis.world.sprites import PINNED, Sprites, draw_all, load_sprites, sprites_path

app = several(
    "The project's own world of illustrated objects: make its sprites, write its datasets.", no_args_is_help=True
)


@app.callback()
def world() -> None:
    """The project's own world of illustrated objects."""


@app.command()
def build(
    again: Annotated[bool, typer.Option("--again", help="Draw the sprites anew even if they are here.")] = False,
) -> None:
    """Fetch the pinned npm packages and draw their sprites into the cache; a second run does nothing."""
    path = sprites_path()
    if path.is_file() and not again:
        out.print(f"{path}: {_held(load_sprites(path))}; nothing to do", soft_wrap=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with hold(path.parent, "-sprites", lambda: warn("another process is drawing the sprites: waiting")) as waited:
        if waited and path.is_file():
            sprites = load_sprites(path)
        else:
            with progress("drawing", "sprites") as advance:
                sprites = draw_all(cache_folder() / "world" / "npm", advance)
            with whole_file(path) as partial:
                sprites.save(partial)
    out.print(f"{path}: {_held(sprites)}, {path.stat().st_size / 1e6:.0f} MB", soft_wrap=True)
    if sprites.digest != PINNED:
        warn(
            "these sprites differ from those of the published datasets in some pixels (another resvg or Pillow); "
            "videos made of them differ as little"
        )


@app.command()
def write(
    split: Annotated[str, typer.Argument(help="train, val, val-hard or val-long.")],
    folder: Annotated[
        Path, typer.Argument(help="The data root: the split lies in stickers/SPLIT below it.", metavar="DIR")
    ],
    videos: Annotated[int | None, typer.Option(help="Only the first so many.", min=1)] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a split in the layout of LV-VIS: frames, and a JSON with base and novel categories."""
    with STOPPING.reading():
        from ovvis.datasets.stickers import split_of, write_split

    chosen = split_of(split)
    sprites = load_sprites()
    with progress(f"writing {chosen.name}", "frames") as advance:
        home = write_split(chosen, sprites, folder, videos, advance, overwrite=overwrite)
    name = f"stickers_{chosen.name.replace('-', '_')}"
    out.print(f"{home}; see that it is whole with ovvis datasets check {name} --data-root {folder}", soft_wrap=True)


def _held(sprites: Sprites) -> str:
    base = sum(category.split == "base" for category in sprites.categories)
    return f"{len(sprites):,} sprites of {len(sprites.categories)} categories ({base} base)"
