from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from picie.data.masks import LabelCode, read_mask, stored_ids
from picie.errors import DataError

IDS = np.array([[0, 1, 2], [255, 1, 0]], dtype=np.uint8)


def write(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def read(path: Path, num_classes: int = 3) -> list[list[int]]:
    mask = read_mask(path, image_size=(3, 2), num_classes=num_classes)
    assert mask.dtype == np.uint8
    return mask.tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_mask(tmp_path: Path, dtype: Any) -> None:
    assert read(write(tmp_path / "a.png", Image.fromarray(IDS.astype(dtype)))) == IDS.tolist()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_palette_indices_are_the_ids(tmp_path: Path, bits: int) -> None:
    ids = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)
    image = Image.fromarray(ids)
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 0, 200])
    assert read(write(tmp_path / "a.png", image, bits=bits)) == ids.tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colours_are_refused(tmp_path: Path, mode: str) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(IDS).convert(mode))
    with pytest.raises(DataError, match=rf"a\.png: holds colours \({mode}\), .* class ids; save"):
        read(path)


def test_few_bits_of_grey_are_refused_because_decoders_stretch_them(tmp_path: Path) -> None:
    path = write(tmp_path / "one.png", Image.fromarray(IDS > 0))
    with pytest.raises(DataError, match=r"one\.png: holds grey of 1 bit, .* 8 bits"):
        read(path)
    path = write(tmp_path / "four.png", Image.fromarray(IDS), bits=4)
    with pytest.raises(DataError, match=r"four\.png: holds grey of 4 bits"):
        read(path)


def test_other_size_names_both(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(IDS))
    with pytest.raises(DataError, match=r"a\.png: is 3 x 2 pixels, but its image 30 x 20"):
        read_mask(path, image_size=(30, 20), num_classes=3)


@pytest.mark.parametrize(
    ("value", "classes", "ids"), [(2, 2, "2"), (254, 254, "254"), (300, 3, "300")]
)
def test_unknown_ids_are_named(tmp_path: Path, value: int, classes: int, ids: str) -> None:
    array = np.array([[0, 1, value], [255, 1, 0]], dtype=np.uint16)
    path = write(tmp_path / "a.png", Image.fromarray(array))
    with pytest.raises(DataError, match=rf"a\.png: holds the ids {ids}, but .* lists {classes} cl"):
        read(path, classes)


def test_many_unknown_ids_are_shortened(tmp_path: Path) -> None:
    array = np.arange(10, 16, dtype=np.uint8).reshape(2, 3)
    path = write(tmp_path / "a.png", Image.fromarray(array))
    with pytest.raises(DataError, match=r"ids 10, 11, 12, 13, 14, \.\.\., but"):
        read(path)


def test_unreadable_masks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.png: cannot be read as a mask \(No such file"):
        read(tmp_path / "no.png")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n123")
    with pytest.raises(DataError, match=r"a\.png: .* \(not a complete PNG file\); replace"):
        read(tmp_path / "a.png")


# --- stored ids and colours of a known data set

CODE = LabelCode("mine", (255, 0, 1), ((0, 0, 0), (255, 0, 0), (0, 0, 255)))


def decoded(path: Path, code: LabelCode = CODE) -> list[list[int]]:
    mask = read_mask(path, image_size=(3, 2), num_classes=2, code=code)
    assert mask.dtype == np.uint8
    return mask.tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_stored_ids_become_class_ids(tmp_path: Path, dtype: Any) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(IDS.astype(dtype)))
    assert decoded(path) == [[255, 0, 1], [255, 0, 255]]
    assert stored_ids(path).tolist() == IDS.tolist()


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_colours_become_class_ids(tmp_path: Path, ending: str) -> None:
    colours = np.array(CODE.colours, np.uint8)[[[0, 1, 2], [2, 1, 0]]]
    path = write(tmp_path / f"a.{ending}", Image.fromarray(colours))
    assert decoded(path) == [[255, 0, 1], [1, 0, 255]]
    assert stored_ids(path, CODE).tolist() == [[0, 1, 2], [2, 1, 0]]


def test_ids_that_the_data_set_does_not_have(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(np.array([[0, 3, 7]] * 2, np.uint8)))
    with pytest.raises(
        DataError, match=r"a\.png: holds the ids 3, 7, which mine does not have; is"
    ):
        decoded(path)


def test_colours_that_the_data_set_does_not_have(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0] = (1, 2, 3)
    path = write(tmp_path / "a.png", Image.fromarray(pixels))
    with pytest.raises(
        DataError, match=r"the colours \(1, 2, 3\), which mine does not have; is it"
    ):
        decoded(path)
    plain = LabelCode("plain", (0,))
    with pytest.raises(DataError, match=r"holds colours \(RGB\), but a mask must hold class ids"):
        decoded(path, plain)


def test_a_long_lookup_may_give_255_a_class(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(np.full((2, 3), 255, np.uint8)))
    assert decoded(path, LabelCode("long", (0,) * 256)) == [[0] * 3] * 2


def test_a_broken_tiff_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    with pytest.raises(DataError, match=r"a\.tif: cannot be .* \(not a complete TIFF file\)"):
        decoded(tmp_path / "a.tif")
