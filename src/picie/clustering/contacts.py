"""Where clusters touch in pictures, and how much the picture changes there.

k-means cuts a large surface into pieces anywhere: along a slow change of light, or between the
middle of a wall and its rim. Nothing is to be seen in the picture at such a cut. Two classes, on
the other hand, meet at an edge. In hierarchical segmentation regions of one picture join by the
mean strength of the edge between them (Arbelaez and others, TPAMI 2011); here clusters of many
pictures do.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["contrast_distances", "count_contacts", "neighbour_contrasts", "relative_contacts"]

_PRIOR = 20  # contacts of mean contrast that are added to those of each pair
_TINY = 1e-6


def neighbour_contrasts(maps: Tensor) -> Tensor:
    """How much each cell differs from its right and its lower neighbour.

    Args:
        maps: (B, D, h, w) of any kind, such as colours or features.

    Returns:
        (B, n) float32, n = h (w - 1) + (h - 1) w: the lengths of the differences, as multiples of
        their mean in that picture, those of right neighbours first; 0 in a picture without any.
    """
    values = maps.float()
    right = (values[:, :, :, 1:] - values[:, :, :, :-1]).norm(dim=1).flatten(1)
    below = (values[:, :, 1:] - values[:, :, :-1]).norm(dim=1).flatten(1)
    found = torch.cat([right, below], 1)
    contrasts: Tensor = found / found.mean(1, keepdim=True).clamp_min(_TINY)
    return contrasts


def count_contacts(labels: Tensor, contrasts: Sequence[Tensor], count: int) -> Tensor:
    """How often clusters touch, and the sums of what differs there.

    Args:
        labels: (B, h, w) int64 cluster of each cell, 0..P-1.
        contrasts: C of (B, n), as `neighbour_contrasts` gives them.
        count: P.

    Returns:
        (1 + C, P, P) float64 on the CPU, symmetric, pairs of cells of one cluster on the diagonal:
        their number, and the sum of each contrast. Those of parts of the pictures add up.
    """
    ours = torch.cat([labels[:, :, :-1].flatten(1), labels[:, :-1].flatten(1)], 1)
    theirs = torch.cat([labels[:, :, 1:].flatten(1), labels[:, 1:].flatten(1)], 1)
    where = (ours * count + theirs).flatten().cpu()
    values = [torch.ones(len(where)), *(one.flatten().cpu() for one in contrasts)]
    sums = torch.stack(
        [torch.bincount(where, one.double(), minlength=count * count) for one in values]
    ).view(-1, count, count)
    return sums + sums.transpose(1, 2)


def relative_contacts(contacts: Tensor) -> Tensor:
    """The contacts with every contrast as a multiple of its mean where two clusters touch.

    Args:
        contacts: (1 + C, P, P) as `count_contacts` gives it.

    Returns:
        (1 + C, P, P) float64.
    """
    contacts = contacts.double()
    apart = ~torch.eye(contacts.shape[1], dtype=torch.bool, device=contacts.device)
    number, *sums = (one[apart].sum() for one in contacts)
    scales = [number / one if one > 0 else torch.ones_like(one) for one in sums]
    return contacts * torch.stack([torch.ones_like(number), *scales])[:, None, None]


def contrast_distances(contacts: Tensor) -> Tensor:
    """Mean contrast where two clusters touch; the more often they do, the surer it is.

    Each pair is given a few contacts of the mean contrast in advance, so two clusters that never
    touch are neither alike nor different.

    Args:
        contacts: (1 + C, ...) of any pairs, as `relative_contacts` gives it.

    Returns:
        (C, ...) float64, 1 on average.
    """
    distances: Tensor = (contacts[1:] + _PRIOR) / (contacts[0] + _PRIOR)
    return distances
