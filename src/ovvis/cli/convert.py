"""`ovvis convert`: an authors' checkpoint into safetensors."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ovvis.cli.console import out, warn
from ovvis.cli.options import IgnoreUnused, Mirror, Overwrite
from ovvis.cli.process import quiet_libraries
from ovvis.cli.stopping import STOPPING
from ovvis.models.sources import use_mirror
from ovvis.paths import user_path


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="The authors' .pth, or a .safetensors of ours.")],
    target: Annotated[Path, typer.Argument(help="The .safetensors file to write.")],
    model: Annotated[str | None, typer.Option(help="The model it must be; found out if not given.")] = None,
    overwrite: Overwrite = False,
    ignore_unused: IgnoreUnused = False,
    mirror: Mirror = None,
) -> None:
    """Convert a checkpoint into safetensors that carry their configuration, after loading it strictly."""
    with STOPPING.reading():
        from ovvis.models.own_weights import convert as converted

    use_mirror(mirror)
    quiet_libraries()
    entry = converted(checkpoint, target, model, overwrite=overwrite, tell=warn, ignore_unused=ignore_unused)
    size = user_path(target).stat().st_size / 2**20
    out.print(
        f"{escape(str(target))}: {entry.name}, {size:.0f} MiB; use it with --model {entry.name} --weights "
        f"{escape(shlex.quote(str(target)))}",
        soft_wrap=True,
    )
