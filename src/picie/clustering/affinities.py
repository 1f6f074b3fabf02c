"""Affinities of clusters: the pixels they share, and the contrast at their contacts.

K-means splits a large class into fragments, and many pixels fit two fragments equally well. Two
similar classes can have centroids just as close, but few pixels lie between them. Centroid
distances alone do not separate the two cases; the affinities measured here do.
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

_TEMPERATURE = 0.05  # of the soft memberships, relative to the mean 1 - cos of two centroids
_STEPS = 16  # of the random walk; even, because profiles are taken after half of them
_BLOCK = 16384  # pixels per block


def shared_pixels(points: Tensor, centroids: Tensor) -> Tensor:
    """Sum over pixels of the products of their soft memberships.

    The membership of pixel x in cluster i is p_i = softmax_i(cos(x, c_i) / T). T is 1/20 of the
    mean of 1 - cos over all pairs of centroids, so memberships do not depend on the component that
    all features have in common.

    Args:
        points: (N, D) features of pixels, of any length.
        centroids: (P, D).

    Returns:
        (P, P) float64 on the CPU, symmetric: the sum of p_i p_j. It is additive over subsets of the
        pixels.
    """
    unit = F.normalize(centroids.detach().float(), dim=1)
    temperature = _TEMPERATURE * _mean_distance(unit)
    total = torch.zeros(len(unit), len(unit), dtype=torch.float64)
    for block in points.detach().float().split(_BLOCK):
        members = (F.normalize(block, dim=1) @ unit.T / temperature).softmax(1)
        total += (members.T @ members).cpu().double()  # some devices have no float64
    return total


def _mean_distance(unit: Tensor) -> float:
    """Mean of 1 - cos over all pairs of distinct rows; always positive."""
    count = len(unit)
    if count < 2:
        return 1.0
    different = 1 - (unit @ unit.T).cpu().double()
    return max(float(different.fill_diagonal_(0).sum()) / (count * (count - 1)), 1e-6)


def diffusion_distances(shared: Tensor) -> Tensor:
    """Diffusion distances of clusters on the graph of their shared pixels.

    A random walk moves from cluster i to j with probability proportional to W_ij, the pixels they
    share. The distance of two clusters is that of their unit profiles after 8 steps of the
    symmetric walk S = D^-1/2 W D^-1/2 (diffusion maps, Coifman and Lafon 2006; the walk is that of
    normalised cuts, Shi and Malik 2000). The profiles are the rows of S^8; their inner products
    are the entries of S^16.

    Args:
        shared: (P, P), the result of `shared_pixels`.

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


_PRIOR = 20  # contacts of mean contrast added to those of each pair
_TINY = 1e-6


def neighbour_contrasts(maps: Tensor) -> Tensor:
    """Contrast between each cell and its right and lower neighbours.

    Args:
        maps: (B, D, h, w), for example colours or features.

    Returns:
        (B, n) float32, n = h (w - 1) + (h - 1) w: norms of the differences, divided by their mean
        over the image; right neighbours first. All 0 for a constant image.
    """
    values = maps.float()
    right = (values[:, :, :, 1:] - values[:, :, :, :-1]).norm(dim=1).flatten(1)
    below = (values[:, :, 1:] - values[:, :, :-1]).norm(dim=1).flatten(1)
    differences = torch.cat([right, below], 1)
    contrasts: Tensor = differences / differences.mean(1, keepdim=True).clamp_min(_TINY)
    return contrasts


def count_contacts(labels: Tensor, contrasts: Sequence[Tensor], count: int) -> Tensor:
    """Count contacts, the pairs of adjacent cells, per pair of clusters, and sum their contrasts.

    Args:
        labels: (B, h, w) int64 cluster of each cell, 0..P-1.
        contrasts: C tensors (B, n) from `neighbour_contrasts`.
        count: P.

    Returns:
        (1 + C, P, P) float64 on the CPU, symmetric: the number of contacts, then the sum of each
        contrast. The diagonal holds contacts within a cluster. Additive over images.
    """
    first = torch.cat([labels[:, :, :-1].flatten(1), labels[:, :-1].flatten(1)], 1)
    second = torch.cat([labels[:, :, 1:].flatten(1), labels[:, 1:].flatten(1)], 1)
    pairs = (first * count + second).flatten().cpu()
    values = [torch.ones(len(pairs)), *(contrast.flatten().cpu() for contrast in contrasts)]
    sums = torch.stack(
        [torch.bincount(pairs, contrast.double(), minlength=count * count) for contrast in values]
    ).view(-1, count, count)
    return sums + sums.transpose(1, 2)


def relative_contacts(contacts: Tensor) -> Tensor:
    """Rescale each contrast to mean 1 over the contacts of two different clusters.

    Args:
        contacts: (1 + C, P, P), the result of `count_contacts`.

    Returns:
        (1 + C, P, P) float64.
    """
    contacts = contacts.double()
    distinct = ~torch.eye(contacts.shape[1], dtype=torch.bool, device=contacts.device)
    number, *sums = (total[distinct].sum() for total in contacts)
    scales = [number / total if total > 0 else torch.ones_like(total) for total in sums]
    return contacts * torch.stack([torch.ones_like(number), *scales])[:, None, None]


def contrast_distances(contacts: Tensor) -> Tensor:
    """Mean contrast at the contacts of each pair of clusters, shrunk towards 1.

    A prior of 20 contacts with contrast 1 is added to each pair, so a pair without contacts gets
    distance 1.

    Args:
        contacts: (1 + C, ...) for any set of pairs, scaled as in `relative_contacts`.

    Returns:
        (C, ...) float64, around 1.
    """
    distances: Tensor = (contacts[1:] + _PRIOR) / (contacts[0] + _PRIOR)
    return distances


_MOST_CELLS = 2**18  # kept in total: 67 MB at 128 features in half precision


def measure_affinities(
    centroids: Tensor, points: Tensor, cells: "ContactCells", *, reduce: Reduce = identity
) -> tuple[Tensor, Tensor]:
    """Measure the affinities that `build_tree` takes in addition to the centroids.

    Args:
        centroids: (P, D).
        points: (N, D) features of the pixels sampled by this process.
        cells: cells of the images read by this process.
        reduce: sums a tensor over all processes.

    Returns:
        The (P, P) `shared_pixels` and the (3, P, P) `ContactCells.contacts`.
    """
    return reduce(shared_pixels(points, centroids)), reduce(cells.contacts(centroids))


class ContactCells:
    """Cell features of the first images of a sample, with the contrasts between adjacent cells.

    Args:
        size: side of the images in pixels.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._features: list[Tensor] = []  # per image (D, h, w), unit vectors
        self._contrasts: list[Tensor] = []  # per image (2, n): of colours, of features

    def add(self, maps: Tensor, images: Tensor, places: Tensor) -> None:
        """Keep the cells of images whose position in the sample is below the limit.

        Args:
            maps: (B, D, h, w) features, as given to k-means.
            images: (B, 3, H, W) the images of these features, geometrically aligned with them.
            places: (B,) position of each image in the sample. The choice depends on it alone, so
                several processes together keep the same images as a single one.
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
        """Contacts of clusters in the kept images.

        Args:
            centroids: (P, D); each cell belongs to the centroid of largest cosine.

        Returns:
            (3, P, P) float64 on the CPU as from `count_contacts`, with the contrasts of colours and
            of features; all 0 if no image was kept.
        """
        count = len(centroids)
        total = torch.zeros(3, count, count, dtype=torch.float64)
        for features, contrasts in zip(self._features, self._contrasts, strict=True):
            rows = features.flatten(1).T
            labels = nearest(rows, centroids.to(rows.device), "cosine").view(features.shape[1:])
            total += count_contacts(labels[None], [one[None] for one in contrasts], count)
        return total
