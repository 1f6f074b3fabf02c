import math

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, mutual_info_score, silhouette_score

from picie.clustering.validity import (
    adjusted_rand,
    contingency,
    effective_clusters,
    explained_share,
    lighting_clusters,
    one_image_clusters,
    silhouette,
)
from picie.errors import DataError


def labels(seed: int, count: int = 200, k: int = 4) -> torch.Tensor:
    return torch.randint(k, (count,), generator=torch.Generator().manual_seed(seed))


def test_counts_of_pairs_equal_a_loop() -> None:
    first, second = labels(0, k=3), labels(1, k=5)
    expected = np.zeros((3, 6))
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        expected[one, other] += 1
    assert np.array_equal(contingency(first, second, (3, 6)).numpy(), expected)


def test_labels_of_other_lengths_cannot_be_compared() -> None:
    with pytest.raises(DataError, match=r"\(200,\) and \(10,\).*one length"):
        contingency(labels(0), labels(1, 10), (4, 4))


def test_effective_clusters() -> None:
    assert effective_clusters(torch.tensor([5, 5, 5, 0])) == pytest.approx(3)
    assert effective_clusters(torch.tensor([7, 0])) == pytest.approx(1)
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert effective_clusters(torch.tensor([90, 10])) == pytest.approx(math.exp(entropy))


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_the_adjusted_rand_index_is_that_of_scikit_learn(noise: float) -> None:
    first = labels(0)
    changed = torch.rand(200, generator=torch.Generator().manual_seed(5)) < noise
    second = torch.where(changed, labels(1), first)
    found = adjusted_rand(contingency(first, second, (4, 4)))
    assert found == pytest.approx(adjusted_rand_score(first, second))
    renamed = torch.tensor([2, 3, 0, 1])[second]
    assert adjusted_rand(contingency(first, renamed, (4, 4))) == pytest.approx(found)


def test_one_cluster_agrees_with_itself() -> None:
    alone = torch.zeros(9, dtype=torch.int64)
    assert adjusted_rand(contingency(alone, alone, (1, 1))) == 1


def test_what_rows_explain_is_information_over_entropy() -> None:
    first, second = labels(0), labels(2)
    second[:100] = first[:100]
    table = contingency(first, second, (4, 4))
    entropy = mutual_info_score(second, second)
    assert explained_share(table) == pytest.approx(mutual_info_score(first, second) / entropy)
    assert explained_share(contingency(first, first, (4, 4))) == pytest.approx(1)
    assert explained_share(torch.ones(3, 5)) == pytest.approx(0)
    assert explained_share(torch.tensor([[3], [4]])) == 0


@pytest.mark.parametrize("cosine", [True, False])
def test_the_silhouette_is_that_of_scikit_learn(cosine: bool) -> None:
    draws = torch.Generator().manual_seed(0)
    own = labels(3, 120)
    points = torch.randn(4, 6, generator=draws)[own] + torch.randn(120, 6, generator=draws) / 2
    own[0] = 4  # alone in its cluster
    metric = "cosine" if cosine else "euclidean"
    expected = silhouette_score(points.numpy(), own.numpy(), metric=metric)
    assert silhouette(points, own, cosine=cosine) == pytest.approx(expected, abs=1e-5)
    assert silhouette(points, torch.zeros_like(own), cosine=cosine) == 0


# --- lighting


def by_night(shown: int, rest: int, held: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, 3) shares: cluster 0 holds a part of the dark images, 1 the bright ones, 2 the rest."""
    dark, bright = torch.tensor([held, 0, 1 - held]), torch.tensor([0, held, 1 - held])
    shares = torch.stack([dark] * shown + [bright] * rest)
    return shares, torch.cat([torch.linspace(0, 0.2, shown), torch.linspace(0.4, 1, rest)])


def test_night_and_day_are_lighting_clusters() -> None:
    assert lighting_clusters(*by_night(20, 28)) == [0, 1]
    assert lighting_clusters(*by_night(8, 40, held=0.6)) == [0, 1]
    shares, brightness = by_night(20, 28)
    assert lighting_clusters(shares, 1 - brightness) == [0, 1]
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    assert lighting_clusters(shares[order], brightness[order]) == [0, 1]


@pytest.mark.parametrize(("shown", "rest"), [(3, 45), (5, 43), (1, 1), (3, 3), (0, 10), (48, 0)])
def test_a_few_images_are_no_group(shown: int, rest: int) -> None:
    assert lighting_clusters(*by_night(shown, rest)) == []


def test_things_of_all_hours_are_no_lighting() -> None:
    shares, brightness = by_night(20, 28)
    assert lighting_clusters(shares, brightness.flip(0).roll(24)) == []  # brightness is mixed
    assert lighting_clusters(*by_night(20, 28, held=0.4)) == []  # it holds a part of them only
    spread = shares.clone()
    spread[20:, 0], spread[20:, 1] = 0.3, 0.7  # and of the others too
    assert 0 not in lighting_clusters(spread, brightness)
    assert lighting_clusters(shares, torch.full((48,), 0.5)) == []  # all are equally bright


def test_clusters_of_one_image_are_large_there_and_nowhere_else() -> None:
    shares = torch.tensor([[0.5, 0.0, 0.5, 0.0]] * 3 + [[0.2, 0.7, 0.0, 0.1]])
    assert one_image_clusters(shares) == [1]  # 3 is small where it is, 2 is in three images
    assert one_image_clusters(shares[1:]) == []  # of three images
    shares[0, 1] = 0.1  # 0.7 of 0.8 are in the last image
    assert one_image_clusters(shares) == []
    shares[0, 1] = 0.05
    assert one_image_clusters(shares) == [1]
