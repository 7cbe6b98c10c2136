"""A network's forward compiled, or recorded and replayed, once it was found to give the same as it gives itself."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from ovvis.errors import OvvisError
from ovvis.paths import cache_folder
from ovvis.structures import Prediction

SHAPES = 4  # of inputs that are recorded or compiled for; each holds memory, and others go their plain way
_CLOSE = {torch.float32: 0.01}  # mean difference by mean size
_CLOSE_IN_HALF = 0.1
_WARM_UPS = 3  # runs before the launches are recorded: libraries choose their algorithms in the first ones

_log = logging.getLogger(__name__)

Forward = Callable[[Tensor, Tensor | None], Prediction]
Inputs = tuple[Tensor, ...]
Outputs = tuple[Tensor, ...]
Capture = Callable[[Callable[..., Outputs], Inputs], Callable[[], Outputs]]


class Faster:
    """Runs a forward in a faster way for each shape of its inputs; where one differs or fails, plainly.

    Args:
        plain: the forward: pixels (B, T, 3, H, W), and views or None, to a prediction.
        compiled: whether it is compiled.
        recorded: whether its launches are recorded on a GPU and replayed.
        compiler: makes a function faster; None takes PyTorch's.
        capture: records; see `record`.
    """

    def __init__(
        self,
        plain: Forward,
        *,
        compiled: bool,
        recorded: bool,
        compiler: Callable[[Callable[..., Outputs]], Callable[..., Outputs]] | None = None,
        capture: Capture | None = None,
    ) -> None:
        self._plain, self._compiled, self._recorded = plain, compiled, recorded
        self._compiler, self._capture = compiler or compile_kept, capture or record
        self._ways: dict[object, Forward] = {}
        self.notes: list[str] = []  # what was told

    def __call__(self, pixels: Tensor, views: Tensor | None) -> Prediction:
        """Return what the plain forward returns."""
        key = pixels.shape, pixels.dtype, None if views is None else views.shape
        if key not in self._ways:
            if len(self._ways) >= SHAPES:
                return self._plain(pixels, views)
            found = self._plain(pixels, views)
            self._ways[key] = self._made(found, pixels, views)
            return found
        return self._ways[key](pixels, views)

    def _made(self, wanted: Prediction, pixels: Tensor, views: Tensor | None) -> Forward:
        """Return the fastest way for inputs of this shape that gives what is wanted."""
        inputs = (pixels,) if views is None else (pixels, views)
        names = [part.name for part in fields(wanted) if getattr(wanted, part.name) is not None]
        absent: dict[str, Any] = dict.fromkeys(part.name for part in fields(wanted))

        def flat(pixels: Tensor, views: Tensor | None = None) -> Outputs:
            found = self._plain(pixels, views)
            return tuple(getattr(found, name) for name in names)

        def named(run: Callable[..., Outputs]) -> Forward:
            def forward(pixels: Tensor, views: Tensor | None) -> Prediction:
                found = run(pixels) if views is None else run(pixels, views)
                return Prediction(**(absent | dict(zip(names, found, strict=True))))

            return forward

        run: Callable[..., Outputs] = flat
        # Other inputs too: a way that gives the same whatever it is given would be found right by one.
        others = tuple(x.flip(-1) for x in inputs)
        known = [(inputs, tuple(getattr(wanted, name) for name in names)), (others, flat(*others))]
        if self._compiled:
            run = self._tried("compile", lambda: self._compiler(flat), known) or run
        if self._recorded:
            before = run
            run = self._tried("graph", lambda: _replaying(before, inputs, self._capture), known) or run
        return self._plain if run is flat else named(run)

    def _tried(
        self, what: str, make: Callable[[], Callable[..., Outputs]], known: Sequence[tuple[Inputs, Outputs]]
    ) -> Callable[..., Outputs] | None:
        """Return a way, if it can be made and gives what is known of some inputs; say so where not."""
        shape = "x".join(map(str, known[0][0][0].shape))
        try:
            way = make()
            for inputs, wanted in known:
                if apart := differ(way(*inputs), wanted):
                    self._tell(what, shape, f"it differs from the plain way ({apart})")
                    return None
            return way
        except OvvisError:
            raise
        except Exception as error:  # whatever a compiler, or a driver, has to say
            reason = " ".join(str(error).split())[:200]
            self._tell(what, shape, f"{type(error).__name__}: {reason}")
            return None

    def _tell(self, what: str, shape: str, why: str) -> None:
        self.notes.append(f"accelerate {what}: left out for windows of {shape}: {why}")
        _log.warning("%s", self.notes[-1])


def differ(found: Outputs, wanted: Outputs) -> str:
    """Return how two predictions' tensors differ by more than rounding; empty where they do not."""
    for got, plain in zip(found, wanted, strict=True):
        if got.shape != plain.shape or got.dtype != plain.dtype:
            return f"{tuple(got.shape)} of {got.dtype} in place of {tuple(plain.shape)} of {plain.dtype}"
        if not got.is_floating_point():
            if not torch.equal(got, plain):
                return "other numbers"
            continue
        size = plain.float().abs().mean()
        apart = float((got.float() - plain.float()).abs().mean() / size.clamp(min=1e-12))
        if not apart <= _CLOSE.get(plain.dtype, _CLOSE_IN_HALF):  # nor where it is no number
            return f"by {apart:.2g} of its size"
    return ""


def _replaying(run: Callable[..., Outputs], inputs: Inputs, capture: Capture) -> Callable[..., Outputs]:
    """Return what copies its inputs to where they were recorded, replays, and copies the outputs from there.

    The next replay writes over the outputs, and whoever was given them reads them later.
    """
    fixed = tuple(x.clone(memory_format=torch.preserve_format) for x in inputs)
    replay = capture(run, fixed)

    def replayed(*given: Tensor) -> Outputs:
        for into, x in zip(fixed, given, strict=True):
            into.copy_(x, non_blocking=True)
        return tuple(x.clone(memory_format=torch.preserve_format) for x in replay())

    return replayed


def record(run: Callable[..., Outputs], inputs: Inputs) -> Callable[[], Outputs]:
    """Record what `run` launches on a GPU; the returned function launches it all again, reading the same inputs.

    What it returns lies where it lay the last time.
    """
    device = inputs[0].device
    with torch.cuda.device(device):
        here, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                run(*inputs)
        here.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Other threads read frames meanwhile, and may ask for pinned memory.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = run(*inputs)

    def replay() -> Outputs:
        with torch.cuda.device(device):
            graph.replay()
        return outputs

    return replay


def compile_kept(function: Callable[..., Outputs]) -> Callable[..., Outputs]:
    """Return a function compiled for the shapes that it is called with; what is made is kept in the cache folder."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    made: Callable[..., Outputs] = torch.compile(function, dynamic=False)
    return made


def usable(ways: Sequence[str], device: torch.device) -> tuple[list[str], list[str]]:
    """Return which ways can be taken on a device, and a line for each that cannot."""
    good, lines = [], []
    for way in ways:
        if way in ("kernels", "graph", "batch") and device.type != "cuda":
            lines.append(f"accelerate {way}: it is for GPUs of CUDA, and this is {device.type}: left out")
        else:
            good.append(way)
    return good, lines
