"""The training set: a draw becomes a window of frames with its target."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.problems import LeftOut
from ovvis.errors import InputError
from ovvis.evaluation.records import Masks, TruthTrack
from ovvis.masks import Rle
from ovvis.pixels import clip_view
from ovvis.sources.frames import read_image
from ovvis.structures import Target
from ovvis.training.data.filtering import FilterConfig, select
from ovvis.training.data.sampling import Draw, SamplingConfig, choose_frames, repeat_factors
from ovvis.training.data.transforms import (
    AugmentConfig,
    draw_again,
    draw_colour,
    draw_geometry,
    place_masks,
    place_pixels,
)

_ITEM = 3  # keeps an item's random numbers apart from the sampler's
_TRIES = 10  # items drawn in the place of one that cannot be read


@dataclass(frozen=True, slots=True)
class Scene:
    """A window's frames as they are before augmentation, and what is true of them."""

    images: tuple[NDArray[np.uint8], ...]  # T; H, W, 3
    masks: tuple[tuple[Rle | None, ...], ...]  # T; N
    categories: tuple[int, ...]  # N; the dataset's ids
    ids: tuple[int, ...]  # N; the annotations' numbers
    video: str
    files: tuple[str, ...]  # T
    still: bool = False  # an image, that moves through a longer window


class Maker(Protocol):
    """Makes scenes that no file holds."""

    @property
    def fingerprint(self) -> str:
        """What a run that goes on must find again, as one line."""

    def scene(self, seed: int, position: int, sampling: SamplingConfig, rng: np.random.Generator) -> Scene:
        """Return the scene of a draw: the same for the same seed and position in the sequence of draws."""


@dataclass(frozen=True, slots=True)
class Part:
    """A dataset of a mixture, with what is its own."""

    annotations: Annotations
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    weight: float | None = None  # share of the draws, of any sum; None for all: as large as its epoch
    maker: Maker | None = None  # where the scenes are made and not read; the annotations' videos then count an epoch


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a training window comes from: what a message about it names."""

    draw: Draw
    dataset: str
    video: str
    files: tuple[str, ...]  # T; below the dataset's folder of frames
    truth_ids: tuple[int, ...]  # N; the annotations' numbers in their file, in the target's order
    unreadable: tuple[str, ...] = ()  # what could not be read, and made place for this window

    def __str__(self) -> str:
        ids = ", ".join(map(str, self.truth_ids)) or "none"
        return f"draw {self.draw.position}: {self.dataset}, {self.video}, {', '.join(self.files)} (annotations {ids})"


@dataclass(frozen=True, slots=True)
class TrainingWindow:
    """One item of training."""

    pixels: torch.Tensor  # T, 3, H, W; uint8; not yet padded to the network's stride
    target: Target  # masks likewise
    origin: Origin
    views: torch.Tensor | None = None  # T, 3, S, S; uint8; the whole frames as CLIP's image encoder wants them


class TrainingSet(Dataset[TrainingWindow]):
    """The windows of one dataset or of several. It is asked by draws, and gives the same window for the same draw.

    Args:
        parts: the datasets.
        sampling: how long a window is, how often a video is drawn.
        choice: what of each dataset is used; its `bad` also says what to do about a frame that cannot be read.
        seed: of all windows.
        view_side: pixels of CLIP's square views of the frames, for a model that asks for them; None for none. They
            are of the frames before augmentation: OVFormer's authors embedded each file once, before training.

    Raises:
        InputError: a dataset holds nothing to train on, or lacks frames and `bad` is "refuse".
    """

    def __init__(
        self,
        parts: Sequence[Part],
        sampling: SamplingConfig | None = None,
        choice: FilterConfig | None = None,
        seed: int = 0,
        view_side: int | None = None,
    ):
        if not parts:
            raise InputError("no dataset to train on: give one or more")
        weighted = [part.weight is not None for part in parts]
        if any(weighted) and not all(weighted):
            raise InputError("some datasets of the mixture have a weight and some have none: give all of them one")
        self.sampling, self.seed, self._view_side = sampling or SamplingConfig(), seed, view_side
        self._choice = choice or FilterConfig()
        selected = [(part.annotations, ()) if part.maker else select(part.annotations, self._choice) for part in parts]
        self.parts = tuple(replace(part, annotations=kept) for part, (kept, _) in zip(parts, selected, strict=True))
        self.left_out: dict[str, tuple[LeftOut, ...]] = {kept.name: left for kept, left in selected}
        names = (category.name for part in self.parts for category in part.annotations.asked)
        self.labels = tuple(dict.fromkeys(names))  # K; what a target's labels count; equal names are one label
        index = {name: i for i, name in enumerate(self.labels)}
        self._label_of = [{c.id: index[c.name] for c in part.annotations.asked} for part in self.parts]

    @cached_property
    def factors(self) -> list[NDArray[np.float64]]:
        """For each dataset, each video's repeat factor."""
        return [
            repeat_factors(
                [{truth.category_id for truth in known.truths_of(video)} for video in known.videos],
                self.sampling.repeat_threshold,
            )
            for known in (part.annotations for part in self.parts)
        ]

    @cached_property
    def label_frames(self) -> NDArray[np.float64]:
        """For each label (K), the frames of the videos that hold an instance of it; an image is one.

        Of a part whose scenes are made it is not known which: each of its labels counts as one frame more.
        """
        counts = np.zeros(len(self.labels))
        for part, label_of in zip(self.parts, self._label_of, strict=True):
            for video in part.annotations.videos if part.maker is None else ():
                held = {label_of[truth.category_id] for truth in part.annotations.truths_of(video)}
                counts[list(held)] += len(video.files)
            if part.maker is not None:
                counts[list(label_of.values())] += 1
        return counts

    @property
    def weights(self) -> list[float] | None:
        """For each dataset, its share of the draws; None: as large as its epoch."""
        weights = [part.weight for part in self.parts if part.weight is not None]
        return weights or None

    @cached_property
    def fingerprints(self) -> tuple[str, ...]:
        """For each dataset, what a run that goes on must find again: its size, and a hash of what is drawn from.

        The hash covers the videos' ids, sizes and files and the instances' ids, categories and order; not the masks
        and not the pixels, which would have to be read, and not the folder, which may move.
        """
        return tuple(part.maker.fingerprint if part.maker else _fingerprint(part.annotations) for part in self.parts)

    def __len__(self) -> int:
        """Videos and images of all datasets together."""
        return sum(len(part.annotations.videos) for part in self.parts)

    def __getitem__(self, draw: Draw) -> TrainingWindow:
        """Return the window of a draw.

        Raises:
            InputError: a frame or mask cannot be read; names dataset, video and file. With `bad` "skip" only if ten
                others drawn in its place cannot either.
        """
        unreadable: list[str] = []
        for attempt in range(_TRIES):
            rng = np.random.default_rng([self.seed, _ITEM, draw.position, attempt])
            if attempt:
                count = len(self.parts[draw.dataset].annotations.videos)
                draw = draw._replace(video=int(rng.integers(count)))
            try:
                return self._window(draw, rng, tuple(unreadable))
            except InputError as error:
                if self._choice.bad == "refuse":
                    raise
                unreadable.append(str(error))
        raise InputError(f"{_TRIES} items in a row could not be read, the last: {unreadable[-1]}")

    def _window(self, draw: Draw, rng: np.random.Generator, unreadable: tuple[str, ...]) -> TrainingWindow:
        part = self.parts[draw.dataset]
        known, augment = part.annotations, part.augment
        if part.maker is not None:
            scene = part.maker.scene(self.seed, draw.position, self.sampling, rng)
        else:
            scene = _scene_from_files(known, known.videos[draw.video], self.sampling, rng)
        source = scene.images[0].shape[0], scene.images[0].shape[1]
        geometry, colour = draw_geometry(source, augment, rng), draw_colour(augment, rng)
        geometries = [geometry] * len(scene.images)
        if scene.still:
            geometries[1:] = [draw_again(geometry, augment, rng) for _ in scene.images[1:]]
        pixels, patches = [], []
        for frame, rles, placed in zip(scene.images, scene.masks, geometries, strict=True):
            image = torch.from_numpy(frame).permute(2, 0, 1)[None]
            pixels.append(place_pixels(image, placed, colour, augment.fill))
            patches.append(place_masks(rles, placed))
        seen = [i for i in range(len(scene.ids)) if any(frame[i] for frame in patches)]
        masks = torch.zeros((len(seen), len(scene.images), *geometry.canvas), dtype=torch.bool)
        written = masks.numpy()
        for t, placed_masks in enumerate(patches):
            for n, i in enumerate(seen):
                if patch := placed_masks[i]:
                    h, w = patch.mask.shape
                    written[n, t, patch.top : patch.top + h, patch.left : patch.left + w] = patch.mask
        names = self._label_of[draw.dataset]
        target = Target(
            masks=masks,
            labels=torch.tensor([names[scene.categories[i]] for i in seen], dtype=torch.int64),
            ids=torch.tensor(seen, dtype=torch.int64),  # the place among the video's true tracks
        )
        ids = tuple(scene.ids[i] for i in seen)
        return TrainingWindow(
            pixels[0] if len(pixels) == 1 else torch.cat(pixels),
            target,
            Origin(draw, known.name, scene.video, scene.files, ids, unreadable),
            self._views(scene),
        )

    def _views(self, scene: Scene) -> torch.Tensor | None:
        """Return CLIP's views of a scene's frames, if the model wants them; a frame that repeats is made once."""
        if self._view_side is None:
            return None
        made = {id(image): image for image in scene.images}
        views = {key: clip_view(image, self._view_side) for key, image in made.items()}
        return torch.stack([views[id(image)] for image in scene.images])


def _fingerprint(known: Annotations) -> str:
    """Return a dataset's size and hash as one line."""
    found = hashlib.blake2b(digest_size=8)
    found.update(repr([(category.id, category.name) for category in known.categories]).encode())
    for video in known.videos:
        truths = [(truth.id, truth.category_id, truth.is_crowd) for truth in known.truths_of(video)]
        found.update(repr((video.id, video.height, video.width, video.files, truths)).encode())
    return f"{len(known.videos):,} videos or images, {len(known.truths):,} instances, {found.hexdigest()}"


def _scene_from_files(known: Annotations, video: Video, sampling: SamplingConfig, rng: np.random.Generator) -> Scene:
    """Return frames of a video and their masks."""
    indices = choose_frames(len(video.files), sampling, rng)
    frames = {index: _read(known, video, index) for index in dict.fromkeys(indices)}
    truths = known.truths_of(video)
    masks = []
    for index in indices:
        rles = tuple(truth.masks[index] for truth in truths)
        _check_sizes(rles, truths, known, video, (video.height, video.width))
        masks.append(rles)
    return Scene(
        images=tuple(frames[index] for index in indices),
        masks=tuple(masks),
        categories=tuple(truth.category_id for truth in truths),
        ids=tuple(truth.id for truth in truths),
        video=video.name,
        files=tuple(video.files[index] for index in indices),
        still=len(video.files) == 1,
    )


def _read(known: Annotations, video: Video, index: int) -> NDArray[np.uint8]:
    """Return a frame (H, W, 3), of the size that its dataset states."""
    try:
        image = read_image(known.frames / video.files[index])
    except InputError as error:
        raise InputError(f"{known.name}, {video.name}: {error}") from error
    if image.shape[:2] != (video.height, video.width):
        raise InputError(
            f"{known.name}, {video.name}: {known.frames / video.files[index]} is {image.shape[1]}x{image.shape[0]}"
            f" pixels: the dataset says {video.width}x{video.height}; mend its file or the frame"
        )
    return image


def _check_sizes(
    rles: Masks, truths: Sequence[TruthTrack], known: Annotations, video: Video, size: tuple[int, int]
) -> None:
    """Refuse masks of another size than their frame's."""
    for rle, truth in zip(rles, truths, strict=True):
        if rle is not None and tuple(rle["size"]) != size:
            raise InputError(
                f"{known.name}, {video.name}: a mask of annotation {truth.id} is {rle['size'][1]}x{rle['size'][0]}"
                f" pixels: its frame is {size[1]}x{size[0]}; mend the dataset"
            )
