"""How good a clustering is, as far as that can be said without labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from picie.errors import DataError

__all__ = [
    "adjusted_rand",
    "contingency",
    "effective_clusters",
    "explained_share",
    "lighting_clusters",
    "one_image_clusters",
    "silhouette",
]


def contingency(first: Tensor, second: Tensor, sizes: tuple[int, int]) -> Tensor:
    """Count how often two labels meet.

    Args:
        first: (N,) int64 in 0..I-1.
        second: (N,) int64 in 0..J-1.
        sizes: (I, J).

    Returns:
        (I, J) float64 counts.

    Raises:
        DataError: labels of different shapes.
    """
    if first.shape != second.shape or first.ndim != 1:
        raise DataError(
            f"labels of shapes {tuple(first.shape)} and {tuple(second.shape)} cannot be compared; "
            "give two of one length"
        )
    pairs = first * sizes[1] + second
    return torch.bincount(pairs, minlength=sizes[0] * sizes[1]).view(sizes).double()


def effective_clusters(counts: Tensor) -> float:
    """Return exp of the entropy of the shares: K for equal clusters, 1 for a single one.

    Args:
        counts: (K,) pixels per cluster; without any pixel the result is 1.
    """
    return float(_entropy(counts.double() / counts.sum().clamp_min(1)).exp())


def explained_share(table: Tensor) -> float:
    """Share of the columns' entropy that the rows explain: I(row; column) / H(column).

    With positions as rows and clusters as columns it says how far clusters code the place in the
    image in place of what is there.

    Args:
        table: (I, J) counts.

    Returns:
        0 (independent) to 1 (the row determines the column); 0 for a single column.
    """
    joint = table.double() / table.sum()
    columns = _entropy(joint.sum(0))
    information = _entropy(joint.sum(1)) + columns - _entropy(joint.flatten())
    return float(information / columns) if float(columns) > 1e-12 else 0.0


def adjusted_rand(table: Tensor) -> float:
    """Agreement of two clusterings, whatever their numbers are called (Hubert and Arabie, 1985).

    Args:
        table: (I, J) counts, at least two points in all.

    Returns:
        1 for the same clustering, about 0 for unrelated ones, perhaps below 0.
    """
    table = table.double()
    together, rows, columns = (
        (one * (one - 1) / 2).sum() for one in (table, table.sum(1), table.sum(0))
    )
    total = table.sum() * (table.sum() - 1) / 2
    expected = rows * columns / total
    most = (rows + columns) / 2
    if float(most - expected) == 0:  # both put all points together, or each point alone
        return 1.0
    return float((together - expected) / (most - expected))


_MOST_OF_IMAGE = 0.5  # share of an image's pixels that makes it an image of a cluster
_LITTLE_ELSE = 0.9  # least share of a cluster's pixels that are in its images
_APART = 0.95  # least share of the pairs of images that brightness orders
_GROUP = 1 / 8  # smallest group of images, as a share of all
_LEAST = 4  # smallest group of images


def lighting_clusters(shares: Tensor, brightness: Tensor) -> list[int]:
    """Clusters that stand for the lighting of a group of images, as night and day would.

    The images of a cluster are those of which it holds more than half. It stands for their lighting
    if they have at least 90 % of its pixels, if 95 % of the pairs of one of them and one of the
    others are ordered by brightness in the same way, and if both groups have at least four images
    and an eighth of all.

    Args:
        shares: (N, K) share of each image's pixels in each cluster.
        brightness: (N,) mean brightness of the images, on any scale.

    Example:
        >>> night, day = [1.0, 0.0], [0.0, 1.0]
        >>> lighting_clusters(torch.tensor([night] * 4 + [day] * 4), torch.arange(8))
        [0, 1]
    """
    found = []
    smallest = max(_LEAST, _GROUP * len(shares))
    for cluster, held in enumerate(shares.T):
        own = held > _MOST_OF_IMAGE
        count = int(own.sum())
        if min(count, len(shares) - count) < smallest:
            continue
        brighter = brightness[own][:, None] > brightness[~own]
        darker = brightness[own][:, None] < brightness[~own]
        ordered = max(float(brighter.double().mean()), float(darker.double().mean()))
        if float(held[own].sum() / held.sum()) >= _LITTLE_ELSE and ordered >= _APART:
            found.append(cluster)
    return found


def one_image_clusters(shares: Tensor) -> list[int]:
    """Clusters that are (nearly) in one image alone, though they are large there.

    Such a cluster has at least 90 % of its pixels in one image, and holds more of that image than
    an even share, 1 / K: a rare small thing that one image happens to show is left out. Of fewer
    than four images nothing is said.

    Args:
        shares: (N, K) share of each image's pixels in each cluster.

    Example:
        >>> one_image_clusters(torch.tensor([[0.5, 0.0, 0.5]] * 3 + [[0.2, 0.7, 0.1]]))
        [1]
    """
    if len(shares) < _LEAST:
        return []
    most = shares.amax(0)
    alone = most >= _LITTLE_ELSE * shares.sum(0)
    return (alone & (most > 1 / shares.shape[1])).nonzero().flatten().tolist()


def silhouette(points: Tensor, labels: Tensor, *, cosine: bool = True) -> float:
    """Mean silhouette (Rousseeuw, 1987): (b - a) / max(a, b) of each point.

    a is the mean distance to the other points of its cluster, b the smallest mean distance to the
    points of another one; 0 for a point that is alone in its cluster.

    Args:
        points: (N, D) floating point; N x N distances are made.
        labels: (N,) int64.
        cosine: distances are 1 - cos; else Euclidean.

    Returns:
        -1..1; 0 where all points are in one cluster.
    """
    _, labels = labels.unique(return_inverse=True)
    counts = labels.bincount().to(points.device)
    if len(counts) < 2:
        return 0.0
    if cosine:
        unit = normalize(points.float(), dim=1)
        distances = 1 - unit @ unit.T
    else:
        distances = torch.cdist(points.float(), points.float())
    distances.fill_diagonal_(0.0)
    sums = distances @ torch.nn.functional.one_hot(labels, len(counts)).float()  # (N, K)
    own = sums.gather(1, labels[:, None])[:, 0] / (counts[labels] - 1).clamp_min(1)
    means = (sums / counts).scatter(1, labels[:, None], torch.inf)
    other = means.amin(1)
    values = (other - own) / torch.maximum(own, other).clamp_min(1e-12)
    values = values * (counts[labels] > 1)
    return float(values.mean())


def _entropy(shares: Tensor) -> Tensor:
    """Entropy in nats."""
    return -(shares * shares.clamp_min(1e-300).log()).sum()
