"""Any CLIP that open_clip knows, to name what lies in a crop: its image and its text encoder, as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import open_clip
import torch
from torch import Tensor, nn

from ovvis.errors import InputError, nearest
from ovvis.models import download
from ovvis.models.checkpoint import read_checkpoint
from ovvis.models.clip import CLIP_MEAN, CLIP_STD, IMAGES_AT_ONCE, MAX_LOGIT_SCALE, FrozenClip, packaged_config
from ovvis.models.own_clip import fetch_clip, pretrained_clip
from ovvis.models.settings import FamilyConfig
from ovvis.models.zoo import ZOO

DEFAULT_CLIP = "ViT-B-32/openai"


class WholeClip(Protocol):
    """What compares pictures with words."""

    @property
    def width(self) -> int:
        """Width E of the space that images and texts share."""

    @property
    def image_side(self) -> int:
        """Side in pixels of the square images that it looks at."""

    @property
    def logit_scale(self) -> float:
        """The factor from cosine to logit."""

    def embed_images(self, views: Tensor) -> Tensor:
        """Return the embeddings (N, E), float32, of square images (N, 3, S, S), uint8."""

    def embed_texts(
        self, texts: Sequence[str], batch: int = 256, on_batch: Callable[[int], None] | None = None
    ) -> Tensor:
        """Return the embeddings (N, E), float32, of texts."""

    def text_fingerprint(self) -> str:
        """Return a hash of what decides a text's embedding."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""

    def check_length(self, label: str, prompt: str) -> None:
        """Refuse a label that would be cut."""


class OpenClip(nn.Module):
    """A model of open_clip's, of whatever kind its two towers are.

    Args:
        name: what to call it.
        model: open_clip's own.
        tokenizer: likewise.
        mean: of the colour channels of its images, in [0, 1].
        std: likewise.
    """

    def __init__(
        self, name: str, model: nn.Module, tokenizer: Any, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.name, self.model, self._tokenizer = name, model.eval().requires_grad_(False), tokenizer
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1) * 255, persistent=False)
        with torch.no_grad():
            self._width = int(self.embed_texts(["a"]).shape[-1])

    @property
    def width(self) -> int:
        """Width E of the space that images and texts share."""
        return self._width

    @property
    def image_side(self) -> int:
        """Side in pixels of the square images that it looks at."""
        visual: Any = self.model.visual
        size = visual.image_size
        return int(size[0] if isinstance(size, (tuple, list)) else size)

    @property
    def logit_scale(self) -> float:
        """The factor from cosine to logit, at most 100."""
        scale: Any = self.model.logit_scale
        return min(float(scale.exp()), MAX_LOGIT_SCALE)

    @torch.no_grad()
    def embed_images(self, views: Tensor) -> Tensor:
        """Return the embeddings (N, E), float32, of square images (N, 3, S, S), uint8."""
        encode: Any = self.model.encode_image
        mean: Any = self.mean
        parts = views.split(IMAGES_AT_ONCE)
        return torch.cat([encode((part.to(mean.device).float() - mean) / self.std).float() for part in parts])

    @torch.no_grad()
    def embed_texts(
        self, texts: Sequence[str], batch: int = 256, on_batch: Callable[[int], None] | None = None
    ) -> Tensor:
        """Return the embeddings (N, E), float32, on the CPU, of texts."""
        encode: Any = self.model.encode_text
        mean: Any = self.mean
        out = []
        for start in range(0, len(texts), batch):
            part = list(texts[start : start + batch])
            out.append(encode(self._tokenizer(part).to(mean.device)).float().cpu())
            if on_batch is not None:
                on_batch(len(part))
        return torch.cat(out)

    def text_fingerprint(self) -> str:
        """Return a hash of what decides a text's embedding."""
        digest = hashlib.blake2b(self.name.encode(), digest_size=16)
        for name, tensor in sorted(self.model.state_dict().items()):
            if not name.startswith("visual."):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, with what ends it; at most those that are read."""
        tokens = self._tokenizer([text])[0]
        return int((tokens != tokens[-1]).sum()) + 1

    def check_length(self, label: str, prompt: str) -> None:
        """Refuse a label that would be cut.

        Raises:
            InputError: with the prompt it fills all tokens that are read.
        """
        tokens = self._tokenizer([prompt.replace("{}", label)])[0]
        if len(tokens) > 1 and bool((tokens[:-1] != 0).all()) and int(tokens[-2]) != int(tokens[-1]):
            raise InputError(
                f"label {label[:57]!r}: with the prompt {prompt!r} it fills all {len(tokens)} text tokens that "
                f"{self.name} reads; shorten it"
            )


def load_clip(
    name: str = DEFAULT_CLIP, device: torch.device | str = "cpu", on_progress: download.Progress | None = None
) -> FrozenClip | OpenClip:
    """Return a CLIP with its weights, which are fetched once.

    Args:
        name: open_clip's ARCHITECTURE/TAG, such as "ViT-B-32/openai" (`open_clip.list_pretrained()`), or a model of the
            zoo, whose CLIP is meant.
        device: where it is to lie.
        on_progress: called with bytes done and bytes in all.

    Raises:
        InputError: open_clip knows none of that name.
        ResourceError: the weights are not here and cannot be fetched.
    """
    config = _config(name)
    if name in ZOO:
        clip = FrozenClip(config.clip, config.quick_gelu)
        state = pretrained_clip(config, on_progress)
        clip.load_state_dict({key.removeprefix("clip."): value for key, value in state.items()})
        return clip.to(device)
    settings = open_clip.get_pretrained_cfg(config.clip, config.clip_weights)
    state = read_checkpoint(fetch_clip(config, on_progress)).state
    model: Any = open_clip.create_model(
        config.clip, load_weights=False, force_quick_gelu=bool(settings.get("quick_gelu", False))
    )
    model.load_state_dict({key.removeprefix("clip.model."): value for key, value in state.items()})
    mean, std = settings.get("mean"), settings.get("std")
    made = OpenClip(
        name,
        model,
        open_clip.get_tokenizer(config.clip),
        mean or [value / 255 for value in CLIP_MEAN],
        std or [value / 255 for value in CLIP_STD],
    )
    return made.to(device)


def _config(name: str) -> FamilyConfig:
    """Return a configuration that names a CLIP.

    Raises:
        InputError: there is none.
    """
    if name in ZOO:
        return ZOO[name].config
    architecture, _, tag = name.partition("/")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if packaged_config(architecture) is None and not tags:
        known = sorted({one for one, _ in open_clip.list_pretrained()})
        raise InputError(f"--clip {name!r}: open_clip has no such architecture; {nearest(architecture, known)}")
    if tag not in tags:
        raise InputError(f"--clip {name!r}: give its weights too, as in {architecture}/{tags[0]}; {nearest(tag, tags)}")
    return FamilyConfig(clip=architecture, clip_weights=tag)
