"""What an exported file says of itself, and the judgement of a file that somebody gives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from ovvis.errors import InputError
from ovvis.models.export.beside import read_beside
from ovvis.models.families import FAMILIES
from ovvis.models.torch_file import check_kind, line_of

KEY = "ovvis"  # of the metadata entry, JSON
FORMAT = 1  # of what stands in it
OPSET = 18
CARRIED = "ovvis."  # before the names of tensors that no node of the graph uses: Python does
EXTRA = "pip install 'ovvis[onnx]'"


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a graph takes; None for any."""

    height: int | None = None  # pixels, padding included
    width: int | None = None
    batch: int | None = None  # windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says of itself. Together with CLIP's text tower it makes a whole model again."""

    format: int
    ovvis: str  # the version that wrote it
    name: str  # of the model
    family: str
    config: dict[str, Any]  # of the family's configuration
    weights: str  # where they came from
    licence: str  # theirs
    precision: str  # of the network
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    height: int | None  # pixels of the only frames that it takes, padding included; None: any multiple of 32
    width: int | None
    batch: int | None  # windows; None: any number
    pixel_mean: tuple[float, float, float]  # in [0, 255]
    pixel_std: tuple[float, float, float]
    prompts: tuple[str, ...]  # texts with one "{}" that a word's embedding is the normed mean of
    text_tower: str  # hash of the tower that must read the words
    logit_scale: float  # from cosine to class logit
    labels: tuple[str, ...] = ()  # of the vocabulary that came with the weights, whose embeddings are carried
    digest: str = ""  # of the file: see `digest`

    @property
    def sizes(self) -> Sizes:
        """What its graph takes."""
        return Sizes(self.height, self.width, self.batch)


def need(*modules: str) -> None:
    """Refuse to go on without the packages of the extra.

    Raises:
        InputError: one is not installed.
    """
    for module in modules:
        if find_spec(module) is None:
            raise InputError(f"ONNX files need the package {module}, which is not installed: {EXTRA}")


def read_header(path: Path) -> tuple[Any, Header]:
    """Return what an exported file holds (an `onnx.ModelProto`), and what it says of itself.

    Raises:
        InputError: it is cut, damaged, somebody else's, or of another version.
    """
    need("onnx", "onnxruntime")
    import onnx

    where = f"model {str(path)!r}"
    check_kind(path, "model")
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's, and whatever a stranger's bytes make of it
        raise InputError(
            f"{where} is cut short, damaged or no ONNX file ({line_of(error)}); copy or export it again"
        ) from error
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    if KEY not in entries:
        raise InputError(
            f"{where} was not written by ovvis, or is cut short: it has no {KEY!r} entry in its metadata, which says "
            "what its numbers mean; make one with `ovvis models export`"
        )
    try:
        number = msgspec.json.decode(entries[KEY], type=dict)["format"]
        if number != FORMAT:
            raise InputError(
                f"{where} is of format {number!r}, and this ovvis reads {FORMAT}; export it again, or update ovvis"
            )
        header = msgspec.json.decode(entries[KEY], type=Header)
    except InputError:
        raise
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where} has damaged metadata ({line_of(error)}); copy or export it again") from error
    _check(proto, header, where)
    read_beside(proto, path, where)
    if digest(proto, entries[KEY].replace(header.digest, "", 1)) != header.digest:
        raise InputError(f"{where} is damaged or was changed: it is not what was exported; copy or export it again")
    return proto, header


def check_precision(header: Header, precision: str, path: Path) -> None:
    """Refuse a file whose precision is another than was asked for; "auto" and "float32" take what it has.

    Raises:
        InputError: it is another.
    """
    if precision not in ("auto", "float32", header.precision):
        raise InputError(
            f"precision {precision!r}: model {str(path)!r} computes in {header.precision}, which its export decided"
        )


def _check(proto: Any, header: Header, where: str) -> None:
    """Refuse a file whose graph is not what its metadata says."""
    if header.family not in FAMILIES:
        raise InputError(f"{where} is of the family {header.family!r}, which is not installed here; update ovvis")
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    others = {name: version for name, version in opsets.items() if name not in ("", "com.microsoft")}
    if opsets.get("") != OPSET or others:
        has = ", ".join(f"{name or 'opset'} {version}" for name, version in opsets.items()) or "none"
        raise InputError(
            f"{where} uses operators of {has}, and this ovvis writes and checks opset {OPSET}: it was changed after "
            "its export; export it again"
        )
    for kind, has, says in (
        ("inputs", proto.graph.input, header.inputs),
        ("outputs", proto.graph.output, header.outputs),
    ):
        names = tuple(value.name for value in has)
        if names != says:
            raise InputError(f"{where}: its {kind} are {names}, and its metadata says {says}; export it again")


def signed(proto: Any, header: Header) -> Header:
    """Write into an `onnx.ModelProto` what it is; return the header with its digest."""
    from onnx import helper

    header = replace(header, digest="")
    header = replace(header, digest=digest(proto, msgspec.json.encode(header).decode()))
    helper.set_model_props(proto, {KEY: msgspec.json.encode(header).decode()})
    return header


def digest(proto: Any, said: str) -> str:
    """Return a hash of a file: of its graph, its weights, whatever their order, and what it says of itself.

    A bit that falls over in a node leaves a graph that runs and computes something else.

    Args:
        proto: the file (`onnx.ModelProto`).
        said: its header as JSON, without a digest.
    """
    total = hashlib.blake2b(said.encode(), digest_size=16)
    for part in (*proto.graph.node, *proto.functions, *proto.graph.input, *proto.graph.output):
        total.update(part.SerializeToString(deterministic=True))
    for tensor in sorted(proto.graph.initializer, key=lambda one: one.name):
        total.update(f"{tensor.name} {tensor.data_type} {list(tensor.dims)}".encode())
        total.update(tensor.raw_data or tensor.SerializeToString(deterministic=True))
    return total.hexdigest()
