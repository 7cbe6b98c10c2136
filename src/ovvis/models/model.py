"""A whole model: the frozen CLIP, the network, the classifier and the numbers its tracker wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from ovvis.models.backbones.fused_blocks import fuse_blocks
from ovvis.models.classifiers import Classifier
from ovvis.models.clip import FrozenClip
from ovvis.models.devices import pick_precision
from ovvis.models.faster import Faster, usable
from ovvis.models.layers.folding import fold_batch_norm
from ovvis.models.layers.kernels import use_kernels
from ovvis.models.layers.linear import replace_linears
from ovvis.models.referring_tracker import ReferringTracker
from ovvis.models.segmenter import Segmenter
from ovvis.models.settings import VideoSettings
from ovvis.models.temporal_refiner import TemporalRefiner
from ovvis.structures import LayeredPrediction, Prediction, TextEmbeddings


class Model(nn.Module):
    """What `load_model` returns.

    Args:
        name: the name it was built by.
        family: "clip-vis", ...
        config: the recipe's configuration, for saving.
        clip: the frozen CLIP.
        network: finds instances.
        classifier: names them.
        pixel_mean: mean of each colour channel, in [0, 255].
        pixel_std: standard deviation of each, likewise.
        video: how predictions become tracks.
        short_edge: pixels of a frame's short edge that it was made for.
        tracker: the network of a learnt tracker, or None.
        refiner: what refines the tubes of a whole video, or None.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        *,
        name: str,
        family: str,
        config: Any,
        clip: FrozenClip,
        network: Segmenter,
        classifier: Classifier,
        pixel_mean: tuple[float, float, float],
        pixel_std: tuple[float, float, float],
        video: VideoSettings,
        short_edge: int,
        tracker: ReferringTracker | None = None,
        refiner: TemporalRefiner | None = None,
    ) -> None:
        super().__init__()
        self.name, self.family, self.config, self.video = name, family, config, video
        self.short_edge = short_edge
        # Set by whoever loads the weights: where they came from, the vocabulary that came with them.
        self.source = "untrained"
        self.texts: TextEmbeddings | None = None
        self.notes: tuple[str, ...] = ()  # what was changed in reading them
        self.runtime: str | None = None  # what runs the network, where it is not PyTorch
        self.accelerated: tuple[str, ...] = ()  # ways to be faster that were asked for and are taken
        self._faster: Faster | None = None
        self.clip = clip
        self.network = network
        self.classifier = classifier
        self.tracker, self.refiner = tracker, refiner
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(3, 1, 1), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return self.pixel_mean.device

    @property
    def dtype(self) -> torch.dtype:
        """The floating type that the network computes in."""
        return self.network.query_decoder.query_features.dtype

    @property
    def precision(self) -> str:
        """That type's name."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def batch(self) -> int:
        """Windows that go through the network together, unless another number is asked for: 4 of single small frames.

        A processor spends its time on such a window's operations, not on its arithmetic. Others go one by one.
        """
        return 4 if self.video.window == 1 and self.short_edge <= 256 else 1

    @property
    def view_side(self) -> int | None:
        """Side in pixels of the views that `forward` wants images of; None where it wants none."""
        alignment = getattr(self.network.class_head, "alignment", None)
        return None if alignment is None else self.clip.image_side

    @overload
    def forward(
        self, pixels: Tensor, every_layer: Literal[False] = False, images: Tensor | None = None
    ) -> Prediction: ...

    @overload
    def forward(
        self, pixels: Tensor, every_layer: Literal[True], images: Tensor | None = None
    ) -> LayeredPrediction: ...

    def forward(
        self, pixels: Tensor, every_layer: bool = False, images: Tensor | None = None
    ) -> Prediction | LayeredPrediction:
        """Predict the instances of windows.

        Args:
            pixels: B, T, 3, H, W; normalised, padded frames.
            every_layer: give what the loss wants, the answers after every decoder layer.
            images: B, T, E; CLIP's embeddings of the frames, which `clip.embed_images` computes from views of
                `view_side` pixels. Only for a model that has a `view_side`; whoever sees a frame again may keep them.
        """
        images = None if images is None else images.to(self.device, self.dtype)
        return self.network(pixels.to(self.device, self.dtype), every_layer, images)  # type: ignore[no-any-return]

    def see(self, pixels: Tensor, views: Tensor | None, text: TextEmbeddings) -> Prediction:  # noqa: ARG002
        """Return the prediction of a batch of windows, from what they carry.

        Args:
            pixels: B, T, 3, H, W.
            views: B, T, 3, S, S; uint8; None for a model without a `view_side`.
            text: the vocabulary, which this network does not see; one that names as it looks does.
        """
        run = self._see if self._faster is None else self._faster
        return run(pixels, views)

    def _see(self, pixels: Tensor, views: Tensor | None) -> Prediction:
        images = None if views is None else self.clip.embed_images(views)
        found: Prediction = self(pixels, images=images)
        return found

    def for_inference(self, device: torch.device, dtype: torch.dtype, accelerate: Sequence[str] = ()) -> Model:
        """Make the model as fast as it can be without training it, in place, and return it.

        Folds the frozen BatchNorms, takes the faster blocks and linear layers, orders the convolutions' weights
        channels-last, moves the networks and CLIP's image encoder to `dtype`. The text tower keeps float32, and
        multiplies in bfloat16 where that is asked for and fast.

        Args:
            device: where it computes.
            dtype: in which floating type.
            accelerate: of `accelerations.ACCELERATIONS`; what cannot be taken here is told in `notes`.
        """
        self.eval().requires_grad_(False)
        for part in (self.network, self.clip.visual):
            fold_batch_norm(part)
            fuse_blocks(part)
        replace_linears(self)
        self.to(device)
        for part in (self.network, self.clip.visual, self.tracker, self.refiner):
            if part is not None:
                part.to(memory_format=torch.channels_last)
                part.to(dtype)
        fast = dtype == torch.bfloat16 == pick_precision("auto", device)
        self.clip.text_dtype = torch.bfloat16 if fast else torch.float32
        self._accelerate(accelerate, device, dtype)
        return self

    def _accelerate(self, asked: Sequence[str], device: torch.device, dtype: torch.dtype) -> None:
        ways, lines = usable(asked, device)
        if "kernels" in ways and (line := use_kernels(self.network, device, dtype)):
            ways.remove("kernels")
            lines.append(line)
        if "compile" in ways or "graph" in ways:
            self._faster = Faster(self._see, compiled="compile" in ways, recorded="graph" in ways)
        self.accelerated = tuple(ways)
        self.notes += tuple(lines)
