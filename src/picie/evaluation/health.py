"""The health of a trained model: measures that need no labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from picie.clustering.affinities import ContactCells, measure_affinities
from picie.clustering.features import cluster_order, nothing_read, sample_pixels
from picie.clustering.kept_stages import KeptStages
from picie.clustering.kmeans.kmeans import KMeans
from picie.clustering.pseudo_labels import nearest
from picie.clustering.smoothing import smooth_features
from picie.clustering.tree import cut_tree
from picie.clustering.validity import (
    adjusted_rand,
    contingency,
    effective_clusters,
    explained_share,
    lighting_clusters,
    one_image_clusters,
    silhouette,
)
from picie.clustering.vote import vote_tree
from picie.config import Config
from picie.data.crop_loader import Loader
from picie.inference.segmenter import Segmenter
from picie.metrics.health import MEASURES, Health, health_warnings
from picie.models.folding import folded
from picie.models.picie import PiCIE
from picie.runtime.random import Stream, numpy_generator, torch_seed
from picie.types import Batch
from picie.views.geometric import resample
from picie.views.pair import Views, clean_view
from picie.views.relighting import relit

__all__ = [
    "HEALTH_IMAGES",
    "health_sample",
    "health_text",
    "measure_health",
    "verdict",
]

HEALTH_IMAGES = 64
"""Maximum number of images measured."""

_RELIT = 32  # images seen in another light; this costs less than kept maps of 64 images save
_EPOCH = 2**30  # no training epoch or clustering uses the random draws of this number
_PIXELS = 200  # features sampled per image
_POINTS = 2_000  # for the silhouette, which needs all pairwise distances
_WEAK_HALVES = 0.5
_WEAK_VIEWS = 2 / 3
_PLACES = 8  # positions along each side: a grid of 8 x 8
# The same views for all runs, whatever they were trained with. In nearly identical views, a model
# agrees with itself too easily, and its numbers would not be comparable with those of other runs.
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
    """The sampled pixels of half of the images."""

    cells: ContactCells
    pixels: list[Tensor] = field(default_factory=list)  # (n, D) of each image


@dataclass
class _Sample:
    """Features (n, D) and labels of some pixels, and counts over all pixels."""

    agreement: Tensor  # (K, K) labels of view 1 against those of view 2
    places: Tensor  # (64, K) positions in the image against labels
    halves: tuple[_Half, _Half]
    features: list[Tensor] = field(default_factory=list)  # (n, D) of each image
    labels: list[Tensor] = field(default_factory=list)  # (n,) of each image
    shares: list[Tensor] = field(default_factory=list)  # (K,) of each image
    brightness: list[Tensor] = field(default_factory=list)  # () of each image
    relighting: list[Tensor] = field(default_factory=list)  # () of each of the first images


def health_sample(config: Config, count: int) -> list[int]:
    """Indices of the images that `measure_health` reads, of N = `count`."""
    return cluster_order(config, _EPOCH, count)[:HEALTH_IMAGES]


def measure_health(
    model: Segmenter, loader: Loader, count: int, stages: KeptStages | None = None
) -> Health:
    """Measure a trained model on a sample of its own images.

    The network computes in float32.

    Args:
        model: the trained model.
        loader: reads the images it was trained on.
        count: number of images N.
        stages: maps of images that were kept in earlier passes.

    Returns:
        view_agreement: share of pixels that get the same cluster in two views, 0..1.
        view_information: what the cluster in view 2 says about that in view 1, as a share of its
            entropy, 0..1; unlike view_agreement, a single dominant cluster does not raise it.
        effective_clusters: exp of the entropy of the clusters' shares, 1..K.
        largest_cluster: share of the largest cluster, 0..1.
        position_information: what the position in the image (8 x 8) says about the cluster, as a
            share of its entropy, 0..1; high values mean clusters of positions, not of things.
        half_agreement: adjusted Rand index between clusterings of two halves of the sample, up to
            1; low values mean that other images or another seed would give other clusters.
        silhouette: mean silhouette of pixel features, -1..1.
        relighting: share of pixels that keep their cluster in another light, 0..1; each of the
            first 32 images is seen in one of `views.relighting.LIGHTS`, in turn.
        lighting_clusters: number of clusters that stand for the lighting of a group of images.
        one_image_clusters: number of clusters that are (nearly) in one image alone.
        pictures: number of images measured.

    Raises:
        DataError: no image can be read.
    """
    sample = _collect(model, loader, count, stages or KeptStages())
    if not sample.features:
        raise nothing_read()
    clusters, shares = sample.places.sum(0), torch.stack(sample.shares)
    features, labels = torch.cat(sample.features), torch.cat(sample.labels)
    rng = numpy_generator(Stream.HEALTH_SILHOUETTE, model.config.seed)
    chosen = torch.from_numpy(rng.permutation(len(labels))[:_POINTS])
    cosine = model.config.unit_features
    measures = {
        "view_agreement": float(sample.agreement.trace() / sample.agreement.sum()),
        "view_information": explained_share(sample.agreement),
        "effective_clusters": effective_clusters(clusters),
        "largest_cluster": float(clusters.max() / clusters.sum()),
        "position_information": explained_share(sample.places),
        "silhouette": silhouette(features[chosen], labels[chosen], cosine=cosine),
        "relighting": float(torch.stack(sample.relighting).mean()),
        "lighting_clusters": float(len(lighting_clusters(shares, torch.stack(sample.brightness)))),
        "one_image_clusters": float(len(one_image_clusters(shares))),
        "pictures": float(len(sample.features)),
    }
    halves = _half_agreement(sample, model.config)
    return Health(measures if halves is None else measures | {"half_agreement": halves})


def health_text(health: Mapping[str, float], clusters: int) -> str:
    """The measures as a few lines of text.

    Args:
        health: from `measure_health`.
        clusters: K.
    """
    lines = [
        f"health (no labels used), on {health['pictures']:.0f} images:",
        f"  two views agree on {health['view_agreement']:.0%} of the pixels "
        f"(information {health['view_information']:.2f})",
        f"  {health['effective_clusters']:.1f} {MEASURES['effective_clusters'].label} of "
        f"{clusters}; the largest has {health['largest_cluster']:.0%} of the pixels",
        f"  position in the image explains {health['position_information']:.0%} of the clusters",
    ]
    if "half_agreement" in health:
        lines.append(
            f"  clusterings of two halves of the images agree: {health['half_agreement']:.2f} "
            "(adjusted Rand)"
        )
    lines.append(f"  {MEASURES['silhouette'].label} {health['silhouette']:.2f}")
    lines.append(f"  in other light {health['relighting']:.0%} of the pixels keep their cluster")
    lines += [f"  warning: {warning}" for warning in health_warnings(health)]
    return "\n".join([*lines, *(f"  weak: {number}" for number in _weak(health))])


def verdict(health: Mapping[str, float]) -> str:
    """The measures in plain words: what to look at, or that nothing speaks against the clusters.

    Warnings are those of `health_warnings`. Two numbers are called weak: an agreement of halves
    below 0.5, nearer to unrelated than to the same, and an agreement of views below two thirds, so
    that more than one pixel in three changes its cluster. More clusters lower both; neither says
    that masks are bad.

    Args:
        health: from `measure_health`.
    """
    found = [f"  warning: {warning}" for warning in health_warnings(health)]
    found += [f"  weak: {number}" for number in _weak(health)]
    if not found:
        return (
            f"No warnings: two views of a photo agree on {health['view_agreement']:.0%} of the "
            f"pixels, and {health['relighting']:.0%} keep their cluster in other light. Whether "
            "the clusters are things, only a look can tell."
        )
    many = "One thing" if len(found) == 1 else f"{len(found)} things"
    return "\n".join([f"{many} to look at:", *found])


def _weak(health: Mapping[str, float]) -> list[str]:
    """A clause for each number that is weak, by the rule of `verdict`."""
    weak = []
    halves = health.get("half_agreement", 1.0)
    if halves < _WEAK_HALVES:
        weak.append(
            f"agreement of halves {halves:.2f} (1 = the same clusters from either half of the "
            "photos, 0 = unrelated): other photos, or another seed, would give other clusters"
        )
    if (views := health["view_agreement"]) < _WEAK_VIEWS:
        weak.append(
            f"view agreement {views:.0%}: the other pixels change their cluster in another view "
            "of the same photo; fewer clusters are usually steadier"
        )
    return weak


@torch.no_grad()
def _collect(model: Segmenter, loader: Loader, count: int, stages: KeptStages) -> _Sample:
    config = model.config
    cells = -(-config.size // model.network.stride)
    views = Views(config.model_copy(update=_VIEWS), _EPOCH, cells)
    order = health_sample(config, count)
    network, k = folded(model.network), model.clusters
    counts = torch.zeros(k, k).double(), torch.zeros(_PLACES**2, k).double()
    sample = _Sample(*counts, (_Half(ContactCells(config.size)), _Half(ContactCells(config.size))))
    places = _place_numbers(cells)
    rank_of = {index: rank for rank, index in enumerate(order)}
    for batch in loader(order, config.sample_batch_size):
        first, second = _view_labels(model, network, views, batch)
        sample.agreement += contingency(first, second, (k, k))
        images = clean_view(batch.images, config.size)
        maps = network.decoder(stages(network.backbone, batch.indices, images))
        labels = model.classify(maps).argmax(1).cpu()
        ranks = torch.tensor([rank_of[index] for index in batch.indices.tolist()])
        if few := max(0, _RELIT - len(sample.relighting)):
            others = model.classify(network(relit(images[:few], ranks[:few]))).argmax(1).cpu()
            sample.relighting += (others == labels[:few]).double().mean((1, 2))
        rows = maps.permute(0, 2, 3, 1).flatten(1, 2).cpu()  # (B, h w, D)
        for index, points, label_map in zip(batch.indices.tolist(), rows, labels, strict=True):
            clusters = label_map.flatten()
            sample.places += contingency(places, clusters, (_PLACES**2, k))
            rng = numpy_generator(Stream.HEALTH_PIXELS, config.seed, index)
            chosen = torch.from_numpy(rng.permutation(len(points))[:_PIXELS])
            sample.features.append(points[chosen])
            sample.labels.append(clusters[chosen])
            sample.shares.append(clusters.bincount(minlength=k) / len(clusters))
        sample.brightness += images.mean((1, 2, 3)).cpu()
        smooth = smooth_features(maps, images, config)
        surfaces = smooth.permute(0, 2, 3, 1).flatten(1, 2)
        draws = partial(numpy_generator, Stream.HEALTH_HALVES, config.seed)
        pixels = sample_pixels(surfaces, batch.indices, _PIXELS, draws).cpu()
        middle = len(order) // 2
        for number, half in enumerate(sample.halves):
            inside = (ranks >= middle) == bool(number)
            half.pixels += pixels[inside]
            half.cells.add(smooth[inside], images[inside], ranks[inside] - number * middle)
    return sample


def _view_labels(
    model: Segmenter, network: PiCIE, views: Views, batch: Batch
) -> tuple[Tensor, Tensor]:
    """(N,) clusters of the same pixels in view 1 and view 2."""
    pair = views(batch)
    first, second = network(pair.first), network(pair.second)
    second = resample(second, pair.rows, pair.columns)
    labels = [model.classify(maps).argmax(1).flatten().cpu() for maps in (first, second)]
    return labels[0], labels[1]


def _place_numbers(cells: int) -> Tensor:
    """(cells^2,) position, 0..63, of each cell of the feature map."""
    steps = torch.arange(cells) * _PLACES // cells
    return (steps[:, None] * _PLACES + steps).flatten()


def _half_agreement(sample: _Sample, config: Config) -> float | None:
    """Cluster each half of the images, label all pixels by both; None with too few pixels."""
    points = torch.cat(sample.features)
    labellings = []
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
        vote = vote_tree(kmeans.cluster_centers_, config.clusters, *affinities)
        groups = cut_tree(vote.tree, config.clusters)
        unit = config.unit_features
        near = nearest(points, kmeans.cluster_centers_, "cosine" if unit else "l2", unit=unit)
        labellings.append(groups[near])
    return adjusted_rand(
        contingency(labellings[0], labellings[1], (config.clusters, config.clusters))
    )
