import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from picie.config import Config
from picie.data import cache, crop_loader
from picie.data.cache import CropCache
from picie.data.crop_loader import BaseCrops, load_batches, open_crops
from picie.data.folder import Photo, open_folder
from picie.data.images import read_image, read_square, square_crop
from picie.types import Batch

SIZE = 32
COUNT = 7
BROKEN = 4
BYTES = 3 * SIZE * SIZE
WORKERS = [0, 1, 3]
WAIT = 30.0  # seconds, for what comes at once
Crops = Callable[..., BaseCrops]


def plan(order: Sequence[int], batch_size: int) -> list[list[int]]:
    return [list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Photo, ...]:
    rng = np.random.default_rng(0)
    for index in range(COUNT):
        array = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(array).save(tmp_path / f"{index}.png")
    (tmp_path / f"{BROKEN}.png").write_bytes(b"broken")
    return open_folder(tmp_path).photos


@pytest.fixture
def make(photos: tuple[Photo, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crops:
    """Crops with room for so many of them in memory, or in a file."""
    monkeypatch.setattr(cache, "_MB", BYTES)

    def make(memory: int = COUNT, disk: int = 0) -> BaseCrops:
        folder = tmp_path / "cache"
        kept = CropCache(COUNT, SIZE, memory_mb=memory, disk_mb=disk, folder=folder)
        assert kept.capacity == max(memory, disk)
        return BaseCrops(photos, SIZE, kept)

    return make


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "picie-read"]


def load(crops: BaseCrops, order: list[int], workers: int = 0, batch_size: int = 3) -> list[Batch]:
    return list(load_batches(crops, plan(order, batch_size), workers=workers, device="cpu"))


def expected(photo: Photo) -> NDArray[np.uint8]:
    return square_crop(read_image(photo.path), SIZE).transpose(2, 0, 1)


def test_one_crop(photos: tuple[Photo, ...], make: Crops) -> None:
    crops = make()
    assert len(crops) == COUNT
    for _ in range(2):  # read, then from the cache
        crop = np.empty((3, SIZE, SIZE), np.uint8)
        assert crops.read(2, crop) == ""
        np.testing.assert_array_equal(crop, expected(photos[2]))
        crop[...] = 0  # what callers do to it must not reach the cache


def test_an_unreadable_image_has_a_reason_and_is_not_kept(
    photos: tuple[Photo, ...], make: Crops
) -> None:
    crops = make()
    for _ in range(2):
        reason = crops.read(BROKEN, np.empty((3, SIZE, SIZE), np.uint8))
        assert reason.startswith(f"{photos[BROKEN].path}: cannot be read as an image")
    assert not crops.cache.holds(BROKEN)


@pytest.mark.parametrize("index", [-1, COUNT])
def test_index_out_of_range(make: Crops, index: int) -> None:
    with pytest.raises(IndexError, match=f"image {index} of {COUNT}"):
        make().read(index, np.empty((3, SIZE, SIZE), np.uint8))


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(("memory", "disk"), [(0, 0), (3, 0), (COUNT, 0), (0, 3), (0, COUNT)])
def test_batches_are_the_same_whatever_reads_and_keeps_them(
    photos: tuple[Photo, ...], make: Crops, workers: int, memory: int, disk: int
) -> None:
    crops = make(memory, disk)
    order = [6, 0, 5, BROKEN, 1, 3, 2]
    for _ in range(2):
        batches = load(crops, order, workers)
        assert [batch.indices.tolist() for batch in batches] == [[6, 0, 5], [1, 3], [2]]
        for batch in batches:
            assert (batch.indices.dtype, batch.images.dtype) == (torch.int64, torch.uint8)
            assert batch.images.is_contiguous()
            for index, image in zip(batch.indices.tolist(), batch.images, strict=True):
                np.testing.assert_array_equal(image.numpy(), expected(photos[index]))
        assert list(crops.unreadable) == [photos[BROKEN].path]
        assert "cannot be read as an image" in crops.unreadable[photos[BROKEN].path]
    kept = [index for index in range(COUNT) if crops.cache.holds(index)]
    assert kept == [index for index in range(max(memory, disk)) if index != BROKEN]
    crops.close()


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("disk", [0, COUNT])
def test_cached_images_are_not_read_again(
    photos: tuple[Photo, ...], make: Crops, workers: int, disk: int
) -> None:
    crops = make(COUNT - disk, disk)
    before = load(crops, [0, 1, 2], workers)
    for photo in photos:
        photo.path.unlink()
    after = load(crops, [0, 1, 2], workers)
    assert torch.equal(before[0].images, after[0].images)
    crops.close()


def test_a_batch_is_not_overwritten_by_later_ones(make: Crops) -> None:
    crops = make()
    batches = load_batches(crops, plan([0, 1, 2, 3, 5, 6], 2), workers=1, device="cpu")
    first = next(batches)
    before = first.images.clone()
    list(batches)
    assert torch.equal(first.images, before)


def test_a_batch_with_nothing_left_is_left_out(make: Crops) -> None:
    crops = make()
    assert [b.indices.tolist() for b in load(crops, [BROKEN, 1], batch_size=1)] == [[1]]
    assert load(crops, []) == []


@pytest.mark.parametrize("workers", WORKERS)
def test_global_random_state_is_left_alone(make: Crops, workers: int) -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]
    load(make(), [0, 1], workers)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]


def test_threads_are_chosen_from_the_cores(make: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    crops = make()
    many = plan(list(range(COUNT)) * 9, 4)
    for cores, chosen in [(1, 1), (2, 1), (4, 3), (64, 8)]:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: range(n), raising=False)
        assert crop_loader._choose_threads(crops, many, -1) == chosen
        assert crop_loader._choose_threads(crops, many, 5) == 5
        assert crop_loader._choose_threads(crops, many, 0) == 0
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert crop_loader._choose_threads(crops, many, -1) == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert crop_loader._choose_threads(crops, many, -1) == 1


def test_one_thread_is_enough_where_nothing_is_decoded(make: Crops) -> None:
    crops = make()
    assert crop_loader._choose_threads(crops, plan([0, 1], 2), 8) == 2
    load(crops, [0, 1, 2])
    assert crop_loader._choose_threads(crops, plan([2, 1, 0], 2), 8) == 1
    assert crop_loader._choose_threads(crops, plan([2, 1, 0], 2), 0) == 0
    assert crop_loader._choose_threads(crops, plan([0, 1, 2, 3, 5], 2), 8) == 2
    assert crop_loader._choose_threads(crops, [], 8) == 1


def test_minus_one_gives_the_same_batches(make: Crops) -> None:
    assert [b.indices.tolist() for b in load(make(), [3, 2, 1, 0], -1)] == [[3, 2, 1], [0]]


def test_the_next_batches_are_read_while_the_caller_has_one(
    make: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Semaphore(0)

    def counted(path: Path, size: int, *how: Any) -> NDArray[np.uint8]:
        square = read_square(path, size, *how)
        done.release()
        return square

    monkeypatch.setattr(crop_loader, "read_square", counted)
    batches = load_batches(make(), plan([0, 1, 2, 3, 5, 6], 1), workers=1, device="cpu")
    next(batches)
    for _ in range(3):
        assert done.acquire(timeout=WAIT)
    assert not done.acquire(timeout=0.05)  # and no more than two ahead
    batches.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", WORKERS)
def test_other_errors_pass_through(
    make: Crops, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    def fail(path: Path, size: int, *how: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(crop_loader, "read_square", fail)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        load(make(), [0], workers=workers)


def test_stopping_early_ends_the_threads(make: Crops) -> None:
    for batch in load_batches(make(), plan(range(COUNT), 1), workers=2, device="cpu"):
        assert batch.indices.tolist() == [0]
        assert len(readers()) == 2
        break
    assert readers() == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_of_the_consumer_ends_the_threads(make: Crops, error: type[BaseException]) -> None:
    def consume() -> None:
        for _ in load_batches(make(), plan(range(COUNT), 1), workers=2, device="cpu"):
            assert len(readers()) == 2
            raise error

    with pytest.raises(error):
        consume()
    assert readers() == []


def test_closing_ends_the_threads_of_a_broken_off_iteration(make: Crops) -> None:
    crops = make(0, COUNT)
    batches = load_batches(crops, plan(range(COUNT), 1), workers=2, device="cpu")
    next(batches)
    assert readers()
    crops.close()
    assert readers() == []
    assert crops.cache.capacity == 0


# --- where a run keeps its crops


def test_crops_of_a_run(photos: tuple[Photo, ...], tmp_path: Path) -> None:
    run = tmp_path / "run" / "cache"
    for settings, capacity, on_disk in [
        ({}, COUNT, False),
        ({"cache_mb": 0}, COUNT, True),
        ({"cache_mb": 0, "cache_disk_mb": 0}, 0, False),
        ({"cache_mb": 1, "base_size": 400, "cache_disk_mb": 0}, 2, False),  # 480,000 bytes each
        ({"cache_mb": 1, "base_size": 400, "cache_disk_mb": 2}, 4, True),
    ]:
        crops = open_crops(photos, Config(**settings), run)
        assert (crops.cache.capacity, crops.cache.on_disk) == (capacity, on_disk)
        assert crops.size == settings.get("base_size", 320)
        assert not run.exists()  # a file without a name needs no folder
        crops.close()


def test_a_chosen_folder_is_made_and_kept(photos: tuple[Photo, ...], tmp_path: Path) -> None:
    config = Config(cache_mb=0, cache_dir=str(tmp_path / "scratch" / "mine"))
    crops = open_crops(photos, config, tmp_path / "run" / "cache")
    assert crops.cache.on_disk
    crops.close()
    assert list((tmp_path / "scratch" / "mine").iterdir()) == []
    assert not (tmp_path / "run").exists()


def test_empty_batches_are_kept_where_others_count_on_them(make: Crops) -> None:
    wanted = [[0], [], [4], [4, 1]]  # 4 cannot be read
    kept = list(load_batches(make(), wanted, workers=1, device="cpu", keep_empty=True))
    assert [batch.indices.tolist() for batch in kept] == [[0], [], [], [1]]
    assert [len(batch.images) for batch in kept] == [1, 0, 0, 1]
    left = list(load_batches(make(), wanted, workers=1, device="cpu"))
    assert [batch.indices.tolist() for batch in left] == [[0], [1]]
