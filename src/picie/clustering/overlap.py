"""How far clusters share their pixels, and how near they are when one goes from pixel to pixel.

Two pieces of one large class lie side by side, and many pixels could belong to either. Two classes
that look alike are as near to each other as such pieces, but few pixels lie between them. The
distance of two centroids cannot tell these apart; the pixels between them can.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["diffusion_distances", "shared_pixels"]

_TEMPERATURE = 0.05  # of a pixel's membership, in mean distances 1 - cos of two centroids
_STEPS = 16  # of the walk between clusters; even, so that profiles of half as many are compared
_BLOCK = 16384  # pixels that are looked at together


def shared_pixels(points: Tensor, centroids: Tensor) -> Tensor:
    """Sum over pixels of the products of their soft memberships.

    A pixel x belongs to centroid i with p_i = softmax_i(cos(x, c_i) / T), T a twentieth of the mean
    of 1 - cos over all pairs of centroids: what counts is how far apart they are in each other's
    measure, not how much all features have in common.

    Args:
        points: (N, D) features of pixels, of any length.
        centroids: (P, D).

    Returns:
        (P, P) float64 on the CPU, symmetric: the sum of p_i p_j. Sums over parts of the pixels add
        up.
    """
    unit = F.normalize(centroids.detach().float(), dim=1)
    temperature = _TEMPERATURE * _mean_distance(unit)
    total = torch.zeros(len(unit), len(unit), dtype=torch.float64)
    for block in points.detach().float().split(_BLOCK):
        members = (F.normalize(block, dim=1) @ unit.T / temperature).softmax(1)
        total += (members.T @ members).cpu().double()  # some devices have no float64
    return total


def _mean_distance(unit: Tensor) -> float:
    """Mean of 1 - cos over all pairs of two different rows; above 0."""
    count = len(unit)
    if count < 2:
        return 1.0
    different = 1 - (unit @ unit.T).cpu().double()
    return max(float(different.fill_diagonal_(0).sum()) / (count * (count - 1)), 1e-6)


def diffusion_distances(shared: Tensor) -> Tensor:
    """Distances between clusters along the pixels that they share.

    A walker at cluster i goes on to j in proportion to the pixels that both share. Clusters are
    near when walks from them are the same after a while: the distance of two is that of their unit
    profiles after 8 steps of the symmetric walk S = D^-1/2 W D^-1/2 (diffusion maps, Coifman and
    Lafon 2006; the walk is that of normalised cuts, Shi and Malik 2000). Profiles of 8 steps are
    the rows of S^8, and their products the entries of S^16.

    Args:
        shared: (P, P) as `shared_pixels` gives it.

    Returns:
        (P, P) float64 from 0 to sqrt(2), symmetric, 0 on the diagonal.
    """
    shared = shared.double()
    degree = shared.sum(1).clamp_min(torch.finfo(torch.float64).tiny).sqrt()
    products: Tensor = torch.linalg.matrix_power(shared / degree / degree[:, None], _STEPS)
    length = products.diagonal().clamp_min(torch.finfo(torch.float64).tiny).sqrt()
    cosine = products / length / length[:, None]
    distances: Tensor = (2 - 2 * (cosine + cosine.T) / 2).clamp_min(0).sqrt()
    return distances.fill_diagonal_(0)
