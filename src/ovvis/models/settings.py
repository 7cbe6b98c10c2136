"""What a model is configured by: plain numbers and names, so that the zoo is read without PyTorch.

PyTorch takes seconds to import: a command checks its arguments and prints its help before that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ovvis.errors import InputError, nearest

if TYPE_CHECKING:
    from ovvis.models.backbones.pyramid import Backbone
    from ovvis.models.pixel_decoder import PixelDecoder
    from ovvis.models.query_decoder import QueryDecoder

Weighting = Literal["released", "paper"]
ClassScore = Literal["softmax", "cosine", "sigmoid", "void"]
Average = Literal["scores", "logits"]
IouActivation = Literal["sigmoid", "relu"]
IouSource = Literal["queries", "pixels"]
Alignment = Literal["released", "paper", "none"]
Pooling = Literal["clip", "mean", "nearest"]
Learnt = Literal["none", "online", "offline"]
Followed = Literal["queries", "sort", "overlap", "propagate"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]

UNTRAINED = "untrained"
"""In the place of a checkpoint: none."""

LONG_EDGE = 1333
"""Most pixels of a frame's long edge in the network, unless another number is asked for."""

CLIP_ENCODER = "clip"
"""In the place of a backbone's architecture: that of the model's CLIP."""


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """The part of a family's configuration that makes its two decoders."""

    width: int = 256  # of queries and features
    queries: int = 100  # OV2Seg: 300
    pixel_layers: int = 6
    decoder_layers: int = 6
    heads: int = 8  # attention heads
    points: int = 4  # deformable sampling points for each head and level
    pixel_hidden: int = 1024  # feed-forward width in the pixel decoder
    decoder_hidden: int = 2048  # feed-forward width in the query decoder

    def decoders(self, backbone: Backbone, temporal: bool = False) -> tuple[PixelDecoder, QueryDecoder]:
        """Return them untrained, fitting a backbone; `temporal`: position codes say a cell's frame."""
        from ovvis.models.pixel_decoder import ATTENDED_LEVELS, PixelDecoder
        from ovvis.models.query_decoder import QueryDecoder

        return (
            PixelDecoder(backbone.channels, self.width, self.pixel_layers, self.heads, self.points, self.pixel_hidden),
            QueryDecoder(
                self.queries,
                self.width,
                self.decoder_layers,
                self.heads,
                self.decoder_hidden,
                ATTENDED_LEVELS,
                temporal,
            ),
        )


@dataclass(frozen=True, slots=True)
class FamilyConfig(DecoderConfig):
    """What every family's configuration has."""

    clip: str = "RN50"  # open_clip architecture
    clip_weights: str = "openai"  # open_clip's tag of its pretrained weights
    quick_gelu: bool = True  # the text tower's activation; OpenAI's weights want it
    short_edge: int = 480  # pixels of a frame's short edge, unless another is asked for


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How a model's predictions become tracks, as its authors ran it."""

    window: int | None = 1  # frames that the network sees at once; None: the whole video
    # tracking
    # "queries": by their embeddings or a learnt tracker, as below; else what is found in each frame is taken for
    # detections, which are followed by their boxes, masks, or masks that are propagated from frame to frame
    followed: Followed = "queries"
    # "online": the model's own learnt tracker; "offline": that, and its refiner once the video was seen; "none": the
    # matching that the numbers below describe, which comes first in any case
    learnt: Learnt = "none"
    memory: int = 9  # T: windows that the tracker remembers
    matched: int = 5  # K: best of them that vote
    recency_weighted: bool = True  # multiply the costs of slot i by i + 1 before the vote (released)
    momentum: float | None = None  # share of the new embedding in a running one; replaces the memory
    birth: float | None = None  # cosine distance from which an object begins a tube of its own; None: none does
    names: float = 0.0  # share of an object's names in what it is known by again, beside its embedding; 0: none
    # scores
    # of the logits; "cosine" in CLIP-VIS's paper (eq. 10), "sigmoid" in OVFormer, "void": a softmax whose last logit is
    # a learnt "none of these" (FC-CLIP)
    class_score: ClassScore = "softmax"
    average: Average = "scores"  # what a tube takes the mean of over windows; "logits" are squashed after it (OVFormer)
    none_logit: float | None = None  # of "none of these" beside the vocabulary in the softmax; None: no such answer
    weighting: Weighting = "released"  # "paper": the plain product (eq. 11)
    use_iou: bool = True  # weight by the predicted mask IoU
    use_object: bool = True  # weight by the object score
    scores_bounded: bool = True  # no score is above 1; False for an IoU head that ends in ReLU
    # choice
    silence: float | None = 0.1  # a frame is silenced below this share of the track's score; None silences none
    mask_quality: bool = True  # multiply the score by the mean confidence of the mask's pixels
    results: int = 50  # (tube, label) pairs that become tracks, unless another number is asked for
    # the same of a single image, whose scores are multiplied by the mean confidence of the mask's pixels at the image's
    # own size (FC-CLIP); None: a single image is a video of one frame
    image_results: int | None = None

    def __post_init__(self) -> None:
        if self.birth is not None and not 0 < self.birth <= 2:
            raise ValueError(f"birth {self.birth}: a cosine distance above 0 and at most 2")
        if not 0 <= self.names < 1:
            raise ValueError(f"names {self.names}: a share of what an object is known by, from 0 to below 1")
        if self.silence is not None and not 0 <= self.silence <= 1:
            raise ValueError(f"silence {self.silence}: a share of the track's score, from 0 to 1, or None")
        if self.class_score == "cosine" and self.average == "logits":
            raise ValueError("class_score cosine goes with average scores: it is one window's own")


# What a name of a tracker means; what it does not name is as in a matching without any of it.
_PLAIN: dict[str, Any] = {
    "followed": "queries",
    "learnt": "none",
    "memory": 1,
    "matched": 1,
    "momentum": None,
    "birth": None,
    "names": 0.0,
}
_TOPK: dict[str, Any] = {**_PLAIN, "memory": 9, "matched": 5, "recency_weighted": True}
TRACKERS: dict[str, dict[str, Any]] = {
    "adjacent": _PLAIN,  # the last window alone (MinVIS)
    "topk": _TOPK,  # the best 5 of the last 9 vote (CLIP-VIS)
    "longterm": {**_PLAIN, "momentum": 0.7},  # a running embedding (OV2Seg)
    "births": {**_TOPK, "birth": 0.3},  # objects may be hidden and begin (ours)
    "sort": {**_PLAIN, "followed": "sort"},  # boxes that move evenly (SORT)
    "overlap": {**_PLAIN, "followed": "overlap"},  # masks that overlap their last ones (OWTB)
    "propagate": {**_PLAIN, "followed": "propagate"},  # masks propagated from frame to frame (XMem)
    "online": {**_PLAIN, "learnt": "online"},  # the model's own learnt tracker (OV-DVIS++)
    "offline": {**_PLAIN, "learnt": "offline"},  # that, refined over the whole video
}
"""Trackers by name, for any model whose parts allow it: what of `VideoSettings` each sets."""


LEARNT = tuple(name for name, chosen in TRACKERS.items() if chosen["learnt"] != "none")
"""Those that are part of a model's weights."""


def find_tracker(name: str) -> dict[str, Any]:
    """Return what of `VideoSettings` a tracker sets.

    Raises:
        InputError: there is none of that name.
    """
    if name not in TRACKERS:
        raise InputError(f"tracker {name!r}: there is none of that name; {nearest(name, TRACKERS)}")
    return TRACKERS[name]


def with_tracker(settings: VideoSettings, name: str) -> VideoSettings:
    """Return settings with a tracker by name in place of their own.

    Raises:
        InputError: there is none of that name.
    """
    return replace(settings, **find_tracker(name))


SAM2 = {f"sam2-{size}": f"facebook/sam2.1-hiera-{size}" for size in ("tiny", "small", "base-plus", "large")}
PROPAGATORS = ("colours", *SAM2)
"""What carries masks on: by the colours of small patches, or SAM 2 (the extra `sam2`)."""


@dataclass(frozen=True, slots=True)
class Following:
    """How detections are followed.

    Raises:
        InputError: a number outside its range.
    """

    least: float = 0.3  # overlap from which two may be one thing, in [0, 1]
    patience: int = 30  # frames for which a tube may be unseen and still go on
    start: float = 0.0  # score from which a thing may begin a tube, in [0, 1]
    propagator: str = "colours"  # who carries masks on: of `PROPAGATORS`
    min_frames: int = 1  # tubes in fewer frames are left out
    slots: int = 100  # of trackers by embeddings: things that are followed at once

    def __post_init__(self) -> None:
        if self.propagator not in PROPAGATORS:
            raise InputError(
                f"propagator {self.propagator!r}: there is none of that name; {nearest(self.propagator, PROPAGATORS)}"
            )
        for name, value in (("overlap", self.least), ("start", self.start)):
            if not 0 <= value <= 1:
                raise InputError(f"{name} {value:g}: it must lie in [0, 1]")
        if self.patience < 0 or self.slots < 1 or self.min_frames < 1:
            raise InputError(
                f"patience {self.patience}, slots {self.slots}, min_frames {self.min_frames}: give 0 frames or more of "
                "patience, and 1 or more of the others"
            )
