"""A model into an ONNX file, which is checked against the model before it gets its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ovvis.errors import InputError, ResourceError
from ovvis.files.output import make_way, whole_file
from ovvis.models.export.beside import weights_beside, write_proto
from ovvis.models.export.carried import add_carried, carried
from ovvis.models.export.graph import PIXELS, STEP, VIEWS, Graph
from ovvis.models.export.header import FORMAT, OPSET, Header, Sizes, need, signed
from ovvis.models.export.int8 import quantised
from ovvis.models.export.names import SUFFIX
from ovvis.models.export.session import Given, Session, furthest
from ovvis.models.export.traced import quiet, traced
from ovvis.models.model import Model
from ovvis.paths import user_path
from ovvis.structures import Window
from ovvis.version import __version__
from ovvis.vocabulary import VILD_PROMPTS

TOLERANCE = 0.01  # mean difference from PyTorch, as a share of an output's mean size
TOLERANCE_INT8 = 0.5  # of what is rounded to 8 bits, on frames that its ranges were not taken from
ROUNDED = ("mask_logits", "embeddings")
HELD_OUT = 4  # one in so many windows is for comparing, not for ranges

Step = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    path: Path
    header: Header
    bytes: int
    difference: float  # from PyTorch: of the worst output, the mean difference as a share of its mean size


def export_model(
    model: Model,
    path: str | Path,
    *,
    licence: str = "not stated",
    size: tuple[int, int] | None = None,
    text_tower: bool = False,
    calibration: Sequence[Window] = (),
    overwrite: bool = False,
    on_step: Step = lambda _: None,
) -> Written:
    """Write a model as an ONNX file that `load_model` takes.

    Args:
        model: as `load_model` gives it, in float32 on the CPU.
        path: the file, ending in .onnx.
        licence: of the weights; it is written into the file.
        size: height and width in pixels of the only input that the graph shall take, one window at a time; None for
            any size and number.
        text_tower: whether CLIP's text tower travels in the file, so that words can be read without any other.
        calibration: windows of the network's size; where there are any, convolutions compute in whole numbers of 8
            bits (see `quantised`), whose ranges are those of three windows of four; the fourth is compared.
        overwrite: whether an older file may be replaced.
        on_step: called with what is done next.

    Raises:
        InputError: the file's name, the size or the model cannot be used; a package is missing.
        ResourceError: the file cannot be written, or its graph computes something else than the model.
    """
    need("onnx", "onnxscript", "onnxruntime")
    target = checked_target(path, overwrite)
    sizes = Sizes() if size is None else Sizes(*checked_size(*size), batch=1)
    if model.dtype != torch.float32 or model.device.type != "cpu":
        raise InputError(f"model {model.name} is in {model.dtype} on {model.device}: load it in float32 on the cpu")
    with torch.no_grad(), quiet():
        graph = Graph(model).eval()
        on_step("tracing the network")
        proto = traced(graph, sizes)
        compared = [graph.example(*one) for one in _tried(graph, sizes)]
        if calibration:
            on_step("taking ranges from frames")
            given = [_given(graph, window) for window in calibration]
            ranges = [one for number, one in enumerate(given) if number % HELD_OUT or len(given) < HELD_OUT]
            compared = given[::HELD_OUT]
            proto = quantised(proto, ranges)
        add_carried(proto, carried(model, text_tower))
        header = _header(graph, sizes, licence, "int8" if calibration else "float32")
        proto.producer_name, proto.producer_version = "ovvis", header.ovvis
        proto.doc_string = _told(header)
        header = signed(proto, header)
        on_step("writing and checking the file")
        try:
            with whole_file(target, overwrite=overwrite, anew=True) as partial:
                beside = write_proto(proto, partial)
                difference = _compared(graph, compared, partial, bool(calibration))
                if beside is not None:  # first: without its weights the file would be none
                    os.replace(beside, weights_beside(target))  # noqa: PTH105  it may be there already
        except OSError as error:
            if isinstance(error, ResourceError):
                raise
            raise ResourceError(
                f"{str(target)!r} cannot be written ({error.strerror}); choose another place"
            ) from error
    files = [target, weights_beside(target)] if beside is not None else [target]
    return Written(target, header, sum(file.stat().st_size for file in files), difference)


def checked_target(path: str | Path, overwrite: bool = False) -> Path:
    """Return the file to write.

    Raises:
        InputError: its name does not end in .onnx, its folder is not there, or it is there already.
    """
    target = user_path(path)
    if target.suffix.lower() != SUFFIX:
        raise InputError(f"{str(target)!r}: the file's name must end in {SUFFIX}, by which it is known again")
    if not target.parent.is_dir():
        raise InputError(f"{str(target)!r}: its folder does not exist; make it, or choose another")
    make_way(target, overwrite)
    return target


def checked_size(height: int, width: int) -> tuple[int, int]:
    """Return a network's input size.

    Raises:
        InputError: an edge is no multiple of 32.
    """
    for edge in (height, width):
        if edge < STEP or edge % STEP:
            raise InputError(
                f"size {height}x{width}: height and width must be multiples of {STEP}, as the network's padded input "
                f"is: such as {_up(height)}x{_up(width)}"
            )
    return height, width


def _up(edge: int) -> int:
    return max(-(-edge // STEP), 1) * STEP


def _header(graph: Graph, sizes: Sizes, licence: str, precision: str) -> Header:
    model = graph.model
    mean, std = (tuple(float(x) for x in part.flatten()) for part in (model.pixel_mean, model.pixel_std))
    return Header(
        format=FORMAT,
        ovvis=__version__,
        name=model.name,
        family=model.family,
        config=asdict(model.config),
        weights=model.source,
        licence=licence,
        precision=precision,
        opset=OPSET,
        inputs=tuple(graph.inputs),
        outputs=tuple(graph.outputs),
        height=sizes.height,
        width=sizes.width,
        batch=sizes.batch,
        pixel_mean=mean,  # type: ignore[arg-type]
        pixel_std=std,  # type: ignore[arg-type]
        prompts=tuple(VILD_PROMPTS),
        text_tower=model.clip.text_fingerprint(),
        logit_scale=model.clip.logit_scale,
        labels=() if model.texts is None else model.texts.labels,
    )


def _told(header: Header) -> str:
    return (
        f"{header.name} ({header.family}), the network of one window, from ovvis {header.ovvis}; weights: "
        f"{header.licence}. docs/details/onnx.md says what goes in and comes out."
    )


def _tried(graph: Graph, sizes: Sizes) -> list[tuple[Sizes, int, int | None]]:
    """Return sizes, windows and frames of a window to compare at: others than were traced with, where they may be."""
    frames = None if graph.model.classifier.one_frame else 2
    if sizes.height:
        return [(sizes, 1, frames)]
    return [(Sizes(4 * STEP, 7 * STEP), 3, frames), (Sizes(5 * STEP, 2 * STEP), 1, frames)]


def _given(graph: Graph, window: Window) -> dict[str, Tensor]:
    """Return a window as a graph is given it, with some words."""
    given = graph.example(Sizes(), 1) | {PIXELS: window.pixels[None]}
    if window.views is not None:
        given[VIEWS] = window.views[None]
    return {name: given[name] for name in graph.inputs}


def _compared(graph: Graph, tried: Sequence[Given], path: Path, int8: bool) -> float:
    """Return how far a file's answers are from the model's.

    Of what is rounded masks and embeddings are compared alone: a mask that covers next to nothing has any name.

    Raises:
        ResourceError: too far.
    """
    session = Session(path, "cpu")
    tolerance, names = (TOLERANCE_INT8, ROUNDED) if int8 else (TOLERANCE, graph.outputs)
    worst, where = 0.0, ""
    for given in tried:
        wanted = dict(zip(graph.outputs, graph(*given.values()), strict=True))
        name, difference = furthest(session(given), {name: wanted[name] for name in names})
        if not difference <= worst:
            worst, where = difference, name
    if not worst <= tolerance:
        raise ResourceError(
            f"the exported graph differs from the model by {worst:.1%} in {where}, more than {tolerance:.0%}; nothing "
            "was written: "
            + (
                "8 bits are too few for this model, or the frames show too little: give others with --calibrate"
                if int8
                else f"ONNX Runtime {session.version} computes something else, try another version of it"
            )
        )
    return worst
