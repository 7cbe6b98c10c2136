"""The weights of the parity cases, made from names, shapes and a seed.

No weights are stored with a case. Each tensor is standard normal noise of PCG64, seeded by the CRC-32 of its name
and by the case's seed, then scaled by the first of these rules that fits.
"""

import math
import zlib

import numpy as np
import torch

TABLES = ("embedding.weight", "positional_embedding", "class_embedding", "level_embed", "level_embed.weight")
BRANCH_ENDS = ("out_proj.weight", "linear2.weight", "output_proj.weight")


def make_state(shapes: dict[str, list[int]], seed: int) -> dict[str, torch.Tensor]:
    """Return a tensor for each name; names are those of the authors' checkpoint."""
    return {name: torch.from_numpy(make_tensor(name, tuple(shape), seed)) for name, shape in shapes.items()}


def make_tensor(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64([zlib.crc32(name.encode()), seed]))
    noise = generator.standard_normal(shape, dtype=np.float32)
    return np.asarray(_scaled(name, noise), dtype=np.float32)


def _scaled(name: str, noise: np.ndarray) -> np.ndarray:
    if name.endswith("logit_scale"):
        return np.full(noise.shape, math.log(100.0))
    if name.endswith("running_var"):
        return 1.0 + 0.1 * np.abs(noise)
    if name.endswith("running_mean"):
        return 0.05 * noise
    if name.endswith(".gamma"):
        return 0.3 + 0.05 * noise
    if name.endswith(("query_feat.weight", "query_embed.weight")):
        return noise
    if name.endswith("sampling_offsets.bias"):
        return 2.0 * noise
    if noise.ndim >= 2:
        if not name.endswith(TABLES):
            noise = noise - noise.mean(axis=tuple(range(1, noise.ndim)), keepdims=True)
        gain = 0.15 if name.endswith(BRANCH_ENDS) else 1.5
        return noise * math.sqrt(gain / math.prod(noise.shape[1:]))
    if name.endswith("weight"):
        level = 1.0 if "transformer" in name or "decoder_norm" in name else 0.6
        return level + 0.1 * noise
    return 0.1 * noise
