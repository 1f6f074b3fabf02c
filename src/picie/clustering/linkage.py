"""Average linkage for clusters of pixels: it keeps no leftovers, and sees where groups touch.

With plain average linkage the last groups are the odd ones: a few pixels that look like nothing
else are far from everything, so all large groups join before they do, and K clusters are one of
nearly everything and K - 1 leftovers. Flexible linkage moves a new group a little away from all
others, so that groups that have joined wait for those that have not.
"""

import math

import torch
from torch import Tensor

from picie.clustering.contacts import contrast_distances, relative_contacts

__all__ = ["flexible_linkage"]

_BETA = -0.1
_CONTRAST = 0.75  # weight of each contrast, with a mean of 1; that of the distances is 2


def flexible_linkage(distances: Tensor, contacts: Tensor | None = None) -> Tensor:
    """The order in which clusters join, down to a single group.

    The distance of a group to a new one is (1 - beta) times the mean of those to its two parts,
    weighted by their numbers of clusters, plus beta times that of the parts, beta = -0.1 (flexible
    UPGMA; Belbin, Faith and Milligan, Multivariate Behavioral Research 1992). Of two groups that
    touch, 3/4 of each contrast at all their contacts is added, whatever clusters they are made of.
    The pair with the smallest sum joins.

    Args:
        distances: (P, P) of all pairs of clusters, symmetric.
        contacts: (1 + C, P, P) from `count_contacts`; None = do not look.

    Returns:
        (P - 1, 3) float64 on the CPU, one row per merger: the two groups, and how far apart they
        are, that is the mean distance of their clusters and the contrasts. Where that is less than
        in the row before, it is raised to just above it. Groups 0..P-1 are the clusters, row i
        makes group P + i.
    """
    count = len(distances)
    mean = distances.detach().double().cpu().clone()
    apart = mean.clone()
    touching = torch.zeros(1, count, count, dtype=torch.float64)
    if contacts is not None:
        touching = relative_contacts(contacts).cpu()
    contrast = _CONTRAST * contrast_distances(touching).sum(0)
    cost = (apart + contrast).fill_diagonal_(math.inf)
    names, sizes = list(range(count)), [1] * count
    rows: list[tuple[int, int, float]] = []
    height = 0.0
    for step in range(count - 1):
        kept, gone = sorted(divmod(int(cost.argmin()), count))
        found = float(mean[kept, gone] + contrast[kept, gone])
        # Trees are cut at a distance, so rows that are out of order must not become equal.
        height = found if found >= height else math.nextafter(height, math.inf)
        first, second = sorted((names[kept], names[gone]))
        rows.append((first, second, height))
        share = sizes[kept] / (sizes[kept] + sizes[gone])
        _put(mean, kept, share * mean[kept] + (1 - share) * mean[gone])
        average = share * apart[kept] + (1 - share) * apart[gone]
        _put(apart, kept, (1 - _BETA) * average + _BETA * apart[kept, gone])
        _put(touching, kept, touching[:, kept] + touching[:, gone])
        _put(contrast, kept, _CONTRAST * contrast_distances(touching[:, kept]).sum(0))
        left = cost[kept].isfinite()  # neither the group itself nor those that have joined
        _put(cost, kept, (apart[kept] + contrast[kept]).where(left, math.inf))
        _put(cost, gone, torch.full((count,), math.inf, dtype=torch.float64))
        names[kept], sizes[kept] = count + step, sizes[kept] + sizes[gone]
    return torch.tensor(rows, dtype=torch.float64).view(-1, 3)


def _put(pairs: Tensor, group: int, values: Tensor) -> None:
    """Set what a group is to all others, in symmetric (..., P, P)."""
    pairs[..., group, :] = values
    pairs[..., group] = values
