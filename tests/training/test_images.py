"""The list of a run's images: which changes are noticed, and which do not matter."""

import json
import os
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from picie.config import make_config
from picie.data.folder import Photo, open_folder
from picie.errors import DataError, ModelError
from picie.runtime.storage import Store
from picie.training.images import Changes, check_images, compare_images, image_lines


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    draws = np.random.default_rng(0)
    for number in range(5):
        pixels = draws.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.bmp")
    Image.fromarray(pixels).save(folder / "inner" / "a.png")
    large = draws.integers(0, 256, (500, 700, 3), dtype=np.uint8)
    Image.fromarray(large).save(folder / "large.bmp")
    return folder


@pytest.fixture
def listed(photos: Path, tmp_path: Path) -> Path:
    path = tmp_path / "images.jsonl"
    path.write_text("".join(image_lines(open_folder(photos).photos)))
    return path


def changes(listed: Path, photos: Path) -> Changes:
    return compare_images(listed, open_folder(photos).photos)


def test_the_same_images_are_the_same(photos: Path, listed: Path) -> None:
    assert not changes(listed, photos)
    assert str(changes(listed, photos)) == ""
    first, *lines = listed.read_text().splitlines()
    assert json.loads(first)["images"] == len(lines) == 7
    assert [json.loads(line)[0] for line in lines] == ["0", "1", "2", "3", "4", "inner/a", "large"]


def test_touched_and_copied_images_are_the_same(photos: Path, listed: Path, tmp_path: Path) -> None:
    for path in photos.rglob("*.bmp"):
        os.utime(path)
    assert not changes(listed, photos)
    copy = tmp_path / "copy"
    shutil.copytree(photos, copy, copy_function=shutil.copyfile)
    assert not changes(listed, copy)


def test_removed_added_and_changed_images_are_named(photos: Path, listed: Path) -> None:
    for number in range(4):
        (photos / f"{number}.bmp").unlink()
    shutil.copy(photos / "4.bmp", photos / "new.bmp")
    (photos / "inner" / "a.png").write_bytes(b"another length")
    found = changes(listed, photos)
    assert found == Changes(("0", "1", "2", "3"), ("new",), ("inner/a",))
    assert str(found) == "4 removed (0, 1, 2, ...), 1 added (new), 1 changed (inner/a)"


@pytest.mark.parametrize("name", ["0.bmp", "large.bmp"])
@pytest.mark.parametrize("place", [0.01, 0.34, 0.5, 0.99])
def test_another_image_of_the_same_length_is_another(
    photos: Path, listed: Path, name: str, place: float
) -> None:
    path = photos / name
    data = bytearray(path.read_bytes())
    start = int(place * len(data))
    if name == "large.bmp":  # of large files, only blocks are read
        start, data[:] = 0, data[:54] + bytes(255 - one for one in data[54:])
    data[start] ^= 255
    path.write_bytes(data)
    assert changes(listed, photos) == Changes(changed=(path.stem,))


def test_a_file_that_is_gone_or_no_file_differs(photos: Path, listed: Path) -> None:
    before = open_folder(photos).photos
    (photos / "0.bmp").unlink()
    (photos / "1.bmp").unlink()
    os.mkfifo(photos / "1.bmp")
    assert compare_images(listed, before).changed == ("0", "1")


def test_files_that_cannot_be_read_are_listed_too(photos: Path, tmp_path: Path) -> None:
    gone = Photo(str(photos / "gone.bmp"), "gone", None)
    odd = Photo(str(photos / "0.bmp"), "caf\udce9 \x1b\n", None)
    path = tmp_path / "list"
    path.write_text("".join(image_lines([gone, odd])))
    assert not compare_images(path, [gone, odd])
    found = compare_images(path, [Photo(str(photos / "1.bmp"), "gone", None)])
    assert str(found) == "1 removed (caf\\udce9 \\x1b\\n), 1 changed (gone)"


def test_runs_of_earlier_versions_have_no_list(photos: Path, tmp_path: Path) -> None:
    assert not changes(tmp_path / "gone", photos)


def test_a_list_that_is_no_file_is_not_waited_for(photos: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "images.jsonl")
    with pytest.raises(ModelError, match=r"images.jsonl: cannot be read \(it is a pipe"):
        changes(tmp_path / "images.jsonl", photos)


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (0, "", "line 1: '' is not the beginning of such a file; restore the file, or remove it"),
        (0, "[1]", r"line 1: \[1\] is not the beginning"),
        (0, '{"kind": "masks"}', "line 1: .* is not the beginning"),
        (0, '{"kind": "images", "images": 9}', "has 7 entries instead of 9"),
        (0, '{"kind": "images"}', "has 7 entries instead of None"),
        (2, '["1", "x", 0, ""]', "line 3: .* is not name, size, time, digest"),
        (2, '["1", 1, 2]', "line 3: "),
        (2, "{}", "line 3: "),
        (2, "[" * 100_000, "line 3: "),
        (2, '["0", 1, 2, ""]', "has 6 entries instead of 7"),
        (2, "\udcff", "cannot be read"),
    ],
)
def test_a_damaged_list_is_named(
    photos: Path, listed: Path, line: int, text: str, message: str
) -> None:
    lines = listed.read_text().splitlines()
    lines[line] = text
    listed.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    with pytest.raises(ModelError, match=f"images.jsonl: {message}"):
        changes(listed, photos)


def test_many_images_take_little_memory_and_time(photos: Path, tmp_path: Path) -> None:
    many = [Photo(str(photos / "0.bmp"), f"folder/image_{n:06d}", None) for n in range(20_000)]
    path = tmp_path / "list"
    began = time.monotonic()
    with path.open("w") as file:
        file.writelines(image_lines(many))
    tracemalloc.start()
    assert not compare_images(path, many)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size / len(many) < 100
    assert peak / len(many) < 600
    assert time.monotonic() - began < 60


# --- what must hold before a run begins


def test_images_are_checked_until_one_shows_something(photos: Path) -> None:
    config = make_config(clusters=3, size=32, base_size=40, overclusters=0, kmeans_pixels=16)
    check_images(open_folder(photos).photos, config, 4)
    for path in photos.rglob("*.bmp"):
        path.write_bytes(b"")
    check_images(open_folder(photos).photos, config, 4)
    (photos / "inner" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of the 7 images can be read; first: "):
        check_images(open_folder(photos).photos, config, 4)


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        ({"clusters": 112}, True),  # 7 images of 16 pixels
        ({"clusters": 113}, False),
        ({"clusters": 113, "kmeans_pixels": 17}, True),
        ({"clusters": 449, "kmeans_pixels": 500}, False),  # 7 images of 8 x 8 cells
        ({"clusters": 448, "kmeans_pixels": 0}, True),
        ({"clusters": 449, "kmeans_pixels": 0}, False),
        ({"clusters": 20, "overclusters": 113}, False),
        ({"clusters": 60, "kmeans_images": 3}, False),
        ({"clusters": 3, "objective": "picie-h", "auxiliary_clusters": 113}, False),
    ],
)
def test_pixels_must_suffice_for_the_centroids(
    photos: Path, settings: dict[str, int], fits: bool
) -> None:
    common: dict[str, Any] = {"size": 32, "base_size": 40, "overclusters": 0, "kmeans_pixels": 16}
    config = make_config(**common | settings)
    images = open_folder(photos).photos
    if fits:
        check_images(images, config, 4)
    else:
        with pytest.raises(DataError, match=r"pixels are too few for .* centroids; use fewer"):
            check_images(images, config, 4)


def test_images_in_a_storage_are_told_apart_by_their_listing(
    photos: Path, stored: Callable[..., str], tmp_path: Path
) -> None:
    address, path = stored(photos), tmp_path / "images.jsonl"
    path.write_text("".join(image_lines(open_folder(address).photos)))
    assert not compare_images(path, open_folder(address).photos)
    store = Store(address)
    store.write(f"{address}/1.bmp", store.read(f"{address}/2.bmp"))  # of the same size
    store.write(f"{address}/new.bmp", store.read(f"{address}/3.bmp"))
    store.remove(f"{address}/3.bmp")
    found = compare_images(path, open_folder(address).photos)
    assert (found.removed, found.added, found.changed) == (("3",), ("new",), ("1",))
