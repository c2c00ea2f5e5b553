"""Embeddings of clips in two dimensions, for a person to see which labels lie together."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FEWEST = 30
"""Clips below which t-SNE shows what it likes."""


def tsne(embeddings: Sequence[NDArray[np.float32]]) -> NDArray[np.float32] | None:
    """Places `(n, 2)` by t-SNE (van der Maaten and Hinton 2008), the same for the same embeddings.

    None with fewer than `FEWEST` clips, or where the model gives no embedding.
    """
    if len(embeddings) < FEWEST or embeddings[0].size == 0:
        return None
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    found = TSNE(perplexity=perplexity, init="pca", random_state=0, n_jobs=1).fit_transform(np.stack(embeddings))
    return np.asarray(found, np.float32)
