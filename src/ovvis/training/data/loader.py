"""From draws to batches: worker processes and collation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset

from ovvis.errors import InputError, OvvisError
from ovvis.pixels import normalise, pad, padded_size
from ovvis.structures import Target
from ovvis.training.data.dataset import Origin, TrainingSet, TrainingWindow
from ovvis.training.data.sampling import Draw, EndlessSampler


@dataclass(frozen=True, slots=True)
class LoaderConfig:
    """How batches are made ready while the network works on earlier ones."""

    workers: int = 2  # processes that decode; 0: in the training process itself
    prefetch: int = 2  # batches that each worker keeps ready
    pin_memory: bool = False  # copies to a GPU need not wait; useless without one

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise InputError(f"workers is {self.workers}: it counts processes; give 0 or more")
        if self.prefetch < 1:
            raise InputError(f"prefetch is {self.prefetch}: it counts batches; give 1 or more")


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """B training windows, padded at the right and bottom to one size, a multiple of the network's stride.

    The windows' targets lie in three tensors, one after another: each tensor costs a file's opening on its way between
    processes, and a copy on its way to a device.
    """

    pixels: Tensor  # B, T, 3, H, W; uint8; zeros in the padding
    sizes: tuple[tuple[int, int], ...]  # B; height and width without the padding
    masks: Tensor  # N of all windows together, T, H, W; bool; padded likewise
    labels: Tensor  # N
    ids: Tensor  # N
    counts: tuple[int, ...]  # B; instances of each window
    origins: tuple[Origin, ...]  # B
    views: Tensor | None = None  # B, T, 3, S, S; uint8; the frames as CLIP's image encoder wants them

    @property
    def targets(self) -> tuple[Target, ...]:
        """The windows' targets (B); views of the tensors."""
        parts = zip(*(x.split(self.counts) for x in (self.masks, self.labels, self.ids)), strict=True)
        return tuple(Target(*part) for part in parts)

    def to(self, device: torch.device) -> TrainingBatch:
        """Return the batch on a device; from pinned memory without waiting."""
        return self._each(lambda x: x.to(device, non_blocking=True))

    def pin_memory(self) -> TrainingBatch:
        """Return it in memory that a GPU reads by itself; the data loader calls this."""
        return self._each(lambda x: x.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> TrainingBatch:
        return replace(
            self,
            pixels=change(self.pixels),
            masks=change(self.masks),
            labels=change(self.labels),
            ids=change(self.ids),
            views=None if self.views is None else change(self.views),
        )


def collate(windows: Sequence[TrainingWindow]) -> TrainingBatch:
    """Return windows (B, all of T frames) as a batch."""
    sizes = tuple((int(w.pixels.shape[-2]), int(w.pixels.shape[-1])) for w in windows)
    height, width = padded_size((max(size[0] for size in sizes), max(size[1] for size in sizes)))
    frames = len(windows[0].pixels)
    shape = (len(windows) * frames, 3, height, width)
    filled = all(size == (height, width) for size in sizes)
    flat = torch.empty(shape, dtype=torch.uint8, memory_format=torch.channels_last)
    pixels = (flat if filled else flat.zero_()).unflatten(0, (len(windows), frames))
    for place, window, size in zip(pixels, windows, sizes, strict=True):
        place[..., : size[0], : size[1]] = window.pixels
    views = [window.views for window in windows if window.views is not None]
    return TrainingBatch(
        pixels=pixels,
        sizes=sizes,
        masks=torch.cat([pad(w.target.masks, (height, width)) for w in windows]),
        labels=torch.cat([w.target.labels for w in windows]),
        ids=torch.cat([w.target.ids for w in windows]),
        counts=tuple(len(w.target.labels) for w in windows),
        origins=tuple(w.origin for w in windows),
        views=torch.stack(views) if views else None,
    )


def network_input(batch: TrainingBatch, mean: Tensor, std: Tensor) -> Tensor:
    """Return the normalised pixels of a batch, float32 (B, T, 3, H, W), on the device that the batch is on.

    Args:
        batch: the windows.
        mean: (3, 1, 1), of the colour channels in [0, 255], on the batch's device.
        std: likewise.
    """
    if len(set(batch.sizes)) == 1 and batch.pixels.device.type != "cpu":  # where a window at a time holds less
        return normalise(batch.pixels, batch.sizes[0], mean, std)
    pixels = torch.empty_like(batch.pixels, dtype=torch.float32)
    for out, window, size in zip(pixels, batch.pixels, batch.sizes, strict=True):
        out.copy_(normalise(window, size, mean, std))
    return pixels


class WindowLoader:
    """Endless batches of a training set, from any place of its sequence of draws on.

    Args:
        dataset: what to draw from.
        batch_size: windows of a batch, in this process.
        config: workers and their memory.
        rank: this process.
        processes: how many share the draws.
    """

    def __init__(
        self,
        dataset: TrainingSet,
        batch_size: int,
        config: LoaderConfig | None = None,
        rank: int = 0,
        processes: int = 1,
    ):
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}: it counts windows; give 1 or more")
        self._dataset, self._batch_size, self._config = dataset, batch_size, config or LoaderConfig()
        self._rank, self._processes = rank, processes
        self.unreadable: list[str] = []  # what could not be read and was replaced, in this process

    @property
    def epoch(self) -> float:
        """Draws, over all processes, after which every video was drawn once on average, repeats included."""
        return self._sampler(0).epoch

    def batches(self, start: int = 0) -> Iterator[TrainingBatch]:
        """Yield this process's batches, without end; the same whatever the number of workers.

        Args:
            start: draws that all processes together have had before.

        Raises:
            InputError: a frame or mask cannot be read; see `TrainingSet`.
        """
        config = self._config
        loader = DataLoader(
            _Caught(self._dataset),
            batch_sampler=BatchSampler(
                self._sampler(start),  # type: ignore[arg-type]  # torch's stub knows only whole numbers
                self._batch_size,
                drop_last=True,
            ),
            num_workers=config.workers,
            prefetch_factor=config.prefetch if config.workers else None,
            pin_memory=config.pin_memory,
            collate_fn=_collate,
            generator=torch.Generator(),  # the global one stays as it is
        )
        for batch in loader:
            if isinstance(batch, OvvisError):
                raise batch
            self.unreadable += [line for origin in batch.origins for line in origin.unreadable]
            yield batch

    def _sampler(self, start: int) -> EndlessSampler:
        data = self._dataset
        return EndlessSampler(data.factors, data.weights, data.seed, self._rank, self._processes, start)


class _Caught(Dataset[TrainingWindow | OvvisError]):
    """A training set whose errors come back as items: a worker would wrap their one line into a traceback."""

    def __init__(self, dataset: TrainingSet):
        self._dataset = dataset

    def __getitem__(self, draw: Draw) -> TrainingWindow | OvvisError:
        try:
            return self._dataset[draw]
        except OvvisError as error:
            return type(error)(str(error))


def _collate(items: Sequence[TrainingWindow | OvvisError]) -> TrainingBatch | OvvisError:
    error = next((item for item in items if isinstance(item, OvvisError)), None)
    return error or collate([item for item in items if isinstance(item, TrainingWindow)])
