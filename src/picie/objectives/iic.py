"""Invariant information clustering for segmentation (Ji, Henriques, Vedaldi, ICCV 2019)."""

from collections.abc import Callable

import torch
from torch import Tensor

from picie.errors import DataError

__all__ = ["iic_loss", "joint_distributions", "mutual_information"]

_TINY = 1e-12  # avoids log 0


def joint_distributions(
    first: Tensor,
    second: Tensor,
    displacement: int,
    reduce: Callable[[Tensor], Tensor] = torch.clone,
) -> Tensor:
    """Joint class distributions of a pixel in one view and a displaced pixel in the other.

    P_t = sum over pixels u of first(u) second(u + t)^T, symmetrised and divided by its sum (the
    paper's equations 3 and 5), for all t with both components in -d..d.

    Args:
        first: (B, K, h, w) class probabilities of view 1.
        second: (B, K, h, w) class probabilities of view 2, geometrically aligned with `first`.
        displacement: d >= 0, in cells; smaller than h and w.
        reduce: sums a tensor over all processes; gradients must pass through it.

    Returns:
        ((2 d + 1)^2, K, K).

    Raises:
        DataError: the shapes differ, or the displacement is not smaller than the map.
    """
    if first.shape != second.shape or displacement >= min(first.shape[2:]):
        raise DataError(
            f"views of shapes {tuple(first.shape)} and {tuple(second.shape)} with a displacement "
            f"of {displacement}: give equal shapes larger than the displacement"
        )
    height, width = first.shape[2:]
    steps = range(-displacement, displacement + 1)
    tables = []
    for down in steps:
        for right in steps:
            here = first[:, :, _inside(-down, height), _inside(-right, width)]
            there = second[:, :, _inside(down, height), _inside(right, width)]
            tables.append(torch.einsum("bkhw,blhw->kl", here, there))
    joint = reduce(torch.stack(tables))
    joint = (joint + joint.transpose(1, 2)) / 2
    return joint / joint.sum((1, 2), keepdim=True).clamp_min(_TINY)


def mutual_information(joint: Tensor) -> Tensor:
    """I = sum_kl P_kl log(P_kl / (P_k P_l)), in nats.

    Args:
        joint: (..., K, K) distributions.

    Returns:
        (...): 0 for independent classes, log K for K classes of equal size that always agree.
    """
    safe = joint.clamp_min(_TINY)
    rows = joint.sum(-1, keepdim=True).clamp_min(_TINY)
    columns = joint.sum(-2, keepdim=True).clamp_min(_TINY)
    return (joint * (safe.log() - rows.log() - columns.log())).sum((-2, -1))


def iic_loss(
    first: Tensor,
    second: Tensor,
    displacement: int,
    reduce: Callable[[Tensor], Tensor] = torch.clone,
) -> Tensor:
    """Negative mutual information of the views' classes, averaged over displacements.

    Args:
        first: (B, K, h, w) logits of view 1.
        second: (B, K, h, w) logits of view 2, geometrically aligned with `first`.
        displacement: as in `joint_distributions`.
        reduce: as in `joint_distributions`.

    Returns:
        Scalar in [-log K, 0], the same in all processes.
    """
    with torch.autocast(first.device.type, enabled=False):
        chances = (first.float().softmax(1), second.float().softmax(1))
        joint = joint_distributions(*chances, displacement, reduce)
        return -mutual_information(joint).mean()


def _inside(shift: int, size: int) -> slice:
    """Cells that remain inside an axis of `size` cells when moved by -`shift`."""
    return slice(max(0, shift), size + min(0, shift))
