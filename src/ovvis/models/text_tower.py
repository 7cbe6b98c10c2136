"""CLIP's text tower over many texts at once: what texts begin alike is computed once.

Attention is causal, so a token's state depends on what stands before it alone: the prompts of a word, and the words of
a prompt, share the states of their common beginnings. Of 16,744 prompts (LV-VIS' words in fourteen prompts) that is
more than half of all tokens. All linear layers and norms run over different beginnings only; attention runs over whole
texts, whose states are looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from ovvis.models.layers.linear import linear

_AT_ONCE = 1024  # tokens in the feed-forward layers: what is between them stays in a processor's cache


def can_share(model: Any) -> bool:
    """Return whether a CLIP's text tower is of the kind that `encode_shared` knows: open_clip's own."""
    return model.text_pool_type == "argmax" and all(
        type(block) is ResidualAttentionBlock
        and type(block.attn) is nn.MultiheadAttention
        and block.attn.in_proj_weight is not None
        and block.attn.batch_first
        for block in model.transformer.resblocks
    )


def layers_in(model: Any, dtype: torch.dtype) -> Sequence[Any]:
    """Return the layers of an open_clip model's text tower in a floating type: its own, or a copy."""
    layers = model.transformer.resblocks
    return layers if dtype == torch.float32 else deepcopy(layers).to(dtype)  # type: ignore[no-any-return]


def encode_shared(model: Any, tokens: Tensor, layers: Sequence[Any] | None = None) -> Tensor:
    """Return the embeddings of texts, (N, E), not normalised: to rounding what the tower gives for each by itself.

    Args:
        model: an open_clip model that `can_share`.
        tokens: N, L; zeros behind each text's end mark, which has the highest number.
        layers: from `layers_in`, whose products are taken; sums and norms stay in float32. None: the model's own.
    """
    end = tokens.argmax(-1)  # N
    place, kinds, depth = beginnings(tokens, end + 1)
    x = model.token_embedding(kinds) + model.positional_embedding[depth]  # U, D
    # Where each beginning stands in some text.
    standing = torch.empty(len(kinds), dtype=torch.int64, device=tokens.device)
    inside = torch.arange(tokens.shape[1], device=tokens.device) <= end[:, None]
    standing[place[inside]] = inside.flatten().nonzero()[:, 0]
    *blocks, last = model.transformer.resblocks
    *inner, final = layers or model.transformer.resblocks
    kind = final.attn.in_proj_weight.dtype
    for block, own in zip(blocks, inner, strict=True):
        x = x + own.ls_1(_attended(own.attn, block.ln_1(x).to(kind), place, standing))
        x = x + own.ls_2(_fed_forward(own.mlp, block.ln_2(x).to(kind)))
    ends = place.gather(1, end[:, None])[:, 0]  # N; of the last layer only these count
    x = x[ends] + final.ls_1(_attended_at_end(final.attn, last.ln_1(x).to(kind), place, ends, inside))
    x = x + final.ls_2(_fed_forward(final.mlp, last.ln_2(x).to(kind)))
    return model.ln_final(x) @ model.text_projection  # type: ignore[no-any-return]


def beginnings(tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number the different beginnings of texts.

    Args:
        tokens: N, L.
        lengths: N; tokens of each text that count.

    Returns:
        place: N, L; the number of the beginning that each token ends; 0 behind a text's end.
        kinds: U; the last token of each.
        depth: U; the place of that in its text.

    >>> place, kinds, depth = beginnings(torch.tensor([[1, 5, 9], [1, 6, 9], [1, 5, 7]]), torch.tensor([3, 3, 2]))
    >>> place.tolist(), kinds.tolist(), depth.tolist()
    ([[0, 1, 3], [0, 2, 4], [0, 1, 0]], [1, 5, 6, 9, 9], [0, 1, 1, 2, 2])
    """
    place = torch.zeros_like(tokens)
    before = torch.zeros_like(lengths)
    most = int(tokens.max()) + 1
    kinds, depth, count = [], [], 0
    for i in range(tokens.shape[1]):
        here = (lengths > i).nonzero()[:, 0]
        found, number = (before[here] * most + tokens[here, i]).unique(return_inverse=True)
        before[here] = number + count
        place[here, i] = before[here]
        kinds.append(found % most)
        depth.append(torch.full_like(found, i))
        count += len(found)
    return place, torch.cat(kinds), torch.cat(depth)


def _attended(attention: nn.MultiheadAttention, x: Tensor, place: Tensor, standing: Tensor) -> Tensor:
    """Return self-attention over each text, of each beginning once: (U, D) to (U, D)."""
    packed = linear(x, attention.in_proj_weight, attention.in_proj_bias)  # U, 3 * D
    whole = F.embedding(place, packed).unflatten(-1, (3, attention.num_heads, -1))  # N, L, 3, heads, D / heads
    query, key, value = whole.permute(2, 0, 3, 1, 4)
    seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)  # N, heads, L, D / heads
    once = seen.transpose(1, 2).flatten(2).flatten(0, 1)[standing]  # U, D
    return linear(once, attention.out_proj.weight, attention.out_proj.bias)


def _attended_at_end(
    attention: nn.MultiheadAttention, x: Tensor, place: Tensor, ends: Tensor, inside: Tensor
) -> Tensor:
    """Return what the end of each text sees of it: (U, D) to (N, D); `inside` (N, L) is true of its tokens."""
    width, heads = x.shape[1], attention.num_heads
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    query = linear(x[ends], weight[:width], bias[:width]).unflatten(-1, (heads, 1, -1))  # N, heads, 1, D / heads
    packed = linear(x, weight[width:], bias[width:])  # U, 2 * D
    key, value = (
        F.embedding(place, packed).unflatten(-1, (2, heads, -1)).permute(2, 0, 3, 1, 4)
    )  # N, heads, L, D / heads
    seen = F.scaled_dot_product_attention(query, key, value, attn_mask=inside[:, None, None])
    return linear(seen.flatten(1), attention.out_proj.weight, attention.out_proj.bias)


def _fed_forward(layers: nn.Sequential, x: Tensor) -> Tensor:
    return torch.cat([layers(part) for part in x.split(_AT_ONCE)])
