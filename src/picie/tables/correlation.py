"""Rank correlation: does one number rise where another one rises?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["ranks", "spearman"]


def ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Places from 1 in rising order; equal values share the mean of their places.

    Args:
        values: N finite numbers.

    Returns:
        (N,) float64.

    Example:
        >>> ranks([0.5, 0.1, 0.5]).tolist()
        [2.5, 1.0, 2.5]
    """
    given = np.asarray(values, dtype=np.float64)
    below = (given[None, :] < given[:, None]).sum(1)
    equal = (given[None, :] == given[:, None]).sum(1)
    return np.asarray(below + (equal + 1) / 2, dtype=np.float64)


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rho: Pearson's correlation of the ranks (Spearman 1904).

    Args:
        first: N finite numbers.
        second: N finite numbers.

    Returns:
        -1..1, or None where one of the two never changes or N < 2, which leaves it undefined.

    Example:
        >>> spearman([1, 2, 3, 4], [10, 20, 40, 30])
        0.8
    """
    if len(first) < 2:
        return None
    a, b = (ranks(values) - (len(first) + 1) / 2 for values in (first, second))
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else None
