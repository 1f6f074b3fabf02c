import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from picie.data import loading
from picie.data.folder import Photo, open_folder
from picie.data.images import read_image, square_crop
from picie.data.loading import BaseCrops, load_batches
from picie.errors import DataError
from picie.types import Batch

SIZE = 32
COUNT = 7
BROKEN = 4
PLENTY = 10
BYTES = 3 * SIZE * SIZE
WORKERS = [0, pytest.param(2, marks=pytest.mark.skipif(sys.platform != "linux", reason="forks"))]


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Photo, ...]:
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        array = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(array).save(tmp_path / f"{index}.png")
    (tmp_path / f"{BROKEN}.png").write_bytes(b"broken")
    return open_folder(tmp_path).photos


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def with_capacity(photos: tuple[Photo, ...], capacity: int, monkeypatch: Any) -> BaseCrops:
    """MB are too coarse for tiny crops: a cache as if `capacity` of them fitted."""
    crops = BaseCrops(photos, SIZE, 0)
    crops.capacity = capacity
    crops.cache = loading._shared_zeros(capacity * BYTES).view(-1, 3, SIZE, SIZE)
    crops.filled = loading._shared_zeros(capacity)
    return crops


def load(crops: BaseCrops, order: list[int], workers: int = 0, batch_size: int = 3) -> list[Batch]:
    return list(load_batches(crops, order, batch_size, workers=workers, device="cpu"))


def expected(photo: Photo) -> np.ndarray[Any, Any]:
    return square_crop(read_image(photo.path), SIZE).transpose(2, 0, 1)


def test_one_crop(photos: tuple[Photo, ...]) -> None:
    crops = BaseCrops(photos, SIZE, PLENTY)
    for _ in range(2):  # read, then from the cache
        index, crop, reason = crops[2]
        assert (index, reason, crop.dtype) == (2, "", torch.uint8)
        np.testing.assert_array_equal(crop.numpy(), expected(photos[2]))
        crop.zero_()  # what callers do to it must not reach the cache


def test_unreadable_picture_is_zero_with_a_reason(photos: tuple[Photo, ...]) -> None:
    crops = BaseCrops(photos, SIZE, PLENTY)
    for _ in range(2):
        _, crop, reason = crops[BROKEN]
        assert not crop.any()
        assert reason.startswith(f"{photos[BROKEN].path}: cannot be read as a picture")
    assert crops.filled[BROKEN] == 2


@pytest.mark.parametrize("index", [-1, COUNT])
def test_index_out_of_range(photos: tuple[Photo, ...], index: int) -> None:
    with pytest.raises(IndexError, match=f"picture {index} of {COUNT}"):
        BaseCrops(photos, SIZE, PLENTY)[index]


def test_capacity_in_megabytes(photos: tuple[Photo, ...]) -> None:
    assert BaseCrops(photos, SIZE, 1).capacity == COUNT
    assert BaseCrops(photos, 400, 1).capacity == 2  # 480,000 bytes each
    assert BaseCrops(photos, SIZE, 0).capacity == 0
    assert len(BaseCrops(photos, SIZE, 0)) == COUNT


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("capacity", [0, 3, COUNT])
def test_batches_keep_the_order_whatever_reads_them(
    photos: tuple[Photo, ...], workers: int, capacity: int, monkeypatch: Any
) -> None:
    crops = with_capacity(photos, capacity, monkeypatch)
    order = [6, 0, 5, BROKEN, 1, 3, 2]
    for _ in range(2):
        batches = load(crops, order, workers)
        assert [batch.indices.tolist() for batch in batches] == [[6, 0, 5], [1, 3], [2]]
        for batch in batches:
            assert (batch.indices.dtype, batch.images.dtype) == (torch.int64, torch.uint8)
            for index, image in zip(batch.indices.tolist(), batch.images, strict=True):
                np.testing.assert_array_equal(image.numpy(), expected(photos[index]))
        assert list(crops.unreadable) == [photos[BROKEN].path]
        assert "cannot be read as a picture" in crops.unreadable[photos[BROKEN].path]
    assert crops.filled.tolist() == [2 if i == BROKEN else 1 for i in range(capacity)]


@pytest.mark.parametrize("workers", WORKERS)
def test_cached_pictures_are_not_read_again(photos: tuple[Photo, ...], workers: int) -> None:
    crops = BaseCrops(photos, SIZE, PLENTY)
    before = load(crops, [0, 1, 2], workers)
    for photo in photos:
        photo.path.unlink()
    after = load(crops, [0, 1, 2], workers)
    assert torch.equal(before[0].images, after[0].images)


def test_a_batch_with_nothing_left_is_left_out(photos: tuple[Photo, ...]) -> None:
    crops = BaseCrops(photos, SIZE, PLENTY)
    assert [b.indices.tolist() for b in load(crops, [BROKEN, 1], batch_size=1)] == [[1]]
    assert load(crops, []) == []


@pytest.mark.parametrize("workers", WORKERS)
def test_global_random_state_is_left_alone(photos: tuple[Photo, ...], workers: int) -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]
    load(BaseCrops(photos, SIZE, PLENTY), [0, 1], workers)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]


def test_workers_are_chosen_from_the_cores(photos: tuple[Photo, ...], monkeypatch: Any) -> None:
    monkeypatch.setattr(loading, "_LINUX", True)
    crops = BaseCrops(photos, SIZE, PLENTY)
    for cores, chosen in [(1, 0), (4, 3), (64, 8)]:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: range(n), raising=False)
        assert loading._choose_workers(crops, 100) == chosen
    assert loading._choose_workers(crops, 2) == 2
    load(crops, list(range(COUNT)))
    assert crops.complete
    assert loading._choose_workers(crops, 100) == 0


def test_a_part_in_the_cache_is_not_complete(photos: tuple[Photo, ...], monkeypatch: Any) -> None:
    crops = with_capacity(photos, 3, monkeypatch)
    load(crops, list(range(COUNT)))
    assert not crops.complete


def test_minus_one_gives_the_same_batches(photos: tuple[Photo, ...]) -> None:
    crops = BaseCrops(photos, SIZE, PLENTY)
    assert [b.indices.tolist() for b in load(crops, [3, 2, 1, 0], -1)] == [[3, 2, 1], [0]]


def test_without_fork_memory_is_shared_by_torch(photos: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(loading, "_LINUX", False)
    crops = BaseCrops(photos, SIZE, PLENTY)
    assert crops.cache.is_shared()
    assert loading._choose_workers(crops, 100) == 0
    assert len(load(crops, [0, 1], -1)[0].indices) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_killed_worker_is_an_error_not_a_hang(photos: Any, monkeypatch: Any) -> None:
    def die(path: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(loading, "read_image", die)
    with pytest.raises(DataError, match=r"a process that reads pictures died, .* fewer workers"):
        load(BaseCrops(photos, SIZE, PLENTY), [0, 1, 2], workers=1)


@pytest.mark.parametrize("workers", WORKERS)
def test_other_errors_pass_through(photos: Any, monkeypatch: Any, workers: int) -> None:
    def fail(path: Path) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(loading, "read_image", fail)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        load(BaseCrops(photos, SIZE, PLENTY), [0], workers=workers)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_stopping_early_ends_the_workers(photos: tuple[Photo, ...]) -> None:
    crops = BaseCrops(photos, SIZE, PLENTY)
    batches = load_batches(crops, list(range(COUNT)), 1, workers=2, device="cpu")
    assert next(batches).indices.tolist() == [0]
    assert multiprocessing.active_children()
    del batches
