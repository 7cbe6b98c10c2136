"""The records that travel between rooms. Shapes in comments; no behaviour beyond slicing and moving devices.

Letters: B windows in a batch, T frames, Q queries, D width, K labels, H x W pixels, h x w feature cells; in training
L decoder states, N instances of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ovvis.masks import Rle

SHOWN_SCORE = 0.3
"""What a person is shown scores at least this, unless said otherwise; the list of results holds everything."""

if TYPE_CHECKING:  # rooms that need no network read these records too: importing torch takes seconds
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a video."""

    image: NDArray[np.uint8] = field(repr=False)  # H, W, 3; RGB
    index: int  # position in the source, counted from 0 before any frame is skipped
    time: float  # seconds from the source's first frame


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source before its frames are read."""

    name: str
    height: int  # pixels, after rotation
    width: int
    fps: float  # frames a second that the source yields, skipped ones not counted
    frame_count: int | None  # frames that it will yield; an estimate; None where nothing is known
    pixel_aspect: Fraction = Fraction(1)  # width of a pixel by its height, after rotation: DV's are not square


@dataclass(frozen=True, slots=True)
class Window:
    """T consecutive frames, ready for the network."""

    pixels: Tensor  # T, 3, H, W; normalised, padded with zeros at the right and bottom
    image_size: tuple[int, int]  # height and width without the padding
    frames: tuple[Frame, ...]  # T
    views: Tensor | None = None  # T, 3, S, S; uint8: the frames as CLIP's image encoder wants them, where it is asked


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
class Instance:
    """One instance in one frame, as a stream yields it."""

    id: int  # the same number in every frame of a video, from 1
    label: str
    score: float  # in [0, 1]; of the video so far
    mask: Rle = field(repr=False)
    box: tuple[float, float, float, float]  # x, y, width, height; pixels


@dataclass(frozen=True, slots=True)
class FrameResult:
    """The instances of one frame, best first."""

    frame: Frame
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """What is known of one frame of a source that goes on by itself."""

    frame: Frame
    instances: tuple[Instance, ...]  # best first; an id is one object's for as long as the stream lives
    labels: tuple[str, ...]  # asked for in this frame
    captured: float  # when the frame came from the source; seconds of `time.monotonic`
    left_out: int  # frames of the source between the one before and this, which came while the network worked
    time: float  # seconds since the first frame; never goes back, whatever the source's own clock does


@dataclass(frozen=True, slots=True)
class Track:
    """One instance over the whole video under one of its names.

    Tracks of the same `id` are one tube under several labels: the same masks, another name and score.
    """

    id: int  # the tube's number, from 1; the same as a stream gives
    label: str
    label_index: int  # position of the label in the vocabulary
    score: float  # in [0, 1]
    top_labels: tuple[tuple[str, float], ...]  # the tube's best labels with their scores, best first
    masks: Sequence[Rle | None]  # one for each frame of the video; None where nothing is seen

    def __repr__(self) -> str:
        return f"Track(id={self.id}, label={self.label!r}, score={self.score:.3f}, {len(self.masks)} frames)"

    @property
    def frames(self) -> list[int]:
        """Positions (in the result, from 0) of the frames in which the instance is seen."""
        return [i for i, mask in enumerate(self.masks) if mask is not None]


def one_label_each(tracks: Sequence[Track]) -> list[Track]:
    """Return of tracks, best first, one for each tube: under its best label."""
    best: dict[int, Track] = {}
    for track in tracks:
        best.setdefault(track.id, track)
    return list(best.values())


class Storage(Protocol):
    """Where a result's masks lie until it is closed."""

    def close(self) -> None:
        """Free the memory or the temporary file; the masks cannot be read after it."""


@dataclass(slots=True)
class VideoResult:
    """What a person gets for a video and a vocabulary.

    The masks may lie in a temporary file: use the result as a context manager, or call `close`, to remove it
    early. It goes with the object otherwise.
    """

    tracks: list[Track]  # best first
    source: str
    height: int  # pixels of the masks, which are those that the source stores
    width: int
    fps: float
    frame_indices: list[int]  # of the frames that were seen, in the source's own count
    frame_times: list[float]  # seconds
    labels: tuple[str, ...]  # the vocabulary
    settings: dict[str, Any] = field(default_factory=dict)  # what made it: model, sizes, options, versions
    seconds: dict[str, float] = field(default_factory=dict)  # where the time went, by stage
    problem: str | None = None  # why the video ended early; None if it did not
    notes: list[str] = field(default_factory=list)  # what of the source was left out, guessed or converted
    pixel_aspect: Fraction = Fraction(1)  # width of a pixel by its height, as the video is shown
    storage: Storage | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        best = f", the best {self.tracks[0].label!r} {self.tracks[0].score:.3f}" if self.tracks else ""
        size = f"{len(self.frame_indices)} frames of {self.width}x{self.height}"
        return f"VideoResult({self.source!r}: {size}, {len(self.tracks)} tracks{best})"

    def best_tracks(self, min_score: float = SHOWN_SCORE) -> list[Track]:
        """Return one track for each tube, under its best label, best first.

        Args:
            min_score: tracks below it are left out, in [0, 1]; 0 gives all. `tracks` is the whole list, as released.
        """
        return [track for track in one_label_each(self.tracks) if track.score >= min_score]

    def close(self) -> None:
        """Remove the temporary file of the masks, if there is one."""
        if self.storage is not None:
            self.storage.close()

    def __enter__(self) -> VideoResult:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
