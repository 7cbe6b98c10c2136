"""Who names things by words, and says how they look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ovvis.inference.crops import CropNamer
from ovvis.models import download
from ovvis.models.any_clip import DEFAULT_CLIP, load_clip
from ovvis.models.devices import pick_device
from ovvis.models.text import Progress, embed_vocabulary, text_cache
from ovvis.structures import Detected
from ovvis.vocabulary import VILD_PROMPTS, Vocabulary


class Namer(Protocol):
    """Names the things of a frame."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The vocabulary's K labels; None: the things keep their own, and are looked at alone."""

    def __call__(self, image: NDArray[np.uint8], detected: Detected) -> Detected:
        """Return a frame's things with `names` (N, K) and `embeddings` (N, D).

        Args:
            image: the frame (H, W, 3), RGB.
            detected: what was found in it.
        """

    def describe(self) -> dict[str, Any]:
        """Return what decides the names, as JSON knows it."""


def crop_namer(
    labels: Vocabulary | str | Iterable[Any] | None,
    clip: str | None = None,
    *,
    prompts: Sequence[str] = VILD_PROMPTS,
    around: bool = False,
    device: str = "auto",
    cache: bool = True,
    on_progress: download.Progress | None = None,
    on_text: Progress | None = None,
) -> CropNamer:
    """Return what names things by their crops.

    Args:
        labels: the words; None: things keep their own labels, and are looked at alone.
        clip: as `load_clip` takes it; None: `DEFAULT_CLIP`.
        prompts: texts with one "{}" for the word.
        around: whether a crop shows what is around the mask too.
        device: as `load_model` takes it.
        cache: whether text embeddings are kept on disk.
        on_progress: called with bytes done and bytes in all while weights are fetched.
        on_text: called with words done and words in all while the text tower runs.

    Raises:
        InputError: there is no such CLIP, or the words cannot be used.
        ResourceError: the weights are not here and cannot be fetched.
    """
    words: Vocabulary | None = None
    if labels is not None:
        given = Vocabulary.parse(labels) if isinstance(labels, str) else labels
        words = given if isinstance(given, Vocabulary) else Vocabulary(given)
    name = clip or DEFAULT_CLIP
    looks = load_clip(name, pick_device(device), on_progress)
    text = None if words is None else embed_vocabulary(looks, words, prompts, text_cache() if cache else None, on_text)
    return CropNamer(looks, text, alone=not around, name=name)
