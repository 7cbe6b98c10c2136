"""A graph through ONNX Runtime, on a processor that is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ovvis.errors import InputError, ResourceError
from ovvis.models.torch_file import line_of

CPU, CUDA, COREML = "CPUExecutionProvider", "CUDAExecutionProvider", "CoreMLExecutionProvider"
TITLES = {CPU: "the processor", CUDA: "the GPU (CUDA)", COREML: "CoreML"}
_DEVICES = {"cpu": CPU, "cuda": CUDA, "mps": COREML}
_WITH_CUDA = "install onnxruntime-gpu in place of onnxruntime"
_REMEDY = {CUDA: _WITH_CUDA, COREML: "it is a Mac's; use cpu"}


class Session:
    """Runs a graph.

    Args:
        path: the file.
        device: "auto" for the best that works, "cpu", "cuda", "cuda:N", or "mps" for CoreML.

    Attributes:
        provider: what of ONNX Runtime runs it.
        notes: what a person should know: what "auto" could not have.

    Raises:
        InputError: there is no such device, or ONNX Runtime cannot run the file.
        ResourceError: the device is there and does not work.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        import onnxruntime

        here = onnxruntime.get_available_providers()
        asked, number = _asked(device, here)
        self.notes: tuple[str, ...] = ()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it warns of every tensor that Python uses alone
        options.intra_op_num_threads = torch.get_num_threads()  # which OMP_NUM_THREADS sets, too
        for provider in asked:
            given = [(provider, {"device_id": number})] if provider == CUDA else [provider]
            try:
                self._session = onnxruntime.InferenceSession(
                    str(path), options, providers=[*given, *([] if provider == CPU else [CPU])]
                )
            except Exception as error:  # its own kinds, all of RuntimeError
                if provider == CPU:
                    raise InputError(f"model {str(path)!r}: ONNX Runtime cannot run it ({line_of(error)})") from error
                problem = line_of(error)
            else:
                self.provider = self._session.get_providers()[0]
                if self.provider == provider:  # it falls back to the processor without a word
                    break
                problem = "its libraries do not load"
            told = f"ONNX Runtime has {provider}, but it does not work here ({problem})"
            if device != "auto":
                raise ResourceError(f"{told}; mend that, or use --device cpu")
            self.notes += (f"{told}: the next best is used",)
        self.version = str(onnxruntime.__version__)

    def __call__(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name, on the CPU, for inputs by name."""
        names = [output.name for output in self._session.get_outputs()]
        answers = self._session.run(names, {name: x.contiguous().cpu().numpy() for name, x in given.items()})
        return {name: torch.from_numpy(answer) for name, answer in zip(names, answers, strict=True)}

    @property
    def line(self) -> str:
        """What runs it, in words."""
        return f"ONNX Runtime {self.version} on {TITLES.get(self.provider, self.provider)} ({self.provider})"


def _asked(device: str, here: list[str]) -> tuple[list[str], int]:
    """Return the providers to try, the best first, and the number of the GPU."""
    if device == "auto":
        return [provider for provider in (CUDA, COREML, CPU) if provider in here], 0
    kind, _, number = device.partition(":")
    if kind not in _DEVICES or (number and not number.isdigit()) or (number and kind != "cuda"):
        raise InputError(f"device {device!r}: there is none of that name; use auto, cpu, cuda, cuda:N or mps")
    provider = _DEVICES[kind]
    if provider not in here:
        raise InputError(
            f"device {device!r}: this ONNX Runtime has no {provider} ({_REMEDY[provider]}); it has {', '.join(here)}"
        )
    return [provider], int(number or 0)
