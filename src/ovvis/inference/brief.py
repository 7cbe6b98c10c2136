"""What the tracker and the records want of a window, read back from its device in one copy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ovvis.inference.fetched import Fetched
from ovvis.inference.mask_code import MaskCode, Sketch
from ovvis.inference.seen import ClassKey, Seen, class_key, overflow
from ovvis.models.settings import VideoSettings

OF_LOGITS = ("softmax", "sigmoid")
"""Class scores that can be made again of what the logits are made of."""


class Brief:
    """A window in few numbers; asked for when this is made, there when they are read.

    Args:
        seen: the window.
        settings: of the tracker and of the tubes that choose from the records.
    """

    def __init__(self, seen: Seen, settings: Sequence[VideoSettings]) -> None:
        self._seen, self._dtype = seen, seen.prediction.embeddings.dtype
        parts = {
            "embeddings": seen.prediction.embeddings[0],
            "objects": seen.objects,
            "confidence": seen.confidence,
            "pixels": seen.pixels,
        }
        if seen.sound is not None:
            parts["sound"] = seen.sound
        if seen.vectors is not None:
            parts["vectors"] = seen.vectors.float()
        for one in settings:
            if one.names:
                parts[_names(one)] = seen.names(one)
            if one.silence is None:
                continue
            if seen.vectors is not None and one.class_score in OF_LOGITS:
                parts[_rest(class_key(one))] = rest(seen, one)
            else:
                parts[_evidence(class_key(one))] = seen.evidence(one)
        self._sketches: list[Sketch] = []
        # On a CPU NumPy picks several times faster, and nothing is to be waited for.
        if seen.masks.device.type != "cpu" and seen.codes is None:
            self._sketches = [Sketch(seen.masks[:, t], seen.positive[:, t]) for t in range(seen.masks.shape[1])]
        for t, sketch in enumerate(self._sketches):
            parts |= {f"{name} {t}": part for name, part in sketch.parts.items()}
        self._fetched = Fetched(parts)

    def __getitem__(self, name: str) -> Tensor:
        """Return one of the numbers, on the CPU.

        Raises:
            InputError: the network overflows.
        """
        if "sound" in self._fetched and not self._fetched["sound"]:
            raise overflow(self._dtype)
        return self._fetched[name]

    def names(self, settings: VideoSettings) -> Tensor | None:
        """Return how each query is named: see `Seen.names`; None for a tracker that does not ask."""
        return self[_names(settings)] if settings.names else None

    def evidence(self, settings: VideoSettings) -> Tensor:
        """Return `Seen.evidence`."""
        return self[_evidence(class_key(settings))]

    def rest(self, settings: VideoSettings) -> Tensor:
        """Return what `rest` returns."""
        return self[_rest(class_key(settings))]

    def codes(self) -> list[MaskCode]:
        """Return the masks of each frame."""
        if not self._sketches:
            return self._seen.packed()
        return [
            sketch.code(**{name: self[f"{name} {t}"] for name in sketch.parts})
            for t, sketch in enumerate(self._sketches)
        ]


def rest(seen: Seen, settings: VideoSettings) -> Tensor:
    """Return what the softmax takes off each logit of a query (Q); zeros where a score is its logit's own."""
    if settings.class_score != "softmax":
        return torch.zeros(len(seen.objects), device=seen.objects.device)
    best, label = seen.logits.max(-1)
    return best - seen.classes(settings).gather(1, label[:, None])[:, 0].log()


def _names(settings: VideoSettings) -> str:
    return f"names {class_key(settings)}"


def _evidence(key: ClassKey) -> str:
    return f"evidence {key}"


def _rest(key: ClassKey) -> str:
    return f"rest {key}"
