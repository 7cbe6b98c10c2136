"""A graph through ONNX Runtime, on a processor that is said."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ovvis.errors import InputError, ResourceError
from ovvis.models.export.providers import CPU, CUDA, RECORDED, Provider, left_to_processor, providers_for
from ovvis.models.torch_file import line_of

TOLERANCE = 0.02  # mean difference from the processor's answer, as a share of an output's mean size

Given = Mapping[str, Tensor]  # inputs by name


class Session:
    """Runs a graph.

    ONNX Runtime goes on with the processor, without a word, where a provider's libraries do not load. Here that is an
    error where the device was asked for, and said where it was not. So it is where a provider's answer is another than
    the processor's.

    Args:
        path: the file.
        device: "auto" for the best that works, or what `providers_for` takes.
        check: inputs for which another provider must answer as the processor does.
        still: names of inputs that seldom change: a GPU keeps them.

    Attributes:
        provider: what of ONNX Runtime runs it.
        notes: what a person should know: what "auto" could not have, what a provider leaves to the processor.

    Raises:
        InputError: there is no such device, or ONNX Runtime cannot run the file.
        ResourceError: the device is there and does not work.
    """

    def __init__(
        self, path: Path, device: str = "auto", check: Given | None = None, still: Collection[str] = ()
    ) -> None:
        import onnxruntime

        self._path, self._still = path, still
        self.version = str(onnxruntime.__version__)
        self.notes: tuple[str, ...] = ()
        self._kept: dict[str, tuple[Tensor, Any]] = {}
        for provider in providers_for(device):
            problem = self._open(provider) or self._tried(check)
            if problem is None:
                break
            told = f"ONNX Runtime has {provider.name}, but it does not work here ({problem})"
            if device != "auto":
                raise ResourceError(f"{told}; mend that, or use --device cpu")
            self.notes += (f"{told}: the next best is used",)
        left = left_to_processor(self._session, self._provider)
        self.notes += () if left is None else (left,)

    @property
    def provider(self) -> str:
        """Its name."""
        return self._provider.name

    @property
    def line(self) -> str:
        """What runs it, in words."""
        return f"ONNX Runtime {self.version} on {self._provider.title} ({self.provider})"

    def __call__(self, given: Given) -> dict[str, Tensor]:
        """Return the outputs by name, on the CPU, for inputs by name."""
        names = [output.name for output in self._session.get_outputs()]
        if self.provider == CUDA:
            answers = self._run_bound(given, names)
        else:
            answers = self._session.run(names, {name: _array(x) for name, x in given.items()})
        return {name: torch.from_numpy(answer) for name, answer in zip(names, answers, strict=True)}

    def _open(self, provider: Provider) -> str | None:
        """Open the file with a provider; return why it does not work, or None.

        Raises:
            InputError: not even the processor can run it.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it warns of every tensor that Python uses alone
        options.intra_op_num_threads = torch.get_num_threads()  # which OMP_NUM_THREADS sets, too
        if provider.name != CPU:
            options.add_session_config_entry(*RECORDED)
        try:
            session = onnxruntime.InferenceSession(str(self._path), options, providers=provider.asked)
        except Exception as error:  # its own kinds, all of RuntimeError
            if provider.name == CPU:
                raise InputError(f"model {str(self._path)!r}: ONNX Runtime cannot run it ({line_of(error)})") from error
            return line_of(error)
        if session.get_providers()[0] != provider.name:  # it falls back to the processor without a word
            return "its libraries do not load"
        self._session, self._provider = session, provider
        return None

    def _tried(self, check: Given | None) -> str | None:
        """Return how the provider's answers differ from the processor's, or None."""
        if check is None or self.provider == CPU:
            return None
        try:
            answers = self(check)
        except Exception as error:  # whatever a driver does
            return line_of(error)
        name, worst = furthest(answers, Session(self._path, "cpu")(check))
        if worst <= TOLERANCE:
            return None
        return f"its {name} are {worst:.0%} from those of the processor"

    def _run_bound(self, given: Given, names: list[str]) -> list[NDArray[np.generic]]:
        """Return the outputs; what seldom changes stays where it was copied to."""
        from onnxruntime import OrtValue

        binding = self._session.io_binding()
        for name, x in given.items():
            if name not in self._still:
                binding.bind_cpu_input(name, _array(x))
                continue
            if name not in self._kept or self._kept[name][0] is not x:
                self._kept[name] = x, OrtValue.ortvalue_from_numpy(_array(x), "cuda", self._provider.number)
            binding.bind_ortvalue_input(name, self._kept[name][1])
        for name in names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        answers: list[NDArray[np.generic]] = binding.copy_outputs_to_cpu()
        return answers


def furthest(found: Given, wanted: Given) -> tuple[str, float]:
    """Return which output differs most, and its mean difference as a share of its mean size.

    The mean: a cell at a mask's border may fall to the other side, and one query then sees another thing.

    >>> furthest({"a": torch.tensor([1.0, 3.0])}, {"a": torch.tensor([1.0, 1.0])})
    ('a', 1.0)
    """
    worst, where = 0.0, ""
    for name, right in wanted.items():
        difference = float((found[name] - right).abs().mean() / right.abs().mean().clamp(min=1e-6))
        if not difference <= worst:  # what is no number is the worst
            worst, where = difference, name
    return where, worst


def _array(x: Tensor) -> NDArray[np.generic]:
    array: NDArray[np.generic] = x.contiguous().cpu().numpy()
    return array
