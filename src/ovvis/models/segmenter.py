"""The only forward: backbone, pixel decoder, query decoder, heads, prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import torch
from torch import Tensor, nn

from ovvis.models.backbones.pyramid import STRIDES, Backbone
from ovvis.models.heads import ClassHead, MaskIouHead, ObjectHead, PooledClassHead
from ovvis.models.layers.mask_product import mask_product
from ovvis.models.pixel_decoder import PixelDecoder
from ovvis.models.query_decoder import QueryDecoder
from ovvis.structures import LayeredPrediction, Prediction

IMAGES_AT_ONCE = 16  # that go through the backbone together in inference


class Segmenter(nn.Module):
    """Finds the instances of windows of frames, without naming them and without a memory.

    Args:
        backbone: pixels to a four-level pyramid.
        pixel_decoder: the pyramid to mask features and three levels.
        query_decoder: these to query states.
        object_head: object or not; None where the names say what is none (FC-CLIP).
        iou_head: predicted overlap of the mask, or None.
        class_head: the queries in CLIP's space, or None.
        for_tracker: whether a prediction carries what a learnt tracker reads: raw states and mask features.
    """

    def __init__(
        self,
        backbone: Backbone,
        pixel_decoder: PixelDecoder,
        query_decoder: QueryDecoder,
        object_head: ObjectHead | None,
        iou_head: MaskIouHead | None = None,
        class_head: ClassHead | PooledClassHead | None = None,
        for_tracker: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pixel_decoder = pixel_decoder
        self.query_decoder = query_decoder
        self.object_head = object_head
        self.iou_head = iou_head
        self.class_head = class_head
        self.for_tracker = for_tracker
        self.full_precision = True  # of the pixel decoder under autocast; training may set it otherwise

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
        """Predict the instances of a batch of windows.

        Args:
            pixels: B, T, 3, H, W; normalised, H and W multiples of 32.
            every_layer: give what the loss wants, the answers after every decoder layer, instead of a prediction.
            images: B, T, E; CLIP's embeddings of the frames, for a class head that aligns queries with them.

        Raises:
            ValueError: the height or width is no multiple of 32; every layer of a network without an object head, for
                which there is no loss.
        """
        windows = pixels.shape[:2]
        if pixels.shape[-2] % STRIDES[-1] or pixels.shape[-1] % STRIDES[-1]:
            raise ValueError(f"frames of {pixels.shape[-2]} x {pixels.shape[-1]} pixels: pad both to multiples of 32")
        mask_features, levels, dense = self._see(pixels.flatten(0, 1))
        mask_features = mask_features.unflatten(0, windows)
        states, last = self.query_decoder([level.unflatten(0, windows) for level in levels], mask_features)
        if every_layer:
            if self.object_head is None:
                raise ValueError("a network without an object head has no loss: it cannot be trained")
            state = torch.stack(states)  # the heads read all layers in one call
            masks = self.query_decoder.mask_head(state)
            return LayeredPrediction(
                mask_embeddings=masks,
                mask_features=mask_features,
                object_logits=self.object_head(state),
                mask_ious=None if self.iou_head is None else self.iou_head(state, masks, mask_features),
                embeddings=state,
                class_embeddings=self._classes(state, images, masks, mask_features),
            )
        state = states[-1]
        masks = self.query_decoder.mask_head(state)
        return Prediction(
            mask_logits=mask_product(masks, mask_features),
            object_logits=None if self.object_head is None else self.object_head(state),
            mask_ious=None if self.iou_head is None else self.iou_head(state, masks, mask_features),
            embeddings=state,
            features=None if dense is None else dense.unflatten(0, windows),
            class_embeddings=self._classes(state, images, masks, mask_features),
            states=last if self.for_tracker else None,
            mask_features=mask_features if self.for_tracker else None,
        )

    def _classes(self, state: Tensor, images: Tensor | None, masks: Tensor, mask_features: Tensor) -> Tensor | None:
        """Return the class embeddings of states (..., B, Q, D), from what the class head reads; None without one."""
        if self.class_head is None:
            return None
        if isinstance(self.class_head, PooledClassHead):
            return self.class_head(state, masks, mask_features)  # type: ignore[no-any-return]
        return self.class_head(state, images)  # type: ignore[no-any-return]

    def _see(self, pixels: Tensor) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """Run what sees each image by itself: backbone and pixel decoder.

        Where nothing is trained, a few images at a time, so that a window of a whole video fits into memory.

        Args:
            pixels: N, 3, H, W.

        Returns:
            mask_features: N, D, H / 4, W / 4.
            levels: strides 32, 16, 8, each N, D, h, w.
            dense: N, C, h, w, or None: see `Pyramid`.
        """
        whole = torch.is_grad_enabled() or torch.compiler.is_exporting()  # an exported batch is of any size
        if whole or len(pixels) <= IMAGES_AT_ONCE:
            pyramid = self.backbone(pixels)
            return (*self._decode_pixels(pyramid.levels), pyramid.dense)
        fine, levels, dense = zip(*map(self._see, pixels.split(IMAGES_AT_ONCE)), strict=True)
        known = [part for part in dense if part is not None]
        return (
            torch.cat(fine),
            [torch.cat(parts) for parts in zip(*levels, strict=True)],
            torch.cat(known) if known else None,
        )

    def _decode_pixels(self, levels: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Run the pixel decoder; under autocast (in training) in float32, as released, unless told otherwise."""
        device = levels[0].device.type
        if not self.full_precision or not torch.is_autocast_enabled(device):
            return self.pixel_decoder(levels)  # type: ignore[no-any-return]
        with torch.autocast(device, enabled=False):
            return self.pixel_decoder([level.float() for level in levels])  # type: ignore[no-any-return]
