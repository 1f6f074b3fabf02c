"""What the curves of a run show: one quantity for each panel, by epoch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

__all__ = ["PANELS", "epoch_points", "is_number"]

PANELS = {
    "accuracy": "accuracy %",
    "miou": "mIoU %",
    "loss": "loss",
    "within": "within-view loss",
    "cross": "cross-view loss",
    "effective_clusters": "effective clusters (view 1)",
}
"""Title by key of metrics.jsonl."""


def epoch_points(curves: Sequence[Mapping[str, Any]], key: str) -> dict[float, float]:
    """Value by epoch, counted from 1; of view 1 where there is one for each view.

    Args:
        curves: records of metrics.jsonl; those without a finite number of this key are left out.
        key: what is looked for.
    """
    found = {}
    for record in curves:
        value = record.get(key)
        if isinstance(value, list):
            value = value[0] if value else None
        if is_number(value):
            found[float(record["epoch"] + 1)] = float(value)
    return found


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value of a record is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
