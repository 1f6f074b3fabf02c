"""Intervals against a slow loop over dense matrices, and against what statistics says."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import picie.metrics.bootstrap
from picie.errors import ConfigError, DataError
from picie.metrics.bootstrap import Intervals, bootstrap_intervals, check_resamples
from picie.metrics.confusion import Confusion, ImageCounts
from picie.metrics.matching import hungarian, in_class_order, majority
from picie.metrics.scores import score
from picie.runtime.random import Stream, numpy_generator

Ints = NDArray[np.int64]


def counts_of(matrices: list[Ints]) -> ImageCounts:
    """Images with the given (L, K) counts."""
    confusion = Confusion(*matrices[0].shape, keep_images=True)
    for matrix in matrices:
        truth, clusters = (
            np.repeat(ids.ravel(), matrix.ravel()) for ids in np.indices(matrix.shape)
        )
        confusion.update(truth, clusters)
    return confusion.images


def random_images(seed: int, count: int, classes: int = 4, clusters: int = 6) -> list[Ints]:
    """Each with some of the classes only."""
    rng = numpy_generator(Stream.BOOTSTRAP, seed)
    matrices = [rng.integers(0, 9, (classes, clusters)) for _ in range(count)]
    return [matrix * (rng.random(classes) < 0.6)[:, None] for matrix in matrices]


def slow(
    matrices: list[Ints], match: Any, resamples: int, seed: int, rematch: bool
) -> tuple[list[float], list[float]]:
    """Accuracy and mIoU of each resample."""
    matrices = [matrix for matrix in matrices if matrix.any()]
    rule = hungarian if match == "hungarian" else majority
    whole = rule(sum(matrices, np.zeros_like(matrices[0])))
    rng = numpy_generator(Stream.BOOTSTRAP, seed)
    accuracies, mious = [], []
    for _ in range(resamples):
        drawn = np.zeros_like(matrices[0])
        for image in rng.integers(0, len(matrices), len(matrices)):
            drawn = drawn + matrices[image]
        ordered = in_class_order(drawn, rule(drawn) if rematch else whole)
        accuracies.append(100 * ordered.trace() / drawn.sum())
        values = []
        for label, row in enumerate(ordered):
            hit, column = ordered[label, label], ordered[:, label].sum()
            if row.sum():
                values.append(100 * hit / (row.sum() + column - hit))
        mious.append(sum(values) / len(values))
    return accuracies, mious


@pytest.mark.parametrize("rematch", [False, True])
@pytest.mark.parametrize("match", ["hungarian", "majority"])
def test_intervals_equal_the_loop(match: Any, rematch: bool) -> None:
    matrices = random_images(0, 12)
    found = bootstrap_intervals(
        counts_of(matrices), match=match, resamples=150, seed=3, rematch=rematch
    )
    accuracies, mious = slow(matrices, match, 150, 3, rematch)
    assert found.accuracy == pytest.approx(np.percentile(accuracies, [2.5, 97.5]).tolist())
    assert found.miou == pytest.approx(np.percentile(mious, [2.5, 97.5]).tolist())
    assert (found.resamples, found.seed) == (150, 3)
    assert found.images == sum(bool(matrix.any()) for matrix in matrices)


@pytest.mark.parametrize("rematch", [False, True])
def test_intervals_do_not_depend_on_the_blocks(
    rematch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = counts_of(random_images(1, 9))
    whole = bootstrap_intervals(images, resamples=120, rematch=rematch)
    monkeypatch.setattr(picie.metrics.bootstrap, "_BLOCK", 1)
    assert bootstrap_intervals(images, resamples=120, rematch=rematch) == whole


def test_intervals_are_a_function_of_the_seed() -> None:
    images = counts_of(random_images(2, 20))
    one, again, other = (
        bootstrap_intervals(images, resamples=200, seed=seed) for seed in (0, 0, 1)
    )
    assert one == again
    assert one.accuracy != other.accuracy
    assert one.accuracy == pytest.approx(other.accuracy, abs=3)


def test_equal_images_leave_nothing_to_chance() -> None:
    matrix = np.array([[6, 2, 0], [1, 7, 3]])
    found = bootstrap_intervals(counts_of([matrix] * 5), resamples=100)
    scores = score(matrix, ["a", "b"], protocol={})
    assert found.accuracy == pytest.approx((scores.accuracy, scores.accuracy))
    assert found.miou == pytest.approx((scores.miou, scores.miou))


def test_width_is_that_of_a_mean_of_independent_images() -> None:
    """Images of one class, all right or all wrong: accuracy is a share of N draws."""
    right, wrong = np.array([[10, 0], [0, 0]]), np.array([[0, 10], [0, 0]])
    found = bootstrap_intervals(counts_of([right] * 280 + [wrong] * 120), resamples=4000)
    expected = 1.96 * 100 * np.sqrt(0.7 * 0.3 / 400)
    low, high = found.accuracy
    assert (low + high) / 2 == pytest.approx(70, abs=0.5)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.08)


def test_matching_again_never_lowers_accuracy() -> None:
    images = counts_of(random_images(5, 8))
    fixed = bootstrap_intervals(images, resamples=200)
    again = bootstrap_intervals(images, resamples=200, rematch=True)
    assert fixed.matching == "that of the whole set, kept"
    assert again.matching == "again in each resample"
    assert again.accuracy[0] >= fixed.accuracy[0]
    assert again.accuracy[1] >= fixed.accuracy[1]


def test_json_names_the_kind_of_interval() -> None:
    found = Intervals((1.0, 2.0), (3.0, 4.0), 1000, 7, 0, "that of the whole set, kept")
    assert json.loads(json.dumps(found.to_json())) == {
        "interval": "95 % percentile, images drawn with replacement",
        "accuracy": [1.0, 2.0],
        "miou": [3.0, 4.0],
        "resamples": 1000,
        "pictures": 7,
        "seed": 0,
        "matching": "that of the whole set, kept",
    }


@pytest.mark.parametrize("resamples", [-1, 0, 1, 99])
def test_too_few_resamples_are_named(resamples: int) -> None:
    with pytest.raises(
        ConfigError, match=f"a bootstrap of {resamples} resamples is too small; give"
    ):
        check_resamples(resamples)
    with pytest.raises(ConfigError, match="give 100 or more, or 0"):
        bootstrap_intervals(counts_of(random_images(0, 3)), resamples=resamples)


def test_a_bootstrap_that_would_never_end_is_refused() -> None:
    check_resamples(10**6)
    with pytest.raises(ConfigError, match="of 1000001 resamples would take for ever; give at most"):
        check_resamples(10**6 + 1)


def test_one_image_has_no_interval() -> None:
    matrices = [np.eye(2, dtype=np.int64), np.zeros((2, 2), np.int64)]
    with pytest.raises(DataError, match="1 image with labelled pixels; a bootstrap"):
        bootstrap_intervals(counts_of(matrices))


def test_a_given_mapping_is_kept() -> None:
    confusion = Confusion(2, 2, keep_images=True)
    for clusters in ([[1, 1, 0]], [[1, 0, 0]], [[1, 1, 0]]):
        confusion.update([[0, 0, 1]], clusters)
    right = bootstrap_intervals(confusion.images, mapping=(1, 0), resamples=100)
    assert right == replace(
        bootstrap_intervals(confusion.images, resamples=100), matching="none (classes by name)"
    )
    wrong = bootstrap_intervals(confusion.images, mapping=(0, 1), resamples=100)
    assert wrong.accuracy[1] < right.accuracy[0]
