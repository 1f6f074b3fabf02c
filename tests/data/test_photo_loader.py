"""Images read ahead, and put together by size."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import picie.data.photo_loader
from picie.data.folder import Photo, open_folder
from picie.data.images import network_input, read_image
from picie.data.photo_loader import LoadedPhoto, in_batches, read_ahead
from picie.data.prefetch import Prefetch, photo_workers
from picie.errors import DataError
from picie.runtime.storage import Store


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    """Twelve images; the third cannot be read."""
    made = []
    for number in range(12):
        path = tmp_path / f"{number:02}.png"
        Image.new("RGB", (40 + number, 32), (number, 0, 0)).save(path)
        made.append(Photo(str(path), path.stem, None))
    made[2].path.write_text("no image")
    return made


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_images_come_in_their_order(photos: list[Photo], workers: int) -> None:
    for ahead in [0, 1, 5, 100]:
        found = list(read_ahead(photos, 32, ahead=ahead, workers=workers))
        assert [one.photo for one in found] == photos
        for one in found:
            if one.photo is photos[2]:
                assert (one.image.shape, one.pixels) == ((0, 0, 3), None)
                assert "02.png: cannot be read as an image" in one.problem
                continue
            assert one.problem == ""
            assert np.array_equal(one.image, read_image(one.photo.path))
            assert one.pixels is not None
            assert torch.equal(one.pixels, network_input(one.image, 32))


class AtOnce(Prefetch[Photo, LoadedPhoto]):
    """Does its work when it gets it, so that what is read ahead can be counted."""

    def __init__(self, *args: Any, threads: int, **options: Any) -> None:
        super().__init__(*args, threads=0, **options)
        if threads:
            self._threads = [threading.Thread(target=int)]
            self._threads[0].start()
            self._todo = AtOnceQueue(self._work)


class AtOnceQueue(queue.SimpleQueue[Any]):
    """Works on a task when it is put in."""

    def __init__(self, work: Callable[[Photo], LoadedPhoto]) -> None:
        self.work = work

    def put(self, job: Any, *_: Any) -> None:
        if job is not None:
            job[0].set_result(self.work(job[1]))


@pytest.mark.parametrize(("workers", "ahead", "expected"), [(0, 9, 1), (1, 0, 1), (1, 3, 3)])
def test_no_more_is_read_ahead_than_asked(
    photos: list[Photo],
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    ahead: int,
    expected: int,
) -> None:
    read = spy_on_reading(monkeypatch)
    stream = read_ahead(photos, 32, ahead=ahead, workers=workers)
    assert len(read) == 0
    for number in range(4):
        next(stream)
        assert len(read) == number + expected


def test_large_images_do_not_pile_up(photos: list[Photo], monkeypatch: pytest.MonkeyPatch) -> None:
    read = spy_on_reading(monkeypatch)
    monkeypatch.setattr(picie.data.photo_loader, "_MOST_PIXELS", 1)
    for number, _ in enumerate(read_ahead(photos, 32, ahead=9, workers=1), 1):
        assert number <= len(read) <= number + 1  # one that cannot be read has no pixels
    assert len(read) == 12


def test_threads_end_with_the_stream(photos: list[Photo]) -> None:
    stream = read_ahead(photos, 32, ahead=3, workers=2)
    next(stream)
    assert [one for one in threading.enumerate() if one.name.startswith("picie-read")]
    del stream
    assert not [one for one in threading.enumerate() if one.name.startswith("picie-read")]


def test_an_error_that_is_no_image_error_is_not_swallowed(
    photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(picie.data.photo_loader, "read_image", fail)
    with pytest.raises(MemoryError):
        list(read_ahead(photos, 32, ahead=4, workers=2))


def test_workers_are_chosen_from_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    for device in (cpu, gpu):
        assert [photo_workers(count, device) for count in (0, 1, 5)] == [0, 1, 5]
    for cores, beside_cpu, beside_gpu in ((1, 0, 1), (2, 1, 1), (4, 2, 2), (64, 8, 8)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, n=cores: set(range(n)), raising=False)
        assert photo_workers(-1, cpu) == beside_cpu
        assert photo_workers(-1, gpu) == beside_gpu


# --- batches


def make_images(shapes: str) -> Iterator[LoadedPhoto]:
    """One image per letter, of a size per letter; "-" is one that cannot be read."""
    for number, letter in enumerate(shapes):
        size = 32 * (1 + ord(letter) - ord("a"))
        pixels = None if letter == "-" else torch.zeros(3, 32, size, dtype=torch.uint8)
        image = np.zeros((0 if letter == "-" else 1, 1, 3), np.uint8)
        yield LoadedPhoto(Photo(letter, f"{letter}{number}", None), image, pixels)


def batches(shapes: str, batch_size: int) -> list[str]:
    """The names of each batch; checks that each image comes in its place with its own mask."""
    seen: list[str] = []

    def apply(
        batch: Sequence[LoadedPhoto],
    ) -> list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
        seen.append(" ".join(one.photo.name for one in batch))
        return [np.full((1, 1), int(one.photo.name[1:])) for one in batch]

    found = list(in_batches(make_images(shapes), batch_size, apply))
    assert [one.photo.name for one, _ in found] == [one.photo.name for one in make_images(shapes)]
    for number, (one, mask) in enumerate(found):
        assert (mask is None) == (one.pixels is None)
        assert mask is None or mask.item() == number
    return seen


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ("", []),
        ("--", []),
        ("aaaaa", ["a0 a1", "a2 a3", "a4"]),
        ("abab", ["a0 a2", "b1 b3"]),
        ("a-a", ["a0 a2"]),
        ("-ab", ["a1", "b2"]),
        ("abbbcbbba", ["a0", "b1 b2", "b3 b5", "c4", "b6 b7", "a8"]),  # a0 waited for a window
    ],
)
def test_images_of_one_size_go_together(shapes: str, expected: list[str]) -> None:
    assert batches(shapes, 2) == expected


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_alternating_sizes_fill_their_batches(batch_size: int) -> None:
    sizes = [len(names.split()) for names in batches("abc" * 16, batch_size)]
    assert sum(sizes) == 48
    assert max(sizes) == batch_size
    assert len(sizes) <= 48 // batch_size + 3


def test_large_images_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picie.data.photo_loader, "_MOST_PIXELS", 2)
    assert batches("abab", 4) == ["a0", "b1", "a2", "b3"]


def spy_on_reading(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []

    def spy(path: Path, *how: Any) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        read.append(path)
        return read_image(path, *how)

    monkeypatch.setattr(picie.data.photo_loader, "read_image", spy)
    monkeypatch.setattr(picie.data.photo_loader, "Prefetch", AtOnce)
    return read


@pytest.mark.parametrize("workers", [0, 2])
def test_photos_in_a_storage_are_fetched_once_and_named(
    tmp_path: Path, stored: Callable[..., str], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    for number in range(4):
        Image.new("RGB", (40, 30), (number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_text("no image")
    address, fetched = stored(tmp_path), list[str]()
    photos = open_folder(address).photos
    Store(address).remove(f"{address}/3.png")
    download = Store.download

    def counted(store: Store, file: str, to: Path) -> None:
        fetched.append(file)
        download(store, file, to)

    monkeypatch.setattr(Store, "download", counted)
    found = list(read_ahead(photos, 32, ahead=3, workers=workers))
    assert sorted(fetched) == [photo.file for photo in photos]
    assert [int(one.image[0, 0, 0]) for one in found[:2]] == [0, 1]
    assert found[2].problem.startswith(f"{address}/2.png: cannot be read as an image")
    assert found[3].problem.startswith(f"{address}/3.png: cannot be read (there is no such file)")


def test_a_storage_that_is_gone_is_not_asked_for_every_photo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scenes: Path
) -> None:
    image = next((scenes / "images").iterdir()).read_bytes()
    asked: list[str] = []

    def download(self: Store, address: str, file: Path) -> None:
        asked.append(address)
        if "lost" in address:
            raise DataError(f"{address}: cannot be read") from TimeoutError()
        file.write_bytes(image)

    monkeypatch.setattr(Store, "download", download)

    def read(names: list[str], workers: int) -> list[str]:
        photos = [Photo(f"memory://b/{name}.jpg", name, None, stamp="1 x") for name in names]
        return [one.problem for one in read_ahead(photos, 32, ahead=2, workers=workers)]

    some = [f"lost {n}" if n % 4 else f"there {n}" for n in range(24)]
    assert sum(map(bool, read(some, 0))) == 18  # named, one by one
    for workers in (0, 2):
        asked.clear()
        with pytest.raises(DataError, match=r"8 files in a row could not be read; memory://b/lost"):
            read([f"lost {n}" for n in range(99)], workers)
        assert len(asked) < 20
