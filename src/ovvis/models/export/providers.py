"""Which of ONNX Runtime's providers computes a graph: by a device's name, or the best that works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ovvis.errors import InputError

CPU, CUDA, COREML = "CPUExecutionProvider", "CUDAExecutionProvider", "CoreMLExecutionProvider"
AUTO = (CUDA, COREML, CPU)  # the best first; others where they are asked for by name
_ENDING = "ExecutionProvider"
_ELSEWHERE = {"AzureExecutionProvider"}  # sends what it is given to a server
_BY_DEVICE = {"cpu": CPU, "cuda": CUDA, "mps": COREML}  # as PyTorch calls them
_TITLES = {CPU: "the processor", CUDA: "the GPU (CUDA)", COREML: "CoreML"}
_REMEDIES = {CUDA: "install onnxruntime-gpu in place of onnxruntime", COREML: "it is a Mac's; use cpu"}
# Operators that cost something; those that compute sizes are the processor's anyway.
_COSTLY = frozenset(
    ("Conv", "FusedConv", "QLinearConv", "MatMul", "FusedMatMul", "Gemm", "Einsum", "Softmax", "Resize", "GridSample")
)


@dataclass(frozen=True, slots=True)
class Provider:
    """One of ONNX Runtime's providers, ready to be tried."""

    name: str
    number: int = 0  # of the GPU, where there are several

    @property
    def title(self) -> str:
        """What a person calls it."""
        return _TITLES.get(self.name, self.name.removesuffix(_ENDING))

    @property
    def device(self) -> str:
        """The device by which it is asked for."""
        names = {name: device for device, name in _BY_DEVICE.items()}
        return names.get(self.name, _short(self.name)) + (f":{self.number}" if self.number else "")

    @property
    def asked(self) -> list[Any]:
        """What a session is given: it, and the processor for what it has not."""
        own = (self.name, {"device_id": self.number}) if self.name == CUDA else self.name
        return [own] if self.name == CPU else [own, CPU]


def providers_for(device: str, here: Sequence[str] | None = None) -> list[Provider]:
    """Return the providers to try, the best first.

    Args:
        device: "auto" for the best of `AUTO`; "cpu", "cuda", "cuda:N", "mps"; or a provider by ONNX Runtime's own name
            or a short one, such as "openvino".
        here: what this ONNX Runtime has; None asks it.

    Raises:
        InputError: there is none of that name, or not in this ONNX Runtime.

    >>> providers_for("cuda:1", ["CUDAExecutionProvider", "CPUExecutionProvider"])
    [Provider(name='CUDAExecutionProvider', number=1)]
    """
    here = known_here() if here is None else [name for name in here if name not in _ELSEWHERE]
    if device == "auto":
        return [Provider(name) for name in AUTO if name in here]
    kind, _, number = device.partition(":")
    short = {name.removesuffix(_ENDING).lower(): name for name in here} | {name.lower(): name for name in here}
    name = (_BY_DEVICE | short).get(kind.lower())
    if name is None or (number and not number.isdigit()) or (number and name != CUDA):
        choices = ["auto", *_BY_DEVICE, "cuda:N", *sorted(set(map(_short, here)) - {"cpu", "cuda", "coreml"})]
        raise InputError(f"device {device!r}: there is none of that name; use {', '.join(choices)}")
    if name not in here:
        remedy = _REMEDIES.get(name, "use cpu")
        raise InputError(f"device {device!r}: this ONNX Runtime has no {name} ({remedy}); it has {', '.join(here)}")
    return [Provider(name, int(number or 0))]


def known_here() -> list[str]:
    """Return the providers of the ONNX Runtime that is installed, but for those that compute elsewhere."""
    import onnxruntime

    return [name for name in onnxruntime.get_available_providers() if name not in _ELSEWHERE]


def _short(name: str) -> str:
    return name.removesuffix(_ENDING).lower()


def left_to_processor(session: Any, provider: Provider) -> str | None:
    """Return in a line which costly operators of a graph a provider leaves to the processor; None for none.

    Args:
        session: of ONNX Runtime, opened with `RECORDED`.
        provider: that runs it.
    """
    if provider.name == CPU or not hasattr(session, "get_provider_graph_assignment_info"):  # before 1.24
        return None
    total, left = 0, dict[str, int]()
    for part in session.get_provider_graph_assignment_info():
        costly = [node.op_type for node in part.get_nodes() if node.op_type in _COSTLY]
        total += len(costly)
        for kind in costly if part.ep_name == CPU else ():
            left[kind] = left.get(kind, 0) + 1
    if not left:
        return None
    listed = ", ".join(f"{kind} {count}" for kind, count in sorted(left.items(), key=lambda item: -item[1]))
    return (
        f"{provider.title} leaves {sum(left.values())} of {total} operators that cost something to the processor "
        f"({listed}): expect it to be slower than it could be"
    )


RECORDED = ("session.record_ep_graph_assignment_info", "1")
"""An entry of a session's configuration: it then knows which provider has which operator."""
