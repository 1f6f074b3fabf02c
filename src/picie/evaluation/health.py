"""How well a training went, as far as that can be said without labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from picie.clustering.affinities import ContactCells, measure_affinities
from picie.clustering.features import cluster_order, nothing_read, sample_pixels
from picie.clustering.kmeans.kmeans import KMeans
from picie.clustering.linkage import build_tree
from picie.clustering.pseudo_labels import nearest
from picie.clustering.smoothing import smooth_features
from picie.clustering.tree import cut_tree
from picie.clustering.validity import (
    adjusted_rand,
    contingency,
    effective_clusters,
    explained_share,
    silhouette,
)
from picie.config import Config
from picie.data.crop_loader import Loader
from picie.inference.segmenter import Segmenter
from picie.runtime.random import Stream, numpy_generator, torch_seed
from picie.types import Batch
from picie.views.geometric import resample
from picie.views.pair import Views, clean_view

__all__ = ["HEALTH_IMAGES", "health_text", "measure_health"]

HEALTH_IMAGES = 64
"""Images that the measures are taken on, at most."""

_EPOCH = 2**30  # its draws are those of no epoch and of no clean fit
_PIXELS = 200  # features kept of each image
_POINTS = 2_000  # of the silhouette, which needs all distances between them
_PLACES = 8  # the image is cut into 8 x 8 places
# The same for all runs, whatever they were trained with: a model agrees with itself easily in views
# that hardly differ, and its number could not be held against those of others.
_VIEWS = {
    "jitter": 0.3,
    "hue": 0.1,
    "grayscale": 0.2,
    "blur": 0.5,
    "view_rule": "exact",
    "crop_min": 0.5,
    "flip": 0.5,
}


@dataclass
class _Half:
    """What k-means sees of half of the images."""

    cells: ContactCells
    pixels: list[Tensor] = field(default_factory=list)  # (n, D) of each image


@dataclass
class _Sample:
    """What was seen: features (n, D) and labels of some pixels, and counts over all of them."""

    agreement: Tensor  # (K, K) labels of view 1 against those of view 2
    places: Tensor  # (64, K) places in the image against labels
    halves: tuple[_Half, _Half]
    features: list[Tensor] = field(default_factory=list)  # (n, D) of each image
    labels: list[Tensor] = field(default_factory=list)  # (n,) of each image


def measure_health(model: Segmenter, loader: Loader, count: int) -> dict[str, float]:
    """Measure a trained model on a sample of its own images.

    Args:
        model: the trained model.
        loader: reads the images it was trained on.
        count: number of images N.

    Returns:
        view_agreement: share of pixels that get the same cluster in two views, 0..1.
        view_information: what the cluster in view 2 says about that in view 1, as a share of its
            entropy, 0..1; not raised by one cluster that holds nearly everything.
        effective_clusters: exp of the entropy of the clusters' shares, 1..K.
        largest_cluster: share of the largest cluster, 0..1.
        position_information: what the place in the image (8 x 8) says about the cluster, as a
            share of its entropy, 0..1; high values mean clusters of places, not of things.
        half_agreement: adjusted Rand index between clusterings of two halves of the sample, up to
            1; low values mean that other images or another seed would give other clusters.
        silhouette: mean silhouette of pixel features, -1..1.
        images: size of the sample.

    Raises:
        DataError: no image can be read.
    """
    sample = _collect(model, loader, count)
    if not sample.features:
        raise nothing_read()
    clusters = sample.places.sum(0)
    features, labels = torch.cat(sample.features), torch.cat(sample.labels)
    rng = numpy_generator(Stream.HEALTH_SILHOUETTE, model.config.seed)
    chosen = torch.from_numpy(rng.permutation(len(labels))[:_POINTS])
    cosine = model.config.unit_features
    found = {
        "view_agreement": float(sample.agreement.trace() / sample.agreement.sum()),
        "view_information": explained_share(sample.agreement),
        "effective_clusters": effective_clusters(clusters),
        "largest_cluster": float(clusters.max() / clusters.sum()),
        "position_information": explained_share(sample.places),
        "silhouette": silhouette(features[chosen], labels[chosen], cosine=cosine),
        "pictures": float(len(sample.features)),
    }
    halves = _half_agreement(sample, model.config)
    return found if halves is None else found | {"half_agreement": halves}


def health_text(health: Mapping[str, float], clusters: int) -> str:
    """The measures in a few lines for people.

    Args:
        health: from `measure_health`.
        clusters: K.
    """
    lines = [
        f"health, without labels, on {health['pictures']:.0f} of the images:",
        f"  two views agree on {health['view_agreement']:.0%} of the pixels "
        f"(information {health['view_information']:.2f})",
        f"  {health['effective_clusters']:.1f} effective clusters of {clusters}, the largest has "
        f"{health['largest_cluster']:.0%} of the pixels",
        f"  the place in the image explains {health['position_information']:.0%} of the clusters",
    ]
    if "half_agreement" in health:
        lines.append(
            f"  two halves of the images give clusterings that agree to "
            f"{health['half_agreement']:.2f} (adjusted Rand)"
        )
    lines.append(f"  silhouette {health['silhouette']:.2f}")
    return "\n".join(lines)


def _collect(model: Segmenter, loader: Loader, count: int) -> _Sample:
    config = model.config
    cells = -(-config.size // model.network.stride)
    views = Views(config.model_copy(update=_VIEWS), _EPOCH, cells)
    order = cluster_order(config, _EPOCH, count)[:HEALTH_IMAGES]
    k = model.clusters
    counts = torch.zeros(k, k).double(), torch.zeros(_PLACES**2, k).double()
    sample = _Sample(*counts, (_Half(ContactCells(config.size)), _Half(ContactCells(config.size))))
    places = _place_numbers(cells)
    rank_of = {index: rank for rank, index in enumerate(order)}
    for batch in loader(order, config.sample_batch_size):
        first, second = _view_labels(model, views, batch)
        sample.agreement += contingency(first, second, (k, k))
        images = clean_view(batch.images, config.size)
        maps = model.features(images)
        labels = model.classify(maps).argmax(1).cpu()
        rows = maps.permute(0, 2, 3, 1).flatten(1, 2).cpu()  # (B, h w, D)
        for index, points, own in zip(batch.indices.tolist(), rows, labels, strict=True):
            sample.places += contingency(places, own.flatten(), (_PLACES**2, k))
            rng = numpy_generator(Stream.HEALTH_PIXELS, config.seed, index)
            chosen = torch.from_numpy(rng.permutation(len(points))[:_PIXELS])
            sample.features.append(points[chosen])
            sample.labels.append(own.flatten()[chosen])
        smooth = smooth_features(maps, images, config)
        surfaces = smooth.permute(0, 2, 3, 1).flatten(1, 2)
        draws = partial(numpy_generator, Stream.HEALTH_HALVES, config.seed)
        pixels = sample_pixels(surfaces, batch.indices, _PIXELS, draws).cpu()
        ranks = torch.tensor([rank_of[index] for index in batch.indices.tolist()])
        middle = len(order) // 2
        for number, half in enumerate(sample.halves):
            own = (ranks >= middle) == bool(number)
            half.pixels += pixels[own]
            half.cells.add(smooth[own], images[own], ranks[own] - number * middle)
    return sample


def _view_labels(model: Segmenter, views: Views, batch: Batch) -> tuple[Tensor, Tensor]:
    """(N,) clusters of the same pixels in view 1 and in view 2."""
    pair = views(batch)
    first, second = model.features(pair.first), model.features(pair.second)
    second = resample(second, pair.rows, pair.columns)
    labels = [model.classify(one).argmax(1).flatten().cpu() for one in (first, second)]
    return labels[0], labels[1]


def _place_numbers(cells: int) -> Tensor:
    """(cells^2,) number of the place of each cell."""
    steps = torch.arange(cells) * _PLACES // cells
    return (steps[:, None] * _PLACES + steps).flatten()


def _half_agreement(sample: _Sample, config: Config) -> float | None:
    """Cluster each half of the images, label all of them by both; None with too few pixels."""
    points = torch.cat(sample.features)
    found = []
    for number, half in enumerate(sample.halves):
        pixels = torch.cat([points[:0], *half.pixels])
        if len(pixels) < config.num_centroids:
            return None
        kmeans = KMeans(
            config.num_centroids,
            metric="spherical" if config.unit_features else "euclidean",
            seed=torch_seed(Stream.HEALTH_KMEANS, config.seed, number),
        ).fit(pixels)
        affinities: tuple[Tensor, ...] = ()
        if config.merge_rule == "pixels":
            affinities = measure_affinities(kmeans.cluster_centers_, pixels, half.cells)
        groups = cut_tree(build_tree(kmeans.cluster_centers_, *affinities), config.clusters)
        unit = config.unit_features
        near = nearest(points, kmeans.cluster_centers_, "cosine" if unit else "l2", unit=unit)
        found.append(groups[near])
    return adjusted_rand(contingency(found[0], found[1], (config.clusters, config.clusters)))
