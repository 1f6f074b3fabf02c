"""Which centroids of trained features join, and where the pixels between them are looked for.

Training draws the pixels of one pseudo-label together. Where two classes were joined in the first
epoch, that clears out the space between the two, and whatever lies in it belongs to both. A tree
that looks for shared pixels there joins them again. The features that the decoder started with do
not know what was joined: the pixels that lie between two classes there are those of the pictures.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from picie.clustering.kmeans import KMeans
from picie.clustering.merging import linkage_tree
from picie.clustering.overlap import shared_pixels
from picie.clustering.points import accumulator
from picie.config import Config
from picie.models.picie import PiCIE
from picie.processes import Processes

__all__ = ["joining_tree", "with_start"]


def with_start(network: PiCIE, config: Config) -> Callable[[Tensor], Tensor]:
    """The network, with the features in which centroids share pixels beside its own.

    Args:
        network: has kept its start, or there is none.
        config: says whether that is wanted.

    Returns:
        a function from (B, 3, H, W) pictures to (B, M, D, h, w): the features, and behind them
        those of the decoder as it started where these are needed.
    """
    merges = config.overclusters and config.merge_rule == "pixels"
    start = network.start_decoder() if merges and config.merge_features == "start" else None
    decoders = [network.decoder, *([start] if start is not None else [])]

    def features(images: Tensor) -> Tensor:
        maps = network.backbone(images)
        return torch.stack([decoder(maps) for decoder in decoders], 1)

    return features


def joining_tree(kmeans: KMeans, pixels: Tensor, config: Config, processes: Processes) -> Tensor:
    """The tree of the centroids that k-means found.

    Args:
        kmeans: fitted to the first of the M features of each pixel.
        pixels: (N, M, D) features of this process' pixels. Centroids share pixels in the last of
            them; with M > 1 a centroid is there the mean of its pixels.
        config: which centroids are alike.
        processes: those that share the pixels; all get the same tree.

    Returns:
        (P - 1, 3) as `linkage_tree`.
    """
    centroids, seen = kmeans.centroids_, pixels[:, -1]
    if config.merge_rule == "distance":
        return linkage_tree(centroids)
    there = centroids
    if pixels.shape[1] > 1:
        exact = accumulator(seen.device)
        sums = torch.zeros_like(centroids, dtype=exact)
        sums.index_add_(0, kmeans.predict(pixels[:, 0]), seen.to(exact))
        there = processes.sum(sums)  # as good as means, since directions are compared
    return linkage_tree(centroids, processes.sum(shared_pixels(seen, there)))
