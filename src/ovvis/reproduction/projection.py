"""Vectors in two dimensions: t-SNE, by scikit-learn (the extra `figures`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 8  # points; of fewer there is nothing to lay out
PERPLEXITY = 30.0


def in_two_dimensions(vectors: Floats, seed: int = 0) -> Floats:
    """Return where vectors (P, D) lie in two dimensions (P, 2): neighbours by cosine stay neighbours.

    Distances between groups, and their sizes, mean nothing. The same vectors and seed give the same places on one
    machine with one version of scikit-learn.

    Raises:
        ValueError: there are fewer than `LEAST`.
    """
    if len(vectors) < LEAST:
        raise ValueError(f"{len(vectors)} points: at least {LEAST} can be laid out")
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    layout = TSNE(2, perplexity=perplexity, metric="cosine", init="pca", random_state=seed)
    found: Floats = layout.fit_transform(vectors).astype(np.float64)
    return found
