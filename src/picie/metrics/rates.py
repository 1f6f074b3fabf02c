"""Per cent of a class from its pixel counts; NaN where it is undefined."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Percent", "iou", "mean", "percent"]

Percent = NDArray[np.float64]


def percent(part: NDArray[Any], whole: NDArray[Any]) -> Percent:
    """100 part / whole; NaN where `whole` is 0.

    Args:
        part: counts of any shape.
        whole: counts of the same shape.
    """
    shares = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=shares, where=np.asarray(whole) > 0)
    return 100.0 * shares


def iou(
    hits: NDArray[Any],
    rows: NDArray[Any],
    columns: NDArray[Any],
    true: NDArray[Any] | None = None,
) -> Percent:
    """IoU of each class: tp / (row + column - tp), in per cent.

    Args:
        hits: (..., L) pixels of the class in clusters of the class, tp.
        rows: (..., L) pixels of the class.
        columns: (..., L) pixels in clusters of the class.
        true: (..., L) pixels that decide whether the class occurs; `rows` if None.

    Returns:
        (..., L) in 0..100; NaN for a class without a true pixel, 0 for one that occurs but has no
        pixel here.
    """
    occurs = np.asarray(rows if true is None else true) > 0
    union = np.maximum(rows + columns - hits, 1)  # 0 only where hits is 0 too
    return np.where(occurs, 100.0 * (hits / union), np.nan)


def mean(values: Percent) -> float | None:
    """Mean of the defined values of one row; None if there is none."""
    defined = values[~np.isnan(values)]
    return float(np.mean(defined)) if len(defined) else None
