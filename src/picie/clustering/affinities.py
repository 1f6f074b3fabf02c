"""How far clusters share their pixels, and how near they are when one goes from pixel to pixel.

Two pieces of one large class lie side by side, and many pixels could belong to either. Two classes
that look alike are as near to each other as such pieces, but few pixels lie between them. The
distance of two centroids cannot tell these apart; the pixels between them can.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.kmeans.points import Reduce, identity
from picie.clustering.pseudo_labels import nearest
from picie.clustering.smoothing import cell_grid

__all__ = [
    "ContactCells",
    "contrast_distances",
    "count_contacts",
    "diffusion_distances",
    "measure_affinities",
    "neighbour_contrasts",
    "relative_contacts",
    "shared_pixels",
]

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


_PRIOR = 20  # contacts of mean contrast that are added to those of each pair
_TINY = 1e-6


def neighbour_contrasts(maps: Tensor) -> Tensor:
    """How much each cell differs from its right and its lower neighbour.

    Args:
        maps: (B, D, h, w) of any kind, such as colours or features.

    Returns:
        (B, n) float32, n = h (w - 1) + (h - 1) w: the lengths of the differences, as multiples of
        their mean in that image, those of right neighbours first; 0 in an image without any.
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
        their number, and the sum of each contrast. Those of parts of the images add up.
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


_MOST_CELLS = 2**18  # 67 MB of 128 features


def measure_affinities(
    centroids: Tensor, points: Tensor, cells: "ContactCells", *, reduce: Reduce = identity
) -> tuple[Tensor, Tensor]:
    """What centroids share and where they touch: what `build_tree` takes beside them.

    Args:
        centroids: (P, D).
        points: (N, D) features of sampled pixels, those of this process.
        cells: of some images, those of this process.
        reduce: adds a tensor up over all processes.

    Returns:
        (P, P) of `shared_pixels`, and (3, P, P) of `ContactCells.contacts`.
    """
    return reduce(shared_pixels(points, centroids)), reduce(cells.contacts(centroids))


class ContactCells:
    """Features of the cells of some images, and how much each cell differs from its neighbours.

    Args:
        size: side of the images in pixels.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._features: list[Tensor] = []  # (D, h, w) of each image, unit vectors
        self._contrasts: list[Tensor] = []  # (2, n) of each image, of colours and of features

    def add(self, maps: Tensor, images: Tensor, places: Tensor) -> None:
        """Keep images, unless there are enough before them.

        Args:
            maps: (B, D, h, w) features, as k-means sees them.
            images: (B, 3, H, W) what they are of, in the same frame.
            places: (B,) the place of each image in the sample; which images are kept depends on
                nothing else, so processes that share a sample keep those that one alone would.
        """
        grid = cell_grid(maps, self._size)
        near = places.to(maps.device) < max(1, _MOST_CELLS // (grid[0] * grid[1]))
        if not bool(near.any()):
            return
        maps, images = maps[near].float(), images[near]
        features = F.normalize(F.adaptive_avg_pool2d(maps, grid), dim=1)
        colours = F.adaptive_avg_pool2d(images.float(), grid)
        contrasts = [neighbour_contrasts(one) for one in (colours, features)]
        self._features += features.half()
        self._contrasts += torch.stack(contrasts, 1)

    def contacts(self, centroids: Tensor) -> Tensor:
        """Where clusters touch in the images that were kept.

        Args:
            centroids: (P, D); a cell belongs to the one of the nearest direction.

        Returns:
            (3, P, P) float64 on the CPU as `count_contacts` gives it, of the contrasts of colours
            and of features; 0 without any image.
        """
        count = len(centroids)
        total = torch.zeros(3, count, count, dtype=torch.float64)
        for features, contrasts in zip(self._features, self._contrasts, strict=True):
            rows = features.flatten(1).T
            labels = nearest(rows, centroids.to(rows.device), "cosine").view(features.shape[1:])
            total += count_contacts(labels[None], [one[None] for one in contrasts], count)
        return total
