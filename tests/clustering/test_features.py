"""Passes that k-means needs: which pixels it sees, in which order, from which random numbers."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.affinities import ContactCells, shared_pixels
from picie.clustering.features import (
    ClusterFit,
    cluster_features,
    cluster_order,
    fit_clean_centroids,
    sample_pixels,
)
from picie.clustering.kmeans.kmeans import KMeans
from picie.clustering.linkage import build_tree
from picie.clustering.smoothing import smooth_features
from picie.clustering.vote import vote_tree
from picie.config import Config, make_config
from picie.errors import DataError
from picie.models.picie import PiCIE
from picie.runtime.random import Stream, numpy_generator
from picie.types import Batch

Loader = Callable[[list[int], int], Iterator[Batch]]
IMAGES = 6


def make_images(count: int = IMAGES, side: int = 32) -> Tensor:
    values = np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    return torch.from_numpy(values)


def loader(images: Tensor, log: list[list[int]] | None = None) -> Loader:
    def read(order: list[int], batch_size: int) -> Iterator[Batch]:
        for start in range(0, len(order), batch_size):
            part = order[start : start + batch_size]
            if log is not None:
                log.append(part)
            yield Batch(torch.tensor(part), images[part])

    return read


def in_batches_of(size: int) -> Loader:
    """Whatever size is asked for."""
    return lambda order, _: loader(make_images())(order, size)


def let_kmeans_run(monkeypatch: pytest.MonkeyPatch, iterations: int) -> None:
    monkeypatch.setattr("picie.clustering.features.KMeans", partial(KMeans, max_iter=iterations))


def pixels(batch: Batch) -> Tensor:
    """(B, 3, 8, 8) unit vectors, each image on its own."""
    small = F.avg_pool2d(batch.images.double(), 4).float() - 127
    return F.normalize(small, dim=1)


def settings(**changes: Any) -> Config:
    values = {"clusters": 3, "overclusters": 0, "kmeans_pixels": 10, "batch_size": 2, "size": 32}
    return make_config(**(values | changes))


def fit(config: Config, *, order: list[int] | None = None, **changes: Any) -> ClusterFit:
    read = changes.pop("loader", loader(make_images()))
    where = list(range(IMAGES)) if order is None else order
    where_from = {"epoch": 0, "stream": 0} | changes
    (only,) = cluster_features(
        lambda batch: (pixels(batch), batch.images), read, where, config, **where_from
    )
    return only


def same(one: ClusterFit, other: ClusterFit) -> bool:
    return torch.equal(one.clusters.centroids, other.clusters.centroids)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    orders = [
        cluster_order(settings(seed=s), e, 50) for s, e in [(0, 0), (0, 0), (0, 1), (1, 0), (1, 1)]
    ]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 4


def test_pixels_of_a_image_do_not_depend_on_its_batch() -> None:
    fits = [fit(settings(), loader=in_batches_of(size)) for size in (1, 2, 4, 100)]
    assert all(same(fits[0], other) for other in fits)
    assert [one.points for one in fits] == [60] * 4


def test_a_batch_is_twice_that_of_training() -> None:
    log: list[list[int]] = []
    fit(settings(batch_size=2), loader=loader(make_images(), log))
    assert [len(part) for part in log] == [4, 2]


@pytest.mark.parametrize(("wanted", "taken"), [(0, 64), (10, 10), (63, 63), (64, 64), (1000, 64)])
def test_number_of_pixels_per_image(wanted: int, taken: int) -> None:
    found = fit(settings(kmeans_pixels=wanted))
    assert found.points == IMAGES * taken == int(found.clusters.counts.sum())


def test_the_sample_changes_with_seed_and_epoch_and_the_start_with_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = fit(settings())
    assert same(base, fit(settings()))
    assert not same(base, fit(settings(seed=1)))
    assert not same(base, fit(settings(), epoch=1))
    let_kmeans_run(monkeypatch, 1)
    random = settings(kmeans_init="random")
    assert not same(fit(random), fit(random, stream=1))


def test_the_objective_is_the_mean_distance_of_the_sampled_pixels() -> None:
    found = fit(settings(kmeans_pixels=0))
    points = pixels(Batch(torch.arange(IMAGES), make_images())).permute(0, 2, 3, 1).reshape(-1, 3)
    nearest = (points @ found.clusters.centroids.T).max(1).values
    assert found.objective == pytest.approx(float((1 - nearest).mean()), abs=1e-5)
    assert found.clusters.counts.tolist() == torch.bincount(
        (points @ found.clusters.centroids.T).argmax(1), minlength=3
    ).tolist()  # fmt: skip


def test_only_the_first_images_make_the_sample() -> None:
    log: list[list[int]] = []
    order = [3, 1, 5, 0, 2, 4]
    found = fit(settings(kmeans_images=2), order=order, loader=loader(make_images(), log))
    assert log == [[3, 1]]
    assert found.points == 20
    assert same(found, fit(settings(), order=[3, 1]))


def test_too_few_pixels_say_what_to_change() -> None:
    few = settings(kmeans_pixels=1)
    assert fit(few, order=[0, 1, 2]).points == 3  # as many as centroids: enough
    with pytest.raises(
        DataError, match=r"2 sampled pixels are too few for 3 centroids; use fewer --clusters, more"
    ):
        fit(few, order=[0, 1])
    with pytest.raises(DataError, match=r"6 sampled pixels are too few for 64 centroids"):
        fit(settings(kmeans_pixels=1, overclusters=64))


def test_the_tree_is_that_of_distances_shared_pixels_and_contacts() -> None:
    """The same whatever batches the images come in; by distance alone it is another."""
    changes = {"overclusters": 12, "kmeans_smoothing": 0}
    found = fit(settings(**changes))
    centroids = found.clusters.centroids
    batch = Batch(torch.arange(IMAGES), make_images())
    cells = ContactCells(settings().size)
    cells.add(pixels(batch), batch.images, torch.arange(IMAGES))
    draws = partial(numpy_generator, Stream.CLUSTERING_PIXELS, 0, 0)
    points = pixels(batch).permute(0, 2, 3, 1).flatten(1, 2)
    shared = shared_pixels(sample_pixels(points, batch.indices, 10, draws).flatten(0, 1), centroids)
    contacts = cells.contacts(centroids)
    assert contacts[0].sum() == 2 * IMAGES * 24  # 4 x 4 cells of 8 pixels
    assert found.vote.rule
    torch.testing.assert_close(found.vote.tree, vote_tree(centroids, 3, shared, contacts).tree)
    one_by_one = fit(settings(**changes), loader=in_batches_of(1))
    torch.testing.assert_close(one_by_one.vote.tree, found.vote.tree)
    assert not torch.allclose(found.vote.tree, vote_tree(centroids, 3, shared).tree)
    alone = fit(settings(**changes, merge_rule="distance"))
    torch.testing.assert_close(alone.vote.tree, build_tree(centroids))
    assert not alone.vote.rule


def test_images_that_are_all_unreadable() -> None:
    with pytest.raises(DataError, match="none of the images could be read"):
        fit(settings(), loader=lambda order, batch_size: iter(()))


@pytest.fixture(scope="module")
def network() -> PiCIE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PiCIE("test_efficientnet", 8, pretrained=False)


def clean(network: PiCIE, repeat: int = 0, **changes: Any) -> ClusterFit:
    config = settings(**changes)
    return fit_clean_centroids(network, loader(make_images()), IMAGES, config, repeat=repeat)


def test_clean_centroids_are_a_function_of_seed_and_repeat(network: PiCIE) -> None:
    fits = [clean(network, r, seed=s) for s, r in [(0, 0), (0, 0), (0, 1), (1, 0), (1, 1)]]
    assert same(fits[0], fits[1])
    assert len({one.clusters.centroids.numpy().tobytes() for one in fits}) == 4


def test_over_clusters_are_merged_to_k(network: PiCIE) -> None:
    found = clean(network, overclusters=9)
    assert found.clusters.centroids.shape == (9, 8)
    assert found.groups.shape == (9,)
    assert set(found.groups.tolist()) == {0, 1, 2}
    assert clean(network, overclusters=0).groups.tolist() == [0, 1, 2]


def test_clean_centroids_are_those_of_the_unaugmented_features(
    network: PiCIE, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow transcription: every pixel of every image, centroids are means of their pixels."""
    let_kmeans_run(monkeypatch, 300)
    found = clean(network, kmeans_pixels=0, kmeans_smoothing=0)
    with torch.no_grad():
        maps = F.normalize(network.eval()(make_images().float() / 255), dim=1)
    points = maps.permute(0, 2, 3, 1).reshape(-1, 8)
    labels = (points @ found.clusters.centroids.T).argmax(1)
    for k in range(3):
        mean = F.normalize(points[labels == k].mean(0), dim=0)
        torch.testing.assert_close(found.clusters.centroids[k], mean, atol=1e-4, rtol=0)


def test_clean_centroids_are_those_of_smoothed_features(
    network: PiCIE, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow transcription, on the grid of 8 pixels, to which the finer stage is averaged."""
    let_kmeans_run(monkeypatch, 300)
    found = clean(network, kmeans_pixels=0, kmeans_smoothing=2)
    images = make_images().float() / 255
    with torch.no_grad():
        fine, *others = network.eval().backbone(images)
        maps = network.decoder([F.avg_pool2d(fine, 2), *others])
        maps = smooth_features(maps, images, settings(kmeans_smoothing=2))
    points = F.normalize(maps.permute(0, 2, 3, 1).reshape(-1, 8), dim=1)
    assert found.points == len(points) == IMAGES * 16
    labels = (points @ found.clusters.centroids.T).argmax(1)
    for k in range(3):
        mean = F.normalize(points[labels == k].mean(0), dim=0)
        torch.testing.assert_close(found.clusters.centroids[k], mean, atol=1e-4, rtol=0)


@pytest.mark.parametrize("mode", ["running", "training", "batch"])
def test_batch_statistics_move_only_if_asked_for(network: PiCIE, mode: str) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    clean(network, batchnorm=mode)
    after = network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not network.training
    assert all("running" in name or "num_batches" in name for name in moved)
    assert bool(moved) == (mode == "batch")
    network.load_state_dict(before)


def test_larger_base_crops_are_shrunk_to_the_view(network: PiCIE) -> None:
    found = fit_clean_centroids(
        network,
        loader(make_images(side=80)),
        IMAGES,
        settings(kmeans_pixels=0, kmeans_smoothing=0, size=64),
    )
    assert found.points == IMAGES * 16 * 16


def test_clustering_leaves_the_global_random_state(network: PiCIE) -> None:
    torch_state, numpy_state = (
        torch.get_rng_state(),
        np.random.get_state(legacy=False)["state"]["key"],
    )
    clean(network)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], numpy_state)


# --- the same pixels of an image, whatever batch it comes in


def draws(epoch: int) -> Callable[[int], np.random.Generator]:
    return partial(numpy_generator, Stream.CLUSTERING_PIXELS, 0, epoch)


def test_a_image_has_the_same_pixels_in_every_batch() -> None:
    maps = torch.arange(4 * 20 * 2.0).reshape(4, 20, 2)
    whole = sample_pixels(maps, torch.arange(4), 5, draws(1))
    assert whole.shape == (4, 5, 2)
    turned = sample_pixels(maps.flip(0)[1:], torch.tensor([2, 1, 0]), 5, draws(1))
    assert torch.equal(turned, whole.flip(0)[1:])
    for sample, image in zip(whole, maps, strict=True):
        rows = [image.tolist().index(row) for row in sample.tolist()]
        assert len(set(rows)) == 5  # pixels of this image, none twice


def test_the_generator_and_the_number_of_the_image_change_the_draws() -> None:
    maps = torch.arange(20.0).reshape(1, 20, 1).expand(3, -1, -1)
    first = sample_pixels(maps, torch.arange(3), 5, draws(1))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, sample_pixels(maps, torch.arange(3), 5, draws(2)))


def test_all_pixels_and_no_image() -> None:
    maps = torch.rand(2, 6, 3)
    for count in (0, 6, 7):
        assert sample_pixels(maps, torch.arange(2), count, draws(0)) is maps
    none = sample_pixels(maps[:0], torch.arange(0), 4, draws(0))
    assert none.shape == (0, 4, 3)
