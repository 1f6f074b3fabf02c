"""Initialise the decoder with a PCA of the backbone's stages."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor

from picie.clustering.features import sample_pixels
from picie.clustering.kept_stages import KeptStages
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

_CELLS = 64  # sampled cells per image, for the origin
_CLUSTERS = 64  # the origin is the mean of their centroids
_LEAST_CELLS = 8  # minimum average number of cells per cluster
_ITERATIONS = 15


@torch.no_grad()
def start_decoder(
    model: PiCIE,
    batches: Iterable[Batch],
    config: Config,
    processes: Processes | None = None,
    stages: KeptStages | None = None,
) -> bool:
    """Set the laterals so that the features are the leading principal components.

    Clustering compares directions from an origin. If one class fills most of every image, for
    example a plain background, the mean of all pixels lies inside this class, and the directions of
    its pixels are noise. The unweighted mean of some k-means centroids lies between the classes.

    Args:
        model: its decoder is changed.
        batches: base crops of images.
        config: reads `size`, `feature_size`, `objective` and `seed`. With the objective `frozen`
            the origin is the mean of all pixels.
        processes: the processes that share the images.
        stages: keeps the maps of images that will be read again.

    Returns:
        Whether there was any image.
    """
    processes, stages = processes or Processes(), stages or KeptStages()
    balanced = config.objective != "frozen"
    moments = StageMoments(model.backbone.channels, model.backbone.strides, processes.sum)
    backbone = folded(model.eval()).backbone
    sample: dict[int, Tensor] = {}
    for batch in batches:
        images = clean_view(batch.images, config.size)
        cells = moments.update(stages(backbone, batch.indices, images))
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
        projected = {index: (one.float() - mean) @ directions.T for index, one in sample.items()}
        origin = _middle(projected, config, processes)
    model.decoder.start_from(mean, directions, origin)
    return True


def _middle(projected: dict[int, Tensor], config: Config, processes: Processes) -> Tensor:
    """(d,) mean of k-means centroids of the (n, d) cells per image of all processes."""
    device = next(iter(projected.values())).device if projected else torch.device("cpu")
    parts = processes.gather({index: one.float().cpu() for index, one in projected.items()})
    cells = {index: one for part in parts for index, one in part.items()}
    points = torch.cat([cells[index] for index in sorted(cells)])
    kmeans = KMeans(
        min(_CLUSTERS, max(1, len(points) // _LEAST_CELLS)),
        metric="euclidean",
        init="k-means++",
        max_iter=_ITERATIONS,
        seed=torch_seed(Stream.DECODER_KMEANS, config.seed),
    )
    middle: Tensor = kmeans.fit(points).cluster_centers_.mean(0)
    return middle.to(device)
