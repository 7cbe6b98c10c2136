"""What goes into a network and comes out of it. No behaviour beyond slicing and moving devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from ovvis.structures.frames import Frame, Region

if TYPE_CHECKING:  # rooms that need no network read these records too: importing torch takes seconds
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Window:
    """T consecutive frames, ready for the network."""

    pixels: Tensor  # T, 3, H, W; normalised, padded with zeros at the right and bottom
    image_size: tuple[int, int]  # height and width without the padding
    frames: tuple[Frame, ...]  # T
    views: Tensor | None = None  # T, 3, S, S; uint8: the frames as CLIP's image encoder wants them, where it is asked
    region: Region | None = None  # the part of the frames that the pixels show


@dataclass(frozen=True, slots=True)
class Prediction:
    """The network's output for a batch of windows."""

    mask_logits: Tensor  # B, Q, T, h, w; stride 4, padding included
    object_logits: Tensor | None  # B, Q, 2; index 0 is "object"; None where the names say what is none (FC-CLIP)
    mask_ious: Tensor | None  # B, Q; the predicted overlap of the mask with the truth
    embeddings: Tensor  # B, Q, D; what the tracker compares
    features: Tensor | None  # B, T, C, h, w; dense CLIP features at stride 32, for naming (CLIP-VIS)
    class_embeddings: Tensor | None = None  # B, Q, E; the queries in CLIP's space, for naming (OVFormer, FC-CLIP)
    states: Tensor | None = None  # B, Q, D; the queries before the decoder's last norm, for a learnt tracker
    mask_features: Tensor | None = None  # B, T, D, h, w; stride 4, likewise
    class_logits: Tensor | None = None  # B, Q, K; of a network that names as it looks (an exported one)

    def window(self, index: int) -> Prediction:
        """Return one window of the batch, as a batch of one."""
        return self._map(lambda x: x[index : index + 1])

    def aligned(self, order: Tensor) -> Prediction:
        """Return the prediction with its queries in tube order: slot q holds what was query `order[q]`."""
        moved = replace(self, features=None, mask_features=None)._map(lambda x: x[:, order.to(x.device)])
        return replace(moved, features=self.features, mask_features=self.mask_features)

    def float(self) -> Prediction:
        """Return the prediction in float32."""
        return self._map(lambda x: x.float())

    def _map(self, change: Callable[[Tensor], Tensor]) -> Prediction:
        parts = ((part.name, getattr(self, part.name)) for part in fields(self))
        return replace(self, **{name: change(value) for name, value in parts if value is not None})


@dataclass(frozen=True, slots=True)
class LayeredPrediction:
    """What the network gives for a batch of windows in training: the heads' answers after every decoder layer.

    Masks are kept as the two factors of their product: the loss reads the logits of few points and of few queries,
    and never needs those of all queries at once.
    """

    mask_embeddings: Tensor  # L, B, Q, D; L - 1 decoder layers and, first, the state before them
    mask_features: Tensor  # B, T, D, h, w; stride 4. Mask logits are the product of both over D
    object_logits: Tensor  # L, B, Q, 2; index 0 is "object"
    mask_ious: Tensor | None  # L, B, Q
    embeddings: Tensor  # L, B, Q, D; the query states
    class_logits: Tensor | None = None  # L, B, Q, K; over the training set's labels, where training names
    class_embeddings: Tensor | None = None  # L, B, Q, E; in CLIP's space, not normalised


@dataclass(frozen=True, slots=True)
class Target:
    """What is true of one window of T frames with N instances.

    An instance that is not in a frame has an empty mask there. One that is in no frame of the window does not belong
    in here, but does no harm: it counts as "no object".
    """

    masks: Tensor  # N, T, H, W; bool; of the size that the network sees, padding included
    labels: Tensor  # N; int64; position in the vocabulary of the training set
    ids: Tensor  # N; int64; the same number in every window of a video

    @property
    def visible(self) -> Tensor:
        """Where each instance has a pixel: N, T; bool."""
        return self.masks.flatten(2).any(-1)

    def select(self, instances: Tensor) -> Target:
        """Return the target with some of its instances: indices, or a bool for each."""
        return Target(self.masks[instances], self.labels[instances], self.ids[instances])

    def frame(self, index: int) -> Target:
        """Return one frame's target, as a window of one, with what is visible in it."""
        one = replace(self, masks=self.masks[:, index : index + 1])
        return one.select(one.visible[:, 0])

    def to(self, device: torch.device) -> Target:
        """Return the target on a device; from pinned memory without waiting."""
        masks, labels, ids = (x.to(device, non_blocking=True) for x in (self.masks, self.labels, self.ids))
        return Target(masks, labels, ids)


@dataclass(frozen=True, slots=True)
class TextEmbeddings:
    """A vocabulary in CLIP's space."""

    vectors: Tensor  # P, E; unit length; a row for each synonym
    label_of_row: Tensor  # P; int64, ascending
    labels: tuple[str, ...]  # K
    synonyms: tuple[tuple[str, ...], ...] = ()  # K; the words asked with for each; empty: the labels themselves


@dataclass(frozen=True, slots=True)
class TextRows:
    """A vocabulary as an exported graph is given it: in tensors alone."""

    vectors: Tensor  # P, E; unit length; a row for each synonym
    rows: Tensor  # K, S; int64; which rows are a label's; one with fewer than S repeats its last
    exponents: Tensor | None = None  # K; in [0, 1]; how much CLIP's own answer counts, where two heads name (FC-CLIP)
