"""Random numbers that are a pure function of (seed, epoch, picture)."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

__all__ = ["uniform_draws"]


def uniform_draws(seed: int, epoch: int, indices: Iterable[int], count: int) -> Tensor:
    """Uniform numbers of [0, 1) for some pictures.

    The numbers of a picture depend on nothing but the arguments: not on the order, the batch, the
    loader process or what was drawn before. Clustering and training of one epoch therefore see
    the same views, and so does a run that was resumed.

    Args:
        seed: seed of the run.
        epoch: number of the epoch, from 0.
        indices: positions of the B pictures in the folder.
        count: numbers per picture.

    Returns:
        (B, count) float64.
    """
    rows = [np.random.default_rng((seed, epoch, int(index))).random(count) for index in indices]
    return torch.from_numpy(np.array(rows).reshape(len(rows), count))
