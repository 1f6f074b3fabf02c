"""Which pixels of a picture take part, by its number alone."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

__all__ = ["sample_pixels"]


def sample_pixels(
    maps: Tensor, indices: Tensor, count: int, generator: Callable[[int], np.random.Generator]
) -> Tensor:
    """Some pixels of each picture, the same ones whatever batch it comes in.

    Args:
        maps: (B, n, D) features of all pixels.
        indices: (B,) numbers of the pictures.
        count: pixels of each; 0, or n and more, for all.
        generator: makes the random numbers of a picture from its number.

    Returns:
        (B, count, D), or `maps` itself.
    """
    total = maps.shape[1]
    if not 0 < count < total:
        return maps
    if not len(indices):
        return maps[:, :count]
    chosen = [
        generator(index).choice(total, count, replace=False, shuffle=False)
        for index in indices.tolist()
    ]
    where = torch.from_numpy(np.stack(chosen)).to(maps.device)
    return maps.gather(1, where[:, :, None].expand(-1, -1, maps.shape[2]))
