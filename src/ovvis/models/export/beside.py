"""Weights in a file beside the graph's own, where they are more than one file can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovvis.errors import InputError
from ovvis.models.torch_file import line_of

MOST_BYTES = 2**31 - 2**24  # of a file that keeps its weights inside: protobuf ends at 2 GiB, nodes need room
_SMALL = 1024  # bytes of a tensor that stays inside


def weights_beside(path: Path) -> Path:
    """Return the file that has the weights of a large model."""
    return path.with_name(f"{path.name}.data")


def write_proto(proto: Any, path: Path) -> Path | None:
    """Write an `onnx.ModelProto`; return the file beside it that has its weights, if they are too many for one.

    Args:
        proto: what to write; its weights are gone from it where they went into the other file.
        path: where, under its last name: the other file is found by it.
    """
    from onnx import external_data_helper

    beside = weights_beside(path)
    large = sum(len(tensor.raw_data) for tensor in proto.graph.initializer) > MOST_BYTES
    if large:
        external_data_helper.convert_model_to_external_data(proto, location=beside.name, size_threshold=_SMALL)
        external_data_helper.write_external_data_tensors(proto, str(path.parent))
    path.write_bytes(proto.SerializeToString())
    return beside if large else None


def read_beside(proto: Any, path: Path, where: str) -> None:
    """Read the weights that lie beside a file into its `onnx.ModelProto`.

    Raises:
        InputError: they are not there, cut short, or somewhere else: a file names no place but its own folder.
    """
    from onnx import external_data_helper

    apart = [tensor for tensor in proto.graph.initializer if external_data_helper.uses_external_data(tensor)]
    names = {entry.value for tensor in apart for entry in tensor.external_data if entry.key == "location"}
    for name in names:
        if Path(name).name != name or not (path.parent / name).is_file():
            raise InputError(
                f"{where} has its weights in {name!r}, which does not lie beside it; copy both files, and leave them "
                "their names"
            )
    try:
        for tensor in apart:
            external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = type(tensor).DEFAULT
            del tensor.external_data[:]
    except Exception as error:  # onnx's own, and the system's
        raise InputError(
            f"{where}: its weights in {', '.join(sorted(names))} cannot be read ({line_of(error)}); copy or export "
            "them again"
        ) from error
