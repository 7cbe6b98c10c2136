"""A model's graph as PyTorch's exporter writes it, without what it tells of the machine."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.fx.experimental import _config as fx_config

from ovvis.errors import InputError
from ovvis.models.export.graph import PIXELS, STEP, Graph
from ovvis.models.export.header import OPSET, Sizes
from ovvis.models.torch_file import line_of

_SYMBOL = re.compile(r"s\d+")


def traced(graph: Graph, sizes: Sizes) -> Any:
    """Return the graph as an `onnx.ModelProto` without this machine's paths."""
    from onnxscript import optimizer

    try:
        example, axes = graph.trace(sizes)
        # How many windows a padded map has is a formula with a remainder, of which the exporter cannot tell whether it
        # is ever 1: it shall not ask.
        with fx_config.patch(backed_size_oblivious=graph.windowed):  # type: ignore[attr-defined]
            program = torch.export.export(
                graph,
                example,
                dynamic_shapes=axes,
                strict=False,
                prefer_deferred_runtime_asserts_over_guards=graph.windowed,
            )
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


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the exporter tells of its own parts from the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "")]
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
