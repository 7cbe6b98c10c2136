"""A graph in whole numbers of 8 bits where that costs little: ranges are taken from frames that went through it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Given = Mapping[str, Tensor]  # inputs by name


def quantised(proto: Any, given: Sequence[Given]) -> Any:
    """Return a graph (`onnx.ModelProto`) whose convolutions compute in 8 bits (QuantizeLinear and DequantizeLinear).

    Weights are int8 with a scale for each output channel, in 7 of the 8 bits: processors without VNNI add products in
    16 bits, which would overflow in silence. What goes in is uint8, its range the least and the largest value seen.

    Args:
        proto: in float32.
        given: inputs of windows to take the ranges from, each a batch of one.
    """
    import onnx
    import onnxruntime
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    nodes = chosen(proto)
    onnxruntime.set_default_logger_severity(3)  # it warns of sizes that it guessed, and mended
    with tempfile.TemporaryDirectory(prefix="ovvis-") as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            proto,
            path,
            _Reader(given),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=[node.name for node in nodes],
            op_types_to_quantize=sorted({node.op_type for node in nodes}),
            calibrate_method=CalibrationMethod.MinMax,
        )
        out = onnx.load(path)
    onnxruntime.set_default_logger_severity(2)
    del out.graph.value_info[:]
    del out.metadata_props[:]
    return out


def chosen(proto: Any) -> list[Any]:
    """Return the nodes that are quantised: convolutions, and the ReLU that follows one.

    What attends (query decoder, deformable attention) and what names stays in float32.
    """
    nodes = proto.graph.node
    out = {node.output[0] for node in nodes if node.op_type == "Conv"}
    return [node for node in nodes if node.op_type == "Conv" or (node.op_type == "Relu" and node.input[0] in out)]


class _Reader:
    """Gives a graph's inputs one after another, as ONNX Runtime's calibration asks for them."""

    def __init__(self, given: Sequence[Given]) -> None:
        self._left: Iterator[Given] = iter(given)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """Return the next inputs; None behind the last."""
        one = next(self._left, None)
        return None if one is None else {name: x.contiguous().numpy() for name, x in one.items()}
