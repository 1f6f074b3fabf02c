"""PiCIE+H: an auxiliary clustering into more clusters beside the main one.

The paper reports it (section 4.2: K2 = 100 beside K1 = 27), the authors' code does not have it. The
weights are the log-ratio rule that DenseSiam (ECCV 2022) uses for its auxiliary head.
"""

import math
from collections.abc import Mapping

from torch import Tensor

from picie.errors import ConfigError
from picie.types import Losses

__all__ = ["add_auxiliary", "log_ratio_weights"]


def log_ratio_weights(clusters: int, auxiliary: int) -> tuple[float, float]:
    """Weights of the main and the auxiliary loss; each loss starts near log K, so both start equal.

    lambda_1 = log K2 / (log K1 + log K2), lambda_2 = log K1 / (log K1 + log K2).

    Args:
        clusters: K1 >= 2.
        auxiliary: K2 >= 2.

    Raises:
        ConfigError: fewer than two clusters, whose logarithm is 0.

    Example:
        >>> [round(weight, 3) for weight in log_ratio_weights(27, 100)]
        [0.583, 0.417]
    """
    if min(clusters, auxiliary) < 2:
        raise ConfigError(f"{clusters} and {auxiliary} clusters: give 2 or more of both")
    first, second = math.log(clusters), math.log(auxiliary)
    return second / (first + second), first / (first + second)


def add_auxiliary(main: Losses, auxiliary: Losses, weights: tuple[float, float]) -> Losses:
    """Weighted sum of both totals; the auxiliary parts get the ending `_auxiliary`."""
    total = weights[0] * main.total + weights[1] * auxiliary.total
    named: Mapping[str, Tensor] = {f"{k}_auxiliary": v for k, v in auxiliary.parts.items()}
    return Losses(total, {**main.parts, **named})
