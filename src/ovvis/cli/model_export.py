"""`ovvis models export`: a model as an ONNX file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ovvis.cli.console import note, out, progress
from ovvis.cli.options import Mirror, completing
from ovvis.cli.process import quiet_libraries
from ovvis.errors import InputError
from ovvis.models.sources import use_mirror
from ovvis.models.zoo import ZOO, find_model


def export(
    name: Annotated[
        str, typer.Argument(help="A name from `ovvis models`.", autocompletion=completing(lambda: ZOO), metavar="NAME")
    ],
    file: Annotated[Path, typer.Argument(help="The file to write, ending in .onnx.", metavar="FILE.onnx")],
    weights: Annotated[str | None, typer.Option(help="A checkpoint; the model's own if not given.")] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="The only size of frames that it shall take, in multiples of 32, one window at a time; any if not "
            "given.",
            metavar="HxW",
        ),
    ] = None,
    text_tower: Annotated[
        bool, typer.Option("--text-tower", help="Put CLIP's text tower into the file: it then reads words by itself.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older file.")] = False,
    mirror: Mirror = None,
) -> None:
    """Write a model's network as an ONNX file for any words, checked against PyTorch; every --model takes it."""
    entry = find_model(name)
    edges = None if size is None else _edges(size)
    use_mirror(mirror)
    quiet_libraries()
    from ovvis.models.export.header import need
    from ovvis.models.export.write import checked_size, checked_target, export_model

    need("onnx", "onnxscript", "onnxruntime")
    checked_target(file, overwrite)
    if edges is not None:
        checked_size(*edges)
    from ovvis.models.load import load_model
    from ovvis.models.model import Model

    with progress(f"fetching {name}", "B") as fetched:
        model = load_model(name, weights, device="cpu", on_progress=fetched)
    assert isinstance(model, Model)
    for told in model.notes:
        note(told)
    licence = entry.weights_licence if weights is None else f"of the checkpoint {model.source}, not known"
    with out.status("preparing") as status:
        made = export_model(
            model,
            file,
            licence=licence,
            size=edges,
            text_tower=text_tower,
            overwrite=overwrite,
            on_step=lambda step: status.update(f"{step}; minutes for a large model"),
        )
    header = made.header
    takes = f"frames of {header.height}x{header.width}" if header.height else "frames of any size"
    out.print(
        f"{escape(str(made.path))}: {name}, {made.bytes / 2**20:,.0f} MiB, opset {header.opset}, {takes}; differs from "
        f"PyTorch by {made.difference:.0e} on average. Weights: {escape(header.licence)}.",
        soft_wrap=True,
    )
    out.print(f"Next: ovvis segment VIDEO --labels 'dog, cat' --model {escape(str(made.path))}", soft_wrap=True)


def _edges(size: str) -> tuple[int, int]:
    """Return height and width."""
    found = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", size.strip())
    if found is None:
        raise InputError(f"--size {size}: give height x width in pixels, such as 480x864")
    return int(found[1]), int(found[2])
