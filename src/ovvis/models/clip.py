"""The frozen CLIP model: text embeddings of a vocabulary, image features of frames."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, cast

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transformer import text_global_pool
from torch import Tensor, nn

from ovvis.errors import InputError
from ovvis.models.layers.kept import kept
from ovvis.models.text_tower import can_share, encode_shared, layers_in

MAX_LOGIT_SCALE = 100.0

# Of the colour channels of CLIP's images (OpenAI's), times 255.
CLIP_MEAN = (122.7709383, 116.7460125, 104.09373615)
CLIP_STD = (68.5005327, 66.6321579, 70.32316305)
IMAGES_AT_ONCE = 32  # that go through the image encoder together
TEXTS_AT_ONCE = 1024  # the same of texts, of the text encoder
TOKENS_AT_ONCE = 2**15


def packaged_config(name: str) -> dict[str, Any] | None:
    """Return open_clip's configuration of a CLIP of our own; None where there is none of that name."""
    file = _packaged(f"{name}.json")
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def clip_config(name: str) -> dict[str, Any] | None:
    """Return the configuration of a CLIP, our own or open_clip's; None where there is none of that name."""
    return packaged_config(name) or open_clip.get_model_config(name)


def carries_clip(name: str, state: Mapping[str, Tensor]) -> bool:
    """Return whether a state of ours carries a CLIP of an architecture, as far as its tensors tell."""
    text, shape = state.get("clip.model.text_projection"), clip_config(name)
    trunk = "clip.model.visual.trunk.stem.0.weight" in state
    return (
        text is not None
        and shape is not None
        and text.ndim > 0
        and text.shape[-1] == shape["embed_dim"]
        and trunk == ("timm_model_name" in shape["vision_cfg"])
    )


def _packaged(file: str) -> Path:
    return Path(str(resources.files("ovvis") / "models" / "clips" / file))


@cache  # it takes longer to make than a small network
def _tokenizer(name: str) -> Any:
    """Return a CLIP's tokenizer; one of our own reads byte pairs that were chosen for its words."""
    merges = _packaged(f"{name}.merges.txt.gz")
    if not merges.is_file():
        return open_clip.get_tokenizer(name)
    config = clip_config(name)
    assert config is not None, "who asks for its words has looked"
    return open_clip.SimpleTokenizer(bpe_path=str(merges), context_length=config["text_cfg"]["context_length"])


class FrozenClip(nn.Module):
    """An open_clip model that is never trained.

    Its text tower has a floating type of its own, which `Model.for_inference` chooses: embeddings are kept on disk by
    weights and type, so that a run in float32 never reads those of another.

    Args:
        name: open_clip's name of the architecture.
        quick_gelu: whether the text tower uses QuickGELU, as OpenAI's weights do.
    """

    def __init__(self, name: str, quick_gelu: bool) -> None:
        super().__init__()
        self.name = name
        config = clip_config(name)
        if config is None:
            raise InputError(f"CLIP model {name!r}: open_clip knows no such architecture; see open_clip.list_models()")
        self._tokenizer: Any = _tokenizer(name)
        self.model = open_clip.CLIP(**config, quick_gelu=quick_gelu)
        self.frozen = True
        self.text_dtype = torch.float32  # of the products in the text tower; weights, sums and norms stay in float32
        self.requires_grad_(False)
        self.eval()

    def thaw(self) -> None:
        """Let the CLIP itself be trained: its weights get gradients, its norms new statistics."""
        self.frozen = False
        self.requires_grad_(True)

    @property
    def visual(self) -> Any:
        """The image encoder: open_clip's ResNet, or its wrapper around a timm model (with a `trunk`)."""
        return self.model.visual

    @property
    def width(self) -> int:
        """Width E of the space that images and texts share."""
        return int(self.model.text_projection.shape[-1])

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Widths of the image encoder's four levels, fine to coarse."""
        trunk = getattr(self.visual, "trunk", None)
        if trunk is not None:
            a, b, c, d = (int(info["num_chs"]) for info in trunk.feature_info)
        else:
            stages = (self.visual.layer1, self.visual.layer2, self.visual.layer3, self.visual.layer4)
            a, b, c, d = (stage[-1].bn3.num_features for stage in stages)
        return a, b, c, d

    @property
    def image_side(self) -> int:
        """Side in pixels of the square images that the image encoder was trained with."""
        size = self.visual.image_size
        return int(size[0] if isinstance(size, tuple) else size)

    @property
    def logit_scale(self) -> float:
        """The factor from cosine to logit, at most 100."""
        return float(self.scale)

    @property
    def scale(self) -> Tensor:
        """The same where the weights are: a graph can hold it, and a GPU need not be waited for."""
        scale: Tensor = self.model.logit_scale.detach().exp().clamp(max=MAX_LOGIT_SCALE)
        return scale

    def train(self, mode: bool = True) -> FrozenClip:
        """Stay in evaluation mode while frozen: a frozen model keeps its statistics."""
        super().train(mode and not self.frozen)
        return self

    def text_fingerprint(self) -> str:
        """Return a hash of the text tower's weights and type; equal ones give equal embeddings."""
        digest = hashlib.blake2b(self.name.encode(), digest_size=16)
        for name, tensor in sorted(self.model.state_dict().items()):
            if not name.startswith("visual.") and name != "logit_scale":
                digest.update(f"{name}{tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().data)
        if self.text_dtype != torch.float32:
            digest.update(str(self.text_dtype).encode())
        return digest.hexdigest()

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, without the start and end marks."""
        return len(self._tokenizer.encode(text))

    def check_length(self, label: str, prompt: str) -> None:
        """Refuse a label that the tower would cut.

        Raises:
            InputError: the label in the prompt has more tokens than the tower reads.
        """
        room = self.model.context_length - 2  # the start and end marks
        tokens = self.count_tokens(prompt.replace("{}", label))
        if tokens > room:
            shown = label if len(label) <= 60 else f"{label[:57]}..."
            raise InputError(
                f"label {shown!r}: {tokens} text tokens within the prompt {prompt!r}, but CLIP reads {room}; shorten it"
            )

    @torch.no_grad()
    def embed_texts(
        self, texts: Sequence[str], batch: int = TEXTS_AT_ONCE, on_batch: Callable[[int], None] | None = None
    ) -> Tensor:
        """Return the embeddings of texts, (len(texts), E), float32, not normalised.

        Attention is causal, so what stands behind a text's end changes nothing, and what texts begin alike is the same
        in all of them: each batch is cut at its longest text, and computes what its texts share once. That is ten
        times faster than 77 tokens of each text, and gives the same numbers.

        Args:
            texts: any texts that `check_length` lets pass.
            batch: most texts in a batch; fewer of long ones.
            on_batch: called with the number of texts after each batch.
        """
        device = self.model.token_embedding.weight.device
        tokens = self._tokenizer(list(texts))
        length = tokens.argmax(-1) + 1  # the end mark has the highest number
        order = length.argsort()
        out = torch.empty(len(texts), self.width)
        shared = can_share(self.model)
        layers = layers_in(self.model, self.text_dtype) if shared else None
        for part in _batches(order, length, batch):
            cut = tokens[part, : int(length[part].max())].to(device)
            with torch.autocast(device.type, enabled=False):  # they are kept on disk, for every later run
                out[part] = (encode_shared(self.model, cut, layers) if shared else self.encode(cut)).cpu()
            if on_batch is not None:
                on_batch(len(part))
        return out

    @torch.no_grad()
    def embed_images(self, views: Tensor) -> Tensor:
        """Return the embeddings of images, (..., E), float32, not normalised.

        Args:
            views: ..., 3, S, S; uint8: what `pixels.clip_view` gives, with `image_side` S.
        """
        weight = next(self.visual.parameters())
        mean, std = _colours(weight.device).unbind()
        parts = []
        flat = views.flatten(0, -4)
        for part in (flat,) if torch.compiler.is_exporting() else flat.split(IMAGES_AT_ONCE):
            pixels = (part.to(weight.device).float() - mean) / std
            parts.append(self.visual(pixels.to(weight.dtype)).float())
        out: Tensor = torch.cat(parts).unflatten(0, views.shape[:-3])
        return out

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Return the tokens of texts, (len(texts), L), zeros behind each end; L is that of the longest."""
        tokens: Tensor = self._tokenizer(list(texts))
        return tokens[:, : int(tokens.argmax(-1).max()) + 1]

    def encode(self, tokens: Tensor) -> Tensor:
        """Run the text tower on tokens (N, L), L at most its context length; (N, E), not normalised."""
        model, length = self.model, tokens.shape[1]
        x = model.token_embedding(tokens) + model.positional_embedding[:length]
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
        pooled = text_global_pool(x, tokens, model.text_pool_type)
        return cast(Tensor, pooled @ model.text_projection)


@kept
def _colours(device: torch.device) -> Tensor:
    """Return CLIP's mean and standard deviation of the colours (2, 3, 1, 1)."""
    return torch.tensor((CLIP_MEAN, CLIP_STD), device=device).view(2, 3, 1, 1)


def _batches(order: Tensor, length: Tensor, most: int) -> Iterator[Tensor]:
    """Yield texts, the shortest first, so many at a time that neither they nor their tokens, padded, are too many."""
    start = 0
    while start < len(order):
        part = order[start : start + most]
        fits = (length[part] * torch.arange(1, len(part) + 1)) <= TOKENS_AT_ONCE
        part = part[: max(1, int(fits.sum()))]
        yield part
        start += len(part)


def ensemble(embeddings: Tensor) -> Tensor:
    """Return one embedding for each word from those of its prompts (the released prompt ensemble).

    Args:
        embeddings: N, P, E; P prompts of each word.

    Returns:
        N, E: each prompt normalised, averaged, normalised.
    """
    return F.normalize(F.normalize(embeddings, dim=-1).mean(1), dim=-1)
