"""The decoder's start from the statistics of a backbone's stages."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from picie.clustering.features import sample_pixels
from picie.clustering.kmeans.kmeans import KMeans
from picie.config import Config
from picie.models.folding import folded
from picie.models.pca import StageMoments
from picie.models.picie import PiCIE
from picie.runtime.distributed import Processes
from picie.runtime.random import Stream, numpy_generator, torch_seed
from picie.types import Batch
from picie.views.pair import clean_view

__all__ = ["start_decoder"]

_CELLS = 64  # of each image, to find the origin from
_CLUSTERS = 64  # whose middle is the origin
_LEAST_CELLS = 8  # in a cluster, on average; fewer clusters otherwise
_ITERATIONS = 15


@torch.no_grad()
def start_decoder(
    model: PiCIE, batches: Iterable[Batch], config: Config, processes: Processes | None = None
) -> bool:
    """Set the laterals so that the features are the leading principal components.

    Clusters compare directions of features, seen from an origin. The mean of all pixels lies
    inside the largest class where that fills most of each image, such as a plain background:
    its pixels then have no direction but noise. The middle of a few clusters, each counted once,
    lies between the classes.

    Args:
        model: its decoder is changed.
        batches: base crops of the images to look at.
        config: size of the view, number of channels and origin.
        processes: those that share the images.

    Returns:
        whether there was any image.
    """
    processes = processes or Processes()
    stages, balanced = model.backbone, config.objective != "frozen"
    moments = StageMoments(stages.channels, stages.strides, processes.sum)
    backbone = folded(model.eval()).backbone
    sample: dict[int, Tensor] = {}
    for batch in batches:
        cells = moments.update(backbone(clean_view(batch.images, config.size)))
        if balanced:
            draws = partial(numpy_generator, Stream.DECODER_PIXELS, config.seed)
            chosen = sample_pixels(cells, batch.indices, _CELLS, draws)
            sample.update(zip(batch.indices.tolist(), chosen, strict=True))
    if not moments.total:
        return False
    device = model.centroids.device
    mean, directions = (one.to(device) for one in moments.projection(config.feature_size))
    origin = None
    if balanced:
        shares = {index: (one.float() - mean) @ directions.T for index, one in sample.items()}
        origin = _middle(shares, config, processes)
    model.decoder.start_from(mean, directions, origin)
    return True


def _middle(shares: dict[int, Tensor], config: Config, processes: Processes) -> Tensor:
    """(d,) mean of the centroids of a few clusters of all processes' (n, d) cells per image."""
    device = next(iter(shares.values())).device if shares else torch.device("cpu")
    parts = processes.gather({index: one.float().cpu() for index, one in shares.items()})
    found = {index: one for part in parts for index, one in part.items()}
    points = torch.cat([found[index] for index in sorted(found)])
    kmeans = KMeans(
        min(_CLUSTERS, max(1, len(points) // _LEAST_CELLS)),
        metric="euclidean",
        init="k-means++",
        max_iter=_ITERATIONS,
        seed=torch_seed(Stream.DECODER_KMEANS, config.seed),
    )
    middle: Tensor = kmeans.fit(points).cluster_centers_.mean(0)
    return middle.to(device)
