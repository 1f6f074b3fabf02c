"""Which image next: summaries, doubt, and the order."""

from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from picie.annotation.events import new_event
from picie.annotation.queue import (
    ACCEPTED,
    Doubts,
    Summary,
    centroid_shares,
    doubts,
    image_order,
    next_images,
    spread,
    summaries,
    summarise,
    touched_images,
)
from picie.errors import DataError
from picie.inference.confidence import sharpness
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass


@pytest.fixture(scope="module")
def images(model: Segmenter, scenes: Path) -> list[Summary]:
    return list(summaries(model, scenes))


def test_a_summary_has_cells_of_a_regular_grid() -> None:
    maps = torch.arange(2 * 30 * 20, dtype=torch.float32).view(2, 30, 20) + 1
    one = summarise("a", maps)
    wanted = F.normalize(maps[:, 1::3, 1::2].flatten(1).T, dim=1)
    assert one.cells.shape == (100, 2)
    assert one.cells.dtype == np.float16
    assert torch.from_numpy(one.cells).float().allclose(wanted, atol=1e-3)
    assert summarise("small", maps[:, :4, :3]).cells.shape == (12, 2)


def test_a_folder_is_summarised_and_unreadable_images_are_listed(
    model: Segmenter, scenes: Path, images: list[Summary], tmp_path: Path
) -> None:
    names = sorted(path.stem for path in (scenes / "images").iterdir())
    assert [one.name for one in images] == names
    assert np.allclose(np.linalg.norm(images[0].cells.astype(float), axis=1), 1, atol=1e-3)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="broken"):
        list(summaries(model, tmp_path))
    Image.new("RGB", (64, 64)).save(tmp_path / "good.png")
    assert [one.name for one in summaries(model, tmp_path)] == ["good"]


def test_doubts_are_those_of_a_plain_loop(model: Segmenter, images: list[Summary]) -> None:
    found = doubts(model, images)
    factor = sharpness("cosine", model.clusters, learnt=False)
    for place, one in enumerate(images):
        cells = torch.from_numpy(one.cells).float()
        logits = model.classify(cells.T[None, :, :, None])[0, :, :, 0].T
        likely, best = (factor * logits).softmax(1).max(1)
        for number in range(model.clusters):
            here = best == number
            assert found.shares[place, number] == pytest.approx(float(here.float().mean()))
            doubt = float((1 - likely[here]).sum()) / len(cells)
            assert found.doubts[place, number] == pytest.approx(doubt, abs=1e-6)
    assert np.allclose(found.shares.sum(1), 1)
    assert np.allclose(np.linalg.norm(found.means, axis=1), 1)


def test_ignored_cells_have_no_share(model: Segmenter, images: list[Summary]) -> None:
    ignored = NamedClass("ignore", (0,), ignore=True)
    named = model.named(ClassNames(model.clusters, (NamedClass("a", (1,)), ignored)))
    plain, found = doubts(model, images), doubts(named, images)
    assert found.shares.shape == (len(images), named.clusters)
    assert np.allclose(found.shares.sum(1), 1 - plain.shares[:, 0], atol=1e-6)


def test_shares_of_centroids_sum_to_one(model: Segmenter, images: list[Summary]) -> None:
    shares = centroid_shares(model, images)
    assert len(shares) == len(model.network.view_centroids(0)[0])
    assert sum(shares) == pytest.approx(1)


def test_summaries_of_another_model_are_refused(model: Segmenter) -> None:
    with pytest.raises(DataError, match="summaries are of another model"):
        doubts(model, [Summary("a", np.ones((1, 3), np.float16))])
    with pytest.raises(DataError, match="no images to choose from"):
        doubts(model, [])


def known(doubts: list[list[float]], angles: list[float], share: float = 0.1) -> Doubts:
    """Images with doubts (I, N), and mean features at these angles in a plane."""
    values = np.array(doubts, np.float32)
    means = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    return Doubts(np.full_like(values, share), values, means)


def test_doubt_about_a_large_part_of_a_rare_class_comes_first() -> None:
    values = known([[0.3, 0.0], [0.0, 0.1], [0.1, 0.0]], [0, 1.5, 3])
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [1, 0]], np.float32)
    order, gain = image_order(
        Doubts(shares, values.doubts, values.means), np.zeros(3, np.int64), first=0
    )
    assert gain == pytest.approx([0.3 / 0.9, 0.1 / 0.1, 0.1 / 0.9])
    assert order.tolist() == [1, 0, 2]


def test_the_first_images_are_spread_over_the_folder() -> None:
    images = known([[0.1 * number] for number in range(8)], [0.0] * 8)
    assert image_order(images, np.zeros(8, np.int64))[0].tolist() == [0, 4, 2, 6, 1, 5, 3, 7]
    touched = np.array([30, 0, 0, 0, 9, 0, 0, ACCEPTED])
    assert image_order(images, touched)[0].tolist() == [2, 6, 1, 5, 3, 4, 0, 7]
    touched[0] += 1
    assert image_order(images, touched)[0].tolist() == [6, 5, 3, 2, 1, 4, 0, 7]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 129])
def test_every_image_has_a_place_in_the_spread(count: int) -> None:
    order = spread(count)
    assert sorted(order.tolist()) == list(range(count))
    gaps = np.diff(np.sort(order[: max(1, count // 2)]))
    assert not len(gaps) or gaps.max() <= 4


def test_an_image_like_one_that_was_touched_waits() -> None:
    images = known([[0.3], [0.3], [0.2]], [0, 0.1, 1.5])
    assert image_order(images, np.array([40, 0, 0]))[0].tolist() == [2, 1, 0]


def test_images_at_the_front_keep_apart() -> None:
    images = known([[0.3], [0.29], [0.2]], [0, 0.1, 1.5])
    fresh = np.zeros(3, np.int64)
    assert image_order(images, fresh, first=0)[0].tolist() == [0, 2, 1]
    assert image_order(images, fresh, first=0, apart=0)[0].tolist() == [0, 1, 2]


def test_touched_images_come_last_and_seldom_ones_before_others() -> None:
    images = known([[0.9], [0.5], [0.1], [0.2]], [0, 0.5, 1, 1.5])
    order = image_order(images, np.array([2, 1, 0, ACCEPTED]), first=0)[0]
    assert order.tolist() == [2, 1, 0, 3]
    assert image_order(images, np.ones(4, np.int64), first=0)[0].tolist() == [0, 1, 3, 2]


def test_every_image_has_its_place_even_if_nothing_is_in_doubt() -> None:
    images = known([[0.0]] * 5, [0.0] * 5, share=0.0)
    order, gain = image_order(images, np.zeros(5, np.int64), first=0)
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4]
    assert not gain.any()


def test_names_of_images_come_in_their_order(model: Segmenter, images: list[Summary]) -> None:
    order = next_images(model, images)
    assert sorted(order) == sorted(one.name for one in images)
    assert next_images(model, images, {order[0]: 1})[-1] == order[0]


def test_marks_and_accepted_masks_touch_an_image() -> None:
    image = {"size": [9, 9], "digest": ""}
    events = [
        new_event("test", act="stroke", image="a", points=[[1, 1]], title="x", **image),
        new_event("test", act="box", image="a", box=[1, 1, 3, 3], title="x", **image),
        new_event("test", act="accept", image="b", **image),
        new_event("test", act="audit", image="c", point=[1, 1], predicted="x", right=True, **image),
    ]
    assert touched_images(events) == {"a": 2, "b": ACCEPTED}


def test_ten_thousand_images_are_ordered_quickly() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(10_000, 128)).astype(np.float32)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    shares = rng.random((10_000, 12)).astype(np.float32)
    touched = np.zeros(10_000, np.int64)
    touched[:200] = 1
    start = perf_counter()
    order, _ = image_order(Doubts(shares, shares, means), touched)
    assert perf_counter() - start < 1  # about 0.04 s; other tests may run beside it
    assert len(set(order.tolist())) == 10_000
