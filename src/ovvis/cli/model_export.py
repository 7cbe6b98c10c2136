"""`ovvis models export`: a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ovvis.benchmark.plan import parse_size
from ovvis.cli.console import note, out, progress
from ovvis.cli.options import Mirror, completing
from ovvis.cli.process import quiet_libraries
from ovvis.errors import InputError
from ovvis.models.sources import use_mirror
from ovvis.models.zoo import SMALL_MODEL, ZOO, find_model
from ovvis.paths import DEMO_VIDEO
from ovvis.sources.video import open_source

WINDOWS = 48  # most that ranges are taken from


def export(
    name: Annotated[
        str, typer.Argument(help="A name from `ovvis models`.", autocompletion=completing(ZOO), metavar="NAME")
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
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help=f"Compute convolutions in whole numbers of 8 bits; for {SMALL_MODEL}, or with --calibrate.",
        ),
    ] = False,
    calibrate: Annotated[
        str | None,
        typer.Option(
            help="With --int8: a video like those that will be looked at, for the ranges of the numbers; the packaged "
            f"one for {SMALL_MODEL} if not given.",
            metavar="VIDEO",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older file.")] = False,
    mirror: Mirror = None,
) -> None:
    """Write a model's network as an ONNX file for any words, checked against PyTorch; every --model takes it."""
    entry = find_model(name)
    edges = None if size is None else parse_size(size)
    shown = _to_calibrate(name, weights, int8, calibrate)
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
    windows = []
    if shown is not None:
        from ovvis.inference.calibration import spread_windows

        windows = spread_windows(model, open_source(shown), WINDOWS, edges)
    licence = entry.weights_licence if weights is None else f"of the checkpoint {model.source}, not known"
    with out.status("preparing") as status:
        made = export_model(
            model,
            file,
            licence=licence,
            size=edges,
            text_tower=text_tower,
            calibration=windows,
            overwrite=overwrite,
            on_step=lambda step: status.update(f"{step}; minutes for a large model"),
        )
    header = made.header
    takes = f"frames of {header.height}x{header.width}" if header.height else "frames of any size"
    out.print(
        f"{escape(str(made.path))}: {name}, {header.precision}, {made.bytes / 2**20:,.0f} MiB, opset {header.opset}, "
        f"{takes}; differs from PyTorch by {_share(made.difference)} on average. Weights: {escape(header.licence)}.",
        soft_wrap=True,
    )
    if windows and name != SMALL_MODEL:
        note(f"What {name} loses in 8 bits is not known: compare its AP on your videos before you trust it.")
    out.print(f"Next: ovvis segment VIDEO --labels 'dog, cat' --model {escape(str(made.path))}", soft_wrap=True)


def _to_calibrate(name: str, weights: str | None, int8: bool, calibrate: str | None) -> str | Path | None:
    """Return the video that ranges are taken from; None where the export stays in float32.

    Raises:
        InputError: the two options do not go together, or a video is missing.
    """
    if calibrate is not None and not int8:
        raise InputError(f"--calibrate {calibrate}: it is for --int8; give both or none")
    if not int8:
        return None
    if calibrate is None and (name != SMALL_MODEL or weights is not None):
        raise InputError(
            f"--int8: {name} needs frames like those that it will see, for the ranges of its numbers; give "
            "--calibrate VIDEO"
        )
    return calibrate or DEMO_VIDEO


def _share(difference: float) -> str:
    return f"{difference:.1%}" if difference >= 1e-3 else f"{difference:.0e}"
