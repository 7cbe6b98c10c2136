"""A model into an ONNX file, which is checked against the model before it gets its name."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from ovvis.errors import InputError, ResourceError
from ovvis.files.output import make_way, whole_file
from ovvis.models.export.carried import add_carried, carried
from ovvis.models.export.graph import PIXELS, STEP, Graph, Sizes
from ovvis.models.export.header import FORMAT, KEY, OPSET, Header, digest, need
from ovvis.models.export.names import SUFFIX
from ovvis.models.export.session import Session
from ovvis.models.model import Model
from ovvis.models.torch_file import line_of
from ovvis.paths import user_path
from ovvis.version import __version__
from ovvis.vocabulary import VILD_PROMPTS

MOST_BYTES = 2**31 - 1  # of a file that keeps its weights inside
TOLERANCE = 0.01  # mean difference from PyTorch, as a share of an output's mean size
_SYMBOL = re.compile(r"s\d+")

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
    with torch.no_grad(), _quiet():
        graph = Graph(model).eval()
        on_step("tracing the network")
        proto = _traced(graph, sizes)
        add_carried(proto, carried(model, text_tower))
        header = _header(graph, sizes, licence, digest(proto.graph.initializer))
        _sign(proto, header)
        if proto.ByteSize() > MOST_BYTES:
            raise InputError(
                f"model {model.name}: {proto.ByteSize() / 2**30:.1f} GiB, more than the 2 GiB that an ONNX file holds"
            )
        on_step("writing and checking the file")
        try:
            with whole_file(target, overwrite=overwrite) as partial:
                partial.write_bytes(proto.SerializeToString())
                difference = _compared(graph, sizes, partial)
        except OSError as error:
            if isinstance(error, ResourceError):
                raise
            raise ResourceError(
                f"{str(target)!r} cannot be written ({error.strerror}); choose another place"
            ) from error
    return Written(target, header, target.stat().st_size, difference)


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


def _traced(graph: Graph, sizes: Sizes) -> Any:
    """Return the graph as an `onnx.ModelProto` without this machine's paths."""
    from onnxscript import optimizer

    try:
        example, axes = graph.trace(sizes)
        program = torch.export.export(graph, example, dynamic_shapes=axes, strict=False)
        made = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=graph.inputs,
            output_names=graph.outputs,
            verbose=False,
            optimize=False,
        )
        assert made is not None
        # Not the exporter's whole optimiser: it takes a small number for zero and leaves out `+ 1e-8`, so that an empty
        # mask's mean is no number.
        optimizer.inline(made.model)
        optimizer.fold_constants(made.model)
        optimizer.remove_unused_nodes(made.model)
        proto = made.model_proto
    except Exception as error:  # PyTorch's many kinds
        raise InputError(
            f"model {graph.model.name} ({graph.model.family}) cannot be traced ({line_of(error)}); "
            + ("a fixed --size HxW may be traced where any size cannot" if sizes.height is None else "it has no export")
        ) from error
    for node in (*proto.graph.node, *(node for function in proto.functions for node in function.node)):
        del node.metadata_props[:]
        node.doc_string = ""
    for held in (proto.graph, *proto.functions, *proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        del held.metadata_props[:]
    del proto.graph.value_info[:]
    _name_sizes(proto, axes[0])
    if sizes.height is None:
        _split_pixels(proto)
    return proto


def _name_sizes(proto: Any, axes: Sequence[Mapping[int, Any]]) -> None:
    """Give the sizes that may be any the names that we know them by: `batch`, `8*height`."""
    words: dict[str, str] = {}
    for value, free in zip(proto.graph.input, axes, strict=True):
        for axis, dim in free.items():
            symbol = _SYMBOL.search(value.type.tensor_type.shape.dim[axis].dim_param)
            if symbol is not None:
                words[symbol.group()] = dim.__name__
    for value in (*proto.graph.input, *proto.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = _SYMBOL.sub(lambda found: words.get(found.group(), found.group()), size.dim_param)


def _split_pixels(proto: Any) -> None:
    """Let a graph whose pixels come in squares of 32 (see `Graph.trace`) take them as they are: B, T, 3, H, W."""
    from onnx import helper, numpy_helper

    value = next(value for value in proto.graph.input if value.name == PIXELS)
    split = f"{PIXELS}_in_squares"
    for node in proto.graph.node:
        node.input[:] = [split if name == PIXELS else name for name in node.input]
    dims = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
    dims = [*dims[:3], f"{STEP}*{dims[3]}", f"{STEP}*{dims[5]}"]
    value.CopyFrom(helper.make_tensor_value_info(PIXELS, value.type.tensor_type.elem_type, dims))
    numbers = {"step": [STEP], "first": [0], "edges": [3], "end": [5], "edge": [4]}
    for name, number in numbers.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.array(number, np.int64), f"{split}_{name}"))

    def made(kind: str, given: Sequence[str], out: str, **options: Any) -> Any:
        return helper.make_node(kind, [f"{split}_{name}" for name in given], [f"{split}_{out}"], **options)

    before = [
        helper.make_node("Shape", [PIXELS], [f"{split}_shape"]),
        made("Slice", ("shape", "first", "edges"), "kept"),
        made("Slice", ("shape", "edges", "edge"), "height"),
        made("Slice", ("shape", "edge", "end"), "width"),
        made("Div", ("height", "step"), "rows"),
        made("Div", ("width", "step"), "columns"),
        made("Concat", ("kept", "rows", "step", "columns", "step"), "target", axis=0),
        helper.make_node("Reshape", [PIXELS, f"{split}_target"], [split]),
    ]
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*before, *nodes])


def _header(graph: Graph, sizes: Sizes, licence: str, weights: str) -> Header:
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
        precision="float32",
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
        digest=weights,
    )


def _sign(proto: Any, header: Header) -> None:
    """Write into a file what it is."""
    from onnx import helper

    helper.set_model_props(proto, {KEY: msgspec.json.encode(header).decode()})
    proto.producer_name, proto.producer_version = "ovvis", header.ovvis
    proto.doc_string = (
        f"{header.name} ({header.family}), the network of one window, from ovvis {header.ovvis}; weights: "
        f"{header.licence}. docs/onnx.md says what goes in and comes out."
    )


def _compared(graph: Graph, sizes: Sizes, path: Path) -> float:
    """Return how far a file's answers are from the model's, at other sizes than it was traced with.

    Raises:
        ResourceError: too far.
    """
    session = Session(path, "cpu")
    tried = [(sizes, 1)] if sizes.height else [(Sizes(4 * STEP, 7 * STEP), 3), (Sizes(5 * STEP, 2 * STEP), 1)]
    worst, where = 0.0, ""
    for one, batch in tried:
        frames = None if graph.model.classifier.one_frame else 2
        given = graph.example(one, batch, frames)
        found = session(given)
        for name, wanted in zip(graph.outputs, graph(*given.values()), strict=True):
            # The mean: a cell at a mask's border may fall to the other side, and one query then sees another thing.
            difference = float((found[name] - wanted).abs().mean() / wanted.abs().mean().clamp(min=1e-6))
            if not difference <= worst:  # what is no number is the worst
                worst, where = difference, name
    if not worst <= TOLERANCE:
        raise ResourceError(
            f"the exported graph differs from the model by {worst:.1%} in {where}: ONNX Runtime "
            f"{session.version} computes something else; nothing was written, try another version of it"
        )
    return worst


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter tells of its own parts from the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
