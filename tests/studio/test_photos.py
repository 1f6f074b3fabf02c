"""The list of photos, small copies, and tiles."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from picie.data.folder import open_folder
from picie.data.images import read_image, read_reduced
from picie.data.reading import Reading
from picie.errors import DataError
from picie.studio import photos as module
from picie.studio.photos import THUMBNAIL, TILE_SIDE, Photos


def slope(height: int, width: int) -> NDArray[np.uint8]:
    """A photo whose corners differ, so that a turned one is noticed; few details."""
    down, across = np.mgrid[:height, :width]
    red, green = 255 * down / height, 255 * across / width
    blue = np.where((down < height / 2) & (across < width / 2), 255, 0)
    return np.stack([red, green, blue], -1).astype(np.uint8)


def opened(folder: Path, cache: Path | None = None) -> Photos:
    return Photos(open_folder(folder, reading=Reading()), cache or folder / ".cache")


def decoded(content: tuple[bytes, str]) -> NDArray[np.uint8]:
    assert content[1] == "image/jpeg"
    return np.array(Image.open(io.BytesIO(content[0])))


def turned(image: Image.Image, path: Path, orientation: int) -> None:
    exif = image.getexif()
    exif[274] = orientation
    image.save(path, exif=exif.tobytes(), quality=95)


def pictures(folder: Path) -> None:
    """One photo of each kind that is not plain RGB of 8 bits, upright and of one look."""
    image = Image.fromarray(slope(300, 500))
    folder.mkdir()
    image.save(folder / "plain.jpg", quality=95)
    turned(image, folder / "turned.jpg", 6)
    turned(image, folder / "mirrored.jpg", 7)
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    image.convert("L").save(folder / "grey.png")
    image.quantize(64).save(folder / "palette.png")
    alpha = np.dstack([slope(300, 500), np.where(np.indices((300, 500))[0] < 90, 0, 255)])
    Image.fromarray(alpha.astype(np.uint8)).save(folder / "alpha.png")
    deep = (slope(300, 500).astype(np.uint16) * 257) >> 4
    tifffile.imwrite(folder / "deep.tif", deep, photometric="rgb")
    tifffile.imwrite(folder / "float.tif", slope(300, 500)[..., 0].astype(np.float32) / 99)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed") / "photos"
    pictures(folder)
    return folder


KINDS = [
    *("plain", "turned", "mirrored", "cmyk", "grey", "palette", "alpha", "deep", "float"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_thumbnail_looks_like_what_the_model_sees(mixed: Path, kind: str) -> None:
    photos = opened(mixed)
    number = photos.number(kind)
    assert number is not None
    photo = photos.folder.photos[number]
    whole = Image.fromarray(read_image(photo.path, photos.folder.reading))
    small = decoded(photos.thumbnail(number))
    assert max(small.shape[:2]) == THUMBNAIL
    wanted = np.array(whole.resize(small.shape[1::-1], Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(small.astype(int) - wanted).mean() < 4
    info = photos.info(number)
    assert (info.width, info.height) == whole.size
    assert info.problem == ""


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_make_up_the_photo(mixed: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TILE_SIDE", 128)
    photos = opened(mixed)
    number = photos.number(kind)
    assert number is not None
    info = photos.info(number)
    photo = photos.folder.photos[number]
    whole = read_image(photo.path, photos.folder.reading)
    assert info.levels == 3
    for level in range(info.levels):
        width, height = -(-info.width >> level), -(-info.height >> level)
        found = np.zeros((height, width, 3), np.uint8)
        for row in range(-(-height // 128)):
            for column in range(-(-width // 128)):
                part = decoded(photos.tile(number, level, column, row))
                top, left = row * 128, column * 128
                found[top : top + part.shape[0], left : left + part.shape[1]] = part
        wanted = np.array(Image.fromarray(whole).resize((width, height), Image.Resampling.BOX))
        assert np.abs(found.astype(int) - wanted).mean() < 4
    for place in [(0, 9, 0), (0, 0, 9), (3, 0, 0), (-1, 0, 0), (0, -1, 0)]:
        with pytest.raises(DataError, match="has no tile"):
            photos.tile(number, *place)


def test_small_copies_are_never_larger_than_the_photo(tmp_path: Path) -> None:
    Image.fromarray(slope(20, 30)).save(tmp_path / "a.png")
    photos = opened(tmp_path)
    assert decoded(photos.thumbnail(0)).shape == (20, 30, 3)
    assert photos.info(0).levels == 1
    assert decoded(photos.tile(0, 0, 0, 0)).shape == (20, 30, 3)


def test_a_line_of_pixels_has_a_small_copy_too(tmp_path: Path) -> None:
    Image.fromarray(slope(1, 3000)).save(tmp_path / "a.png")
    photos = opened(tmp_path)
    assert decoded(photos.thumbnail(0)).shape == (1, THUMBNAIL, 3)
    levels = photos.info(0).levels
    assert decoded(photos.tile(0, levels - 1, 0, 0)).shape == (1, 375, 3)


def test_the_list_is_sorted_and_has_times(tmp_path: Path) -> None:
    for name, time in [("b", 2000), ("a", 1000)]:
        Image.fromarray(slope(8, 8)).save(tmp_path / f"{name}.png")
        os.utime(tmp_path / f"{name}.png", (time, time))
    photos = opened(tmp_path)
    assert photos.names == ["a", "b"]
    assert photos.times == [1000, 2000]
    assert len(photos) == 2
    assert photos.number("b") == 1
    assert photos.number("c") is None


def test_small_copies_are_kept_until_the_photo_changes(tmp_path: Path) -> None:
    folder, cache = tmp_path / "photos", tmp_path / "cache"
    folder.mkdir()
    Image.fromarray(slope(8, 8)).save(folder / "b.png")
    photos = opened(folder, cache)
    assert photos.kept_thumbnail(0) is None
    first, _ = photos.thumbnail(0)
    assert photos.kept_thumbnail(0) == first
    Image.fromarray(slope(9, 9)).save(folder / "a.png")  # another place in the list
    again = opened(folder, cache)
    assert again.kept_thumbnail(0) is None
    assert again.kept_thumbnail(1) == first
    Image.fromarray(slope(9, 8)).save(folder / "b.png")
    assert opened(folder, cache).kept_thumbnail(1) is None


def test_without_room_for_the_cache_all_is_made_anew(tmp_path: Path) -> None:
    folder, cache = tmp_path / "photos", tmp_path / "cache"
    folder.mkdir()
    cache.write_text("no folder")
    Image.fromarray(slope(8, 8)).save(folder / "b.png")
    photos = opened(folder, cache)
    assert decoded(photos.thumbnail(0)).shape == (8, 8, 3)
    assert decoded(photos.tile(0, 0, 0, 0)).shape == (8, 8, 3)


def test_a_broken_photo_has_a_problem(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    Image.fromarray(slope(600, 600)).save(tmp_path / "whole.jpg")
    half = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(half[: len(half) // 2])
    photos = opened(tmp_path)
    for name in ("text", "half"):
        number = photos.number(name)
        assert number is not None
        for ask in (photos.thumbnail, lambda n: photos.tile(n, 0, 0, 0)):
            with pytest.raises(DataError, match=f"{name}.jpg"):
                ask(number)
        assert f"{name}.jpg" in photos.info(number).problem
    assert photos.info(2).problem == ""


def test_a_photo_that_goes_has_a_problem(tmp_path: Path) -> None:
    Image.fromarray(slope(8, 8)).save(tmp_path / "a.png")
    photos = opened(tmp_path)
    (tmp_path / "a.png").unlink()
    assert "a.png" in photos.info(0).problem
    with pytest.raises(DataError, match=r"a\.png"):
        photos.thumbnail(0)


def test_many_ask_for_tiles_and_the_photo_is_decoded_once_for_each_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(slope(4400, 4800)).save(tmp_path / "a.jpg", quality=60)
    photos, sides = opened(tmp_path), list[int]()

    def counted(path: Path, side: int, *more: Any) -> Any:
        sides.append(side)
        return read_reduced(path, side, *more)

    monkeypatch.setattr(module, "read_reduced", counted)
    info = photos.info(0)
    assert info.levels == 5
    asked = [(4, 0, 0), *((0, column, row) for column in range(9) for row in range(9))]
    threads = [threading.Thread(target=photos.tile, args=(0, *place)) for place in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sides) == [600, 4800]
    while photos._cuttings:  # the rest is cut meanwhile
        next(iter(photos._cuttings.values())).join()
    for level in range(5):
        assert photos.tile(0, level, 0, 0)
    assert len(sides) == 2


def test_only_the_tiles_of_the_last_photos_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT", 2)
    for number in range(4):
        Image.fromarray(slope(8 + number, 8)).save(tmp_path / f"{number}.png")
    photos = opened(tmp_path)
    for number in range(4):
        photos.tile(number, 0, 0, 0)
        for cutting in list(photos._cuttings.values()):
            cutting.join()
    assert len(list((photos._cache / "tiles").iterdir())) == 2


def test_pages_are_photos(tmp_path: Path) -> None:
    pages = [slope(20, 30), slope(40, 30)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in pages:
            writer.write(page, photometric="rgb")
    photos = Photos(open_folder(tmp_path, reading=Reading(pages="all")), tmp_path / ".cache")
    assert [photos.info(number)[:2] for number in (0, 1)] == [(30, 20), (30, 40)]
    assert decoded(photos.tile(1, 0, 0, 0)).shape == (40, 30, 3)
    assert len(set(photos.keys)) == 2


def test_photos_are_listed_without_torch(tmp_path: Path) -> None:
    Image.fromarray(slope(8, 8)).save(tmp_path / "a.png")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from picie.data.folder import open_folder\n"
        "from picie.data.reading import Reading\n"
        "from picie.studio.photos import Photos\n"
        "import picie.studio.routes.photos, picie.studio.routes.check\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "Photos(open_folder(folder, reading=Reading()), folder / '.cache').thumbnail(0)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_tile_is_a_square_of_512_pixels() -> None:
    assert TILE_SIDE == 512
