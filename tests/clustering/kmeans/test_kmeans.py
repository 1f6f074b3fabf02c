from typing import Any, get_args

import faiss
import numpy as np
import pytest
import sklearn.cluster
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor
from torch.nn.functional import normalize

from picie.clustering.kmeans.initialisation import Init
from picie.clustering.kmeans.kmeans import KMeans
from picie.clustering.kmeans.points import Metric
from picie.errors import ConfigError, DataError, NotFittedError

METRICS: tuple[Metric, ...] = get_args(Metric)
INITS: tuple[Init, ...] = get_args(Init)


def cloud(n: int = 600, d: int = 6, seed: int = 0) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn(8, d, generator=draws)
    rows = torch.randint(8, (n,), generator=draws)
    return centres[rows] + torch.randn(n, d, generator=draws)


def blobs(seed: int = 0) -> tuple[Tensor, Tensor]:
    truth = torch.arange(6).repeat(40)
    axes = torch.cat((torch.eye(3), -torch.eye(3))) * torch.tensor([9.0, 8.0, 7.0])
    noise = torch.randn(240, 3, generator=torch.Generator().manual_seed(seed))
    return axes[truth] + 0.3 * noise, truth


def oracle(points: Tensor, start: Tensor, steps: int, *, spherical: bool) -> tuple[Tensor, float]:
    solver: Any = faiss.Kmeans(
        points.shape[1],
        len(start),
        niter=steps,
        spherical=spherical,
        min_points_per_centroid=1,
        max_points_per_centroid=10**9,
    )
    solver.train(points.numpy(), init_centroids=start.numpy())
    return torch.from_numpy(solver.centroids), float(solver.obj[-1])


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_euclidean_steps_equal_faiss(steps: int) -> None:
    points = cloud()
    start = points[:8].clone()
    model = KMeans(8, metric="euclidean", max_iter=steps).fit(points, start)
    expected, objective = oracle(points, start, steps, spherical=False)
    torch.testing.assert_close(model.cluster_centers_, expected, rtol=1e-4, atol=1e-4)
    assert model.n_iter_ == steps
    assert model.history_[steps - 1] == pytest.approx(objective / 600, rel=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_spherical_steps_equal_faiss(steps: int) -> None:
    points = normalize(cloud(), dim=1)
    start = points[:8].clone()
    model = KMeans(8, max_iter=steps).fit(points, start)
    expected, cosines = oracle(points, start, steps, spherical=True)
    torch.testing.assert_close(model.cluster_centers_, expected, rtol=1e-4, atol=1e-4)
    assert model.history_[steps - 1] == pytest.approx(1 - cosines / 600, rel=1e-4)


def test_converged_inertia_equals_scikit_learn() -> None:
    points = cloud()
    start = points[:8].clone()
    model = KMeans(8, metric="euclidean", max_iter=300).fit(points, start)
    expected = sklearn.cluster.KMeans(8, init=start.numpy(), n_init=1, tol=0, max_iter=300)
    expected.fit(points.numpy())
    assert model.history_[-1] * 600 == pytest.approx(expected.inertia_, rel=1e-5)
    assert np.array_equal(model.predict(points).numpy(), expected.labels_)
    assert model.n_iter_ < 300


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("init", INITS)
def test_objective_never_rises(metric: Metric, init: Init) -> None:
    for seed in range(3):
        model = KMeans(12, metric=metric, init=init, seed=seed, max_iter=30).fit(cloud(seed=seed))
        history = torch.tensor(model.history_, dtype=torch.float64)
        assert (history.diff() <= 1e-7 * history[:-1]).all()
        assert len(history) == model.n_iter_ + 1


@pytest.mark.parametrize("metric", METRICS)
def test_learnt_values_belong_together(metric: Metric) -> None:
    points = cloud()
    model = KMeans(9, metric=metric, max_iter=3).fit(points)
    labels = model.predict(points)
    assert labels.dtype == torch.int64
    assert torch.equal(model.counts_, labels.bincount(minlength=9))
    seen = normalize(points, dim=1) if metric == "spherical" else points
    distance = (seen - model.cluster_centers_[labels]).square().sum(1).mean().item()
    expected = distance / 2 if metric == "spherical" else distance
    assert model.history_[-1] == pytest.approx(expected, rel=1e-5)
    assert model.cluster_centers_.dtype == torch.float32
    if metric == "spherical":
        torch.testing.assert_close(model.cluster_centers_.norm(dim=1), torch.ones(9))


@pytest.mark.parametrize("metric", METRICS)
def test_order_of_points_does_not_matter(metric: Metric) -> None:
    points = cloud()
    start = points[:8].clone()
    shuffled = points[torch.randperm(600, generator=torch.Generator().manual_seed(3))]
    one = KMeans(8, metric=metric).fit(points, start)
    other = KMeans(8, metric=metric).fit(shuffled, start)
    torch.testing.assert_close(one.cluster_centers_, other.cluster_centers_, rtol=1e-4, atol=1e-4)
    assert torch.equal(one.counts_, other.counts_)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("init", INITS)
def test_separate_blobs_are_recovered(metric: Metric, init: Init) -> None:
    points, truth = blobs()
    fits = [KMeans(6, metric=metric, init=init, seed=seed).fit(points) for seed in range(20)]
    best = min(fits, key=lambda model: model.history_[-1])
    assert adjusted_rand_score(truth.numpy(), best.predict(points).numpy()) == 1.0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("init", INITS)
def test_same_seed_gives_the_same_bytes(metric: Metric, init: Init) -> None:
    points = cloud()
    state = torch.random.get_rng_state()
    one = KMeans(10, metric=metric, init=init, seed=4).fit(points)
    torch.rand(3)
    other = KMeans(10, metric=metric, init=init, seed=4).fit(points)
    assert torch.equal(one.cluster_centers_, other.cluster_centers_)
    assert one.history_ == other.history_
    torch.random.set_rng_state(state)
    KMeans(10, metric=metric, init=init, seed=4).fit(points)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_other_seeds_give_other_starts(init: Init) -> None:
    one, other = (KMeans(5, init=init, seed=s, max_iter=0).fit(cloud()) for s in (0, 1))
    assert not torch.equal(one.cluster_centers_, other.cluster_centers_)


def test_spherical_ignores_the_length_of_points() -> None:
    points = cloud()
    lengths = torch.rand(600, 1, generator=torch.Generator().manual_seed(5)) * 100 + 0.01
    one = KMeans(8).fit(points)
    other = KMeans(8).fit(points * lengths)
    torch.testing.assert_close(one.cluster_centers_, other.cluster_centers_, rtol=1e-4, atol=1e-4)
    assert torch.equal(one.predict(points), one.predict(points * lengths))


@pytest.mark.parametrize("metric", METRICS)
def test_empty_clusters_are_filled(metric: Metric) -> None:
    points = cloud()
    far = torch.full((10, 6), 1e3)
    far[:, 0] = torch.arange(10.0) - 1e3
    start = torch.cat((points[:3], -far))
    model = KMeans(13, metric=metric, max_iter=40).fit(points, start)
    assert (model.counts_ > 0).all()
    # several halves are made at once: the law holds up to the size of the steps
    history = torch.tensor(model.history_)
    assert (history.diff() <= 1e-3 * history[:-1]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_random_start_on_repeated_points_fills_all_clusters(metric: Metric) -> None:
    crowd = torch.tensor([[1.0, 0.0, 0.0]]).repeat(300, 1)
    points = torch.cat((crowd, cloud(n=40, d=3)))
    model = KMeans(8, metric=metric, init="random", max_iter=60).fit(points)
    assert KMeans(8, metric=metric, init="random", max_iter=0).fit(points).counts_.min() == 0
    assert model.counts_.min() > 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("init", INITS)
def test_fewer_distinct_points_than_clusters(metric: Metric, init: Init) -> None:
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]]).repeat(20, 1)
    model = KMeans(7, metric=metric, init=init, max_iter=30).fit(points)
    assert model.cluster_centers_.isfinite().all()
    assert sorted(model.counts_.tolist()) == [0, 0, 0, 0, 20, 20, 20]
    assert model.history_[-1] == pytest.approx(0, abs=1e-6)


def test_opposite_points_without_mean_direction_keep_their_centroid() -> None:
    points = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    model = KMeans(1, max_iter=5).fit(points, torch.tensor([[0.0, 1.0]]))
    assert torch.equal(model.cluster_centers_, torch.tensor([[0.0, 1.0]]))


def test_tolerance_stops_early_and_zero_at_rest() -> None:
    points = cloud()
    short = KMeans(12, tol=0.05, max_iter=200, init="random").fit(points)
    long = KMeans(12, max_iter=200, init="random").fit(points)
    assert 0 < short.n_iter_ < long.n_iter_ < 200
    again = KMeans(12, max_iter=1).fit(points, long.cluster_centers_)
    torch.testing.assert_close(again.cluster_centers_, long.cluster_centers_)


def test_principal_start_is_shared_by_processes() -> None:
    seen: list[tuple[int, ...]] = []

    def spy(table: Tensor) -> Tensor:
        seen.append(tuple(table.shape))
        return table

    KMeans(4, init="pca", max_iter=0, reduce=spy).fit(cloud())
    assert seen == [(3,), (7,), (6, 6), (4, 8)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_read_as_float32(dtype: torch.dtype) -> None:
    points = cloud().to(dtype)
    one = KMeans(6).fit(points)
    other = KMeans(6).fit(points.float())
    assert torch.equal(one.cluster_centers_, other.cluster_centers_)
    assert torch.equal(one.predict(points), other.predict(points.float()))


def test_nothing_learnt_carries_gradients_or_half_precision() -> None:
    points = cloud().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model = KMeans(6).fit(points, points[:6])
    plain = KMeans(6).fit(points.detach(), points[:6].detach())
    assert torch.equal(model.cluster_centers_, plain.cluster_centers_)
    assert not model.cluster_centers_.requires_grad
    assert not model.predict(points).requires_grad


def test_inputs_stay_untouched() -> None:
    points = cloud()
    start = points[:8] * 2
    kept, kept_start = points.clone(), start.clone()
    KMeans(8).fit(points, start).predict(points)
    assert torch.equal(points, kept)
    assert torch.equal(start, kept_start)


@pytest.mark.parametrize("name", ["cluster_centers_", "counts_", "history_", "n_iter_"])
def test_nothing_is_learnt_before_fit(name: str) -> None:
    with pytest.raises(NotFittedError, match=r"no centroids yet.*fit\(points\)"):
        getattr(KMeans(3), name)


def test_no_points_have_no_labels() -> None:
    assert KMeans(3).fit(cloud()).predict(torch.empty(0, 6)).shape == (0,)


def test_no_points_at_all_are_an_error() -> None:
    with pytest.raises(DataError, match="0 points for 3 clusters"):
        KMeans(3).fit(torch.empty(0, 6))


def test_predict_needs_fit() -> None:
    with pytest.raises(NotFittedError, match="no centroids yet"):
        KMeans(3).predict(cloud())


@pytest.mark.parametrize("start", [None, torch.rand(5, 6)])
def test_fewer_points_than_clusters_is_an_error(start: Tensor | None) -> None:
    with pytest.raises(DataError, match=r"4 points for 5 clusters.*--kmeans-pixels"):
        KMeans(5).fit(cloud(n=4), start)


def test_as_many_points_as_clusters_is_enough() -> None:
    assert KMeans(5, metric="euclidean").fit(cloud(n=5)).counts_.tolist() == [1] * 5


@pytest.mark.parametrize(
    "start", [torch.rand(4, 6), torch.rand(5, 7), torch.full((5, 6), float("nan"))]
)
def test_wrong_starting_centroids_are_an_error(start: Tensor) -> None:
    with pytest.raises(DataError, match=r"starting centroids must be finite and of shape \(5, 6\)"):
        KMeans(5).fit(cloud(), start)


def test_points_of_another_width_are_an_error() -> None:
    model = KMeans(5).fit(cloud())
    with pytest.raises(DataError, match="points of width 3 do not match centroids of width 6"):
        model.predict(torch.rand(9, 3))


@pytest.mark.parametrize("call", ["fit", "predict"])
def test_bad_points_are_an_error_everywhere(call: str) -> None:
    model = KMeans(5).fit(cloud())
    points = cloud()
    points[3, 2] = float("nan")
    with pytest.raises(DataError, match="1 of 600 points with values that are not finite"):
        getattr(model, call)(points)
    with pytest.raises(DataError, match="Flatten feature maps"):
        getattr(model, call)(torch.rand(2, 6, 4, 4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_clusters": 0}, "n_clusters >= 1"),
        ({"n_clusters": 2, "max_iter": -1}, "max_iter >= 0"),
        ({"n_clusters": 2, "tol": float("nan")}, "tol >= 0"),
        (
            {"n_clusters": 2, "metric": "cosine"},
            "metric 'cosine' is unknown. Use spherical, euclidean",
        ),
        (
            {"n_clusters": 2, "init": "kmeans"},
            r"init 'kmeans' is unknown. Use k-means\+\+, pca, random",
        ),
    ],
)
def test_wrong_settings_are_an_error(settings: dict[str, Any], message: str) -> None:
    model = KMeans(**settings)
    with pytest.raises(ConfigError, match=message):
        model.fit(cloud())
