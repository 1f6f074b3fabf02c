"""PNG of 16 bits, with all its bits."""

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.data.decoding import is_deep_png, is_png, stored_image
from picie.data.images import read_image, stored_orientation
from picie.data.opening import turned
from picie.data.reading import Reading
from picie.errors import DataError


def noise(bands: int) -> NDArray[np.uint16]:
    return np.random.default_rng(bands).integers(0, 65536, (12, 17, bands), dtype=np.uint16)


def save(path: Path, values: NDArray[Any]) -> Path:
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(values)))
    return path


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_all_16_bits_are_read(tmp_path: Path, bands: int) -> None:
    path = save(tmp_path / "a.png", noise(bands))
    stored = stored_image(path, Reading())
    assert stored is not None
    assert np.array_equal(stored.values, noise(bands))
    assert stored.alpha == ("true" if bands in (2, 4) else "")
    rasterio = pytest.importorskip("rasterio")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as file:
            assert np.array_equal(stored.values, np.moveaxis(file.read(), 0, 2))


def test_opacity_of_a_png_is_opacity(tmp_path: Path) -> None:
    values = noise(4)  # most pixels are half transparent
    path = save(tmp_path / "a.png", values)
    alpha = values[..., 3:] / 65535
    expected = alpha * values[..., :3] / 257 + (1 - alpha) * 255
    shown = read_image(path, Reading(stretch=(0, 65535)))
    np.testing.assert_allclose(shown, expected, atol=1.01)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("late", [False, True])
def test_every_orientation(tmp_path: Path, orientation: int, late: bool) -> None:
    back = {6: 8, 8: 6}.get(orientation, orientation)
    path = save(tmp_path / "a.png", turned(noise(3), back))
    exif = Image.Exif()
    exif[274] = orientation
    block = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(block) - 4) + block + struct.pack(">I", zlib.crc32(block))
    content = path.read_bytes()
    place = len(content) - 12 if late else 33  # before IEND, or after IHDR
    path.write_bytes(content[:place] + chunk + content[place:])
    stored = stored_image(path, Reading())
    assert stored is not None
    assert np.array_equal(stored.values, noise(3))
    assert stored_orientation(path) == orientation


def test_other_files_are_left_to_pillow(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.tif")
    for name in ("a.png", "a.jpg", "a.tif"):
        assert stored_image(tmp_path / name, Reading()) is None
    assert is_png((tmp_path / "a.png").read_bytes())
    assert not is_deep_png((tmp_path / "a.png").read_bytes())
    assert not is_png((tmp_path / "a.jpg").read_bytes())


def test_a_broken_file_and_a_large_one_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", noise(3))
    with pytest.raises(DataError, match=r"a\.png: has 17 x 12 pixels, more than 203"):
        read_image(path, Reading(max_pixels=203))
    for end in (30, 200, 1000):
        path.write_bytes(save(tmp_path / "b.png", noise(3)).read_bytes()[:end])
        with pytest.raises(DataError, match=r"a\.png: cannot be read as an image \("):
            read_image(path)
