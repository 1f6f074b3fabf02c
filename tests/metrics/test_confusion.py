"""The confusion matrix against a slow loop and torchmetrics, and the counts of single images."""

from typing import Any

import numpy as np
import pytest
import torch

import picie.metrics.confusion
from picie.errors import DataError
from picie.metrics.confusion import Confusion, iou, mean, percent


@pytest.mark.parametrize(("classes", "clusters"), [(5, 5), (3, 7), (7, 3)])
def test_matrix_equals_the_loop_and_ignores_void(classes: int, clusters: int) -> None:
    generator = np.random.default_rng(0)
    expected = np.zeros((classes, clusters), dtype=np.int64)
    confusion = Confusion(classes, clusters)
    for _ in range(3):
        truth = generator.integers(0, classes, (4, 6))
        truth[generator.random(truth.shape) < 0.3] = 255
        found = generator.integers(0, clusters, (4, 6))
        confusion.update(truth, found)
        for true, cluster in zip(truth.ravel(), found.ravel(), strict=True):
            if true != 255:
                expected[true, cluster] += 1
    assert confusion.matrix.dtype == np.int64
    np.testing.assert_array_equal(confusion.matrix, expected)


@pytest.mark.filterwarnings("default")  # what torchmetrics imports is not this project's business
@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 9), (6, 2), (5, 300)])
def test_matrix_equals_torchmetrics(classes: int, clusters: int) -> None:
    from torchmetrics.classification import MulticlassConfusionMatrix

    generator = torch.Generator().manual_seed(1)
    oracle = MulticlassConfusionMatrix(max(classes, clusters), ignore_index=255)
    confusion = Confusion(classes, clusters)
    for _ in range(2):
        truth = torch.randint(0, classes, (2, 20, 20), generator=generator)
        truth[:, :3] = 255
        found = torch.randint(0, clusters, (2, 20, 20), generator=generator)
        oracle.update(found, truth)
        confusion.update(truth, found)
    expected = oracle.compute()[:classes, :clusters].numpy()
    np.testing.assert_array_equal(confusion.matrix, expected)


def test_cluster_255_is_a_cluster_and_not_void() -> None:
    confusion = Confusion(2, 300)
    confusion.update(torch.tensor([0, 1, 255]), torch.tensor([255, 255, 255]))
    assert confusion.matrix.sum() == 2
    assert confusion.matrix[:, 255].tolist() == [1, 1]


def test_cluster_ids_under_void_are_not_looked_at() -> None:
    confusion = Confusion(2, 2)
    confusion.update(torch.tensor([255, 0]), torch.tensor([77, 1]))
    assert confusion.matrix.tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
def test_integer_types_give_the_same_counts(kind: Any) -> None:
    confusion = Confusion(3, 3)
    confusion.update(np.array([[0, 2, 255]], dtype=kind), np.array([[1, 2, 0]], dtype=kind))
    assert confusion.matrix.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_matrix_is_a_copy() -> None:
    confusion = Confusion(2, 2)
    confusion.matrix[0, 0] = 5
    assert confusion.matrix.sum() == 0


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        ([0, 3], [0, 0], r"truth holds class id 3; use 255 for void \(known ids: 0 to 2\)"),
        ([0, -1], [0, 0], r"truth holds class id -1; .*0 to 2"),
        ([0, 1], [0, 4], r"clusters hold id 4; .*0 to 3"),
        ([0, 1], [-1, 0], r"clusters hold id -1; "),
        ([0, 1], [0], r"truth has shape \(2,\) and clusters \(1,\); resize them"),
        ([0.5, 1.0], [0, 0], r"truth has type torch.float32; give whole-number"),
        ([0, 1], [True, False], r"clusters has type torch.bool; give whole-number"),
    ],
)
def test_bad_pixels_are_named(truth: list[Any], found: list[Any], message: str) -> None:
    confusion = Confusion(3, 4)
    with pytest.raises(DataError, match=message):
        confusion.update(truth, found)
    assert confusion.matrix.sum() == 0


@pytest.mark.parametrize("classes", [0, 256])
def test_number_of_classes_is_checked(classes: int) -> None:
    with pytest.raises(DataError, match=f"{classes} classes cannot be scored; give 1 to 255"):
        Confusion(classes, 2)


def test_number_of_clusters_is_checked() -> None:
    with pytest.raises(DataError, match="0 clusters cannot be scored"):
        Confusion(2, 0)


# --- counts of single images


def test_counts_of_images_are_those_of_each_update() -> None:
    generator = np.random.default_rng(2)
    confusion, expected = Confusion(3, 70, keep_images=True), []
    for _ in range(4):
        truth = generator.choice([0, 1, 2, 255], (6, 7))
        found = generator.integers(0, 70, (6, 7))
        confusion.update(truth, found)
        alone = Confusion(3, 70)
        alone.update(truth, found)
        expected.append(alone.matrix)
    kept = confusion.images
    assert (len(kept), kept.num_classes, kept.num_clusters) == (4, 3, 70)
    for number, matrix in enumerate(expected):
        part = slice(kept.starts[number], kept.starts[number + 1])
        dense = np.zeros(3 * 70, dtype=np.int64)
        dense[kept.places[part]] = kept.counts[part]
        np.testing.assert_array_equal(dense.reshape(3, 70), matrix)
    assert kept.counts.min() >= 1
    assert kept.places.dtype == kept.counts.dtype == np.dtype(np.int32)


def test_images_without_a_labelled_pixel_are_not_kept() -> None:
    confusion = Confusion(2, 2, keep_images=True)
    confusion.update([[255, 255]], [[0, 1]])
    confusion.update([[0, 255]], [[1, 1]])
    assert len(confusion.images) == 1
    assert confusion.images.places.tolist() == [1]


def test_images_are_only_kept_when_asked_for() -> None:
    confusion = Confusion(2, 2)
    confusion.update([0, 1], [0, 1])
    assert len(confusion.images) == 0
    assert len(Confusion(2, 2, keep_images=True).images) == 0


# --- per cent, and where there is none


def test_percent_of_nothing_is_undefined() -> None:
    np.testing.assert_equal(percent(np.array([1, 0]), np.array([4, 0])), [25.0, np.nan])


def test_iou_by_hand() -> None:
    hits, rows, columns = np.array([3, 0, 0]), np.array([4, 2, 0]), np.array([6, 0, 5])
    np.testing.assert_allclose(iou(hits, rows, columns), [300 / 7, 0.0, np.nan])
    assert iou(hits * 0, rows * 0, columns * 0, true=rows).tolist()[:2] == [0, 0]


def test_iou_works_on_many_sets_at_once() -> None:
    rng = np.random.default_rng(0)
    hits = rng.integers(0, 5, (3, 4))
    rows, columns = hits + rng.integers(0, 3, (3, 4)), hits + rng.integers(0, 3, (3, 4))
    together = iou(hits, rows, columns)
    for number in range(3):
        np.testing.assert_array_equal(
            together[number], iou(hits[number], rows[number], columns[number])
        )


def test_mean_leaves_out_what_is_undefined() -> None:
    assert mean(np.array([1.0, np.nan, 4.0])) == pytest.approx(2.5)
    assert mean(np.array([np.nan])) is None


def test_all_pixels_are_counted_with_void_and_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picie.metrics.confusion, "_CHUNK", 2)
    confusion = Confusion(2, 3, keep_images=True)
    confusion.update([[0, 1, 255], [1, 1, 0]], [[2, 0, 0], [0, 1, 2]])
    confusion.update([[255]], [[0]])
    assert confusion.pixels == 7
    assert confusion.matrix.tolist() == [[0, 0, 2], [2, 1, 0]]
    assert len(confusion.images) == 1
