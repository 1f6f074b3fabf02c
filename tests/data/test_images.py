import io
import math
import os
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from picie.data import images
from picie.data.images import (
    EXTENSIONS,
    as_array,
    check_size,
    network_input,
    network_size,
    read_image,
    read_reduced,
    read_square,
    square_crop,
    square_crop_mask,
    stored_orientation,
    stored_pixels,
    upright_size,
)
from picie.data.reading import Reading
from picie.data.synthetic.scenes import draw_scene
from picie.errors import ConfigError, DataError
from picie.visualization.masks import write_png

PALETTE = [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, array: NDArray[Any], **options: Any) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("extension", [".jpg", ".webp", ".PNG"])
def test_every_extension_is_read_as_rgb(tmp_path: Path, extension: str) -> None:
    array = np.full((5, 7, 3), (250, 128, 3), dtype=np.uint8)
    image = read_image(save(tmp_path / f"a{extension}", array))
    assert image.shape == (5, 7, 3)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_allclose(image.astype(int), array, atol=3)


def test_grey_is_repeated(tmp_path: Path) -> None:
    grey = noise(4, 6)
    image = read_image(save(tmp_path / "a.png", grey))
    np.testing.assert_array_equal(image, np.stack([grey] * 3, axis=2))


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    bits = noise(4, 6) > 127
    image = read_image(save(tmp_path / "a.png", bits))
    np.testing.assert_array_equal(image[:, :, 1], bits * 255)


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_composited_over_white(tmp_path: Path, channels: int) -> None:
    array = noise(8, 9, channels)
    image = read_image(save(tmp_path / "a.png", array))
    alpha = array[:, :, -1:].astype(float) / 255
    expected = alpha * array[:, :, :-1] + (1 - alpha) * 255
    np.testing.assert_allclose(image, np.broadcast_to(expected, image.shape), atol=1.01)


def test_palette_with_and_without_a_transparent_entry(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 3]], dtype=np.uint8))
    image.putpalette(PALETTE)
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "clear.png", transparency=1)
    expected = np.array(PALETTE, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.png"), expected)
    expected[0, 1] = 255
    np.testing.assert_array_equal(read_image(tmp_path / "clear.png"), expected)


def test_a_transparent_colour_of_an_rgb_file_is_white(tmp_path: Path) -> None:
    array = np.zeros((2, 2, 3), dtype=np.uint8)
    array[0, 0] = (9, 8, 7)
    image = read_image(save(tmp_path / "a.png", array, transparency=(9, 8, 7)))
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[1, 1].tolist() == [0, 0, 0]


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.jpg")
    np.testing.assert_allclose(
        read_image(tmp_path / "a.jpg")[3, 3].astype(int), [0, 255, 255], atol=3
    )


def test_sixteen_bits_are_divided_by_257_only_when_used(tmp_path: Path) -> None:
    deep = np.array([[0, 257], [32896, 65535]], dtype=np.uint16)
    image = read_image(save(tmp_path / "deep.png", deep))
    assert image[:, :, 0].tolist() == [[0, 1], [128, 255]]
    shallow = np.array([[0, 1], [128, 255]], dtype=np.uint16)
    image = read_image(save(tmp_path / "shallow.tif", shallow))
    assert image[:, :, 2].tolist() == [[0, 1], [128, 255]]


def test_wide_integers_are_stretched(tmp_path: Path) -> None:
    values = np.array([[-1000, 0], [3000, 10**6]], dtype=np.int32)
    path = save(tmp_path / "a.tif", values)
    levels = read_image(path, Reading(stretch=(0, 255 * 1000)))[:, :, 0]
    assert levels.tolist() == [[0, 0], [3, 255]]
    assert read_image(path)[:, :, 0].tolist() == [[0, 0], [1, 255]]  # by its own values


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.0, 0.5], [1.0, math.nan]], [[0, 128], [255, 0]]),
        ([[0.0, 200.4], [100.0, 255.0]], [[0, 200], [100, 255]]),
        ([[257.0, 65535.0]], [[1, 255]]),
        ([[-20.0, 40.0], [10.0, 10.0]], [[0, 255], [128, 128]]),
    ],
)
def test_floats(tmp_path: Path, values: list[list[float]], expected: list[list[int]]) -> None:
    path = save(tmp_path / "a.tif", np.array(values, dtype=np.float32))
    assert read_image(path)[:, :, 0].tolist() == expected


@pytest.mark.parametrize("extension", ["png", "tif"])  # Pillow itself turns the latter
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int, extension: str) -> None:
    upright = noise(4, 6, 3)
    # what a camera stores for each orientation, from the table of the EXIF standard
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"a.{extension}", np.ascontiguousarray(stored), exif=exif)
    np.testing.assert_array_equal(read_image(path), upright)


@pytest.mark.parametrize("extension", ["webp", "png", "tif"])
def test_the_first_frame_counts(tmp_path: Path, extension: str) -> None:
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    path = tmp_path / f"a.{extension}"
    red.save(path, save_all=True, append_images=[blue])
    assert read_image(path)[4, 4, 0] > 200


def test_truncated_file_is_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(64, 64, 3)).save(buffer, "JPEG")
    path = tmp_path / "cut.jpg"
    path.write_bytes(buffer.getvalue()[:1500])
    with pytest.raises(DataError, match=r"cut\.jpg: cannot be read as an image \(.*truncated"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0"])
def test_other_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "note.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"note\.png: cannot be read as an image \(.+\); replace"):
        read_image(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png: cannot .* \(No such file or directory\)"):
        read_image(tmp_path / "none.png")


def test_broken_exif_does_not_lose_the_image(tmp_path: Path, monkeypatch: Any) -> None:
    def fail(image: Image.Image) -> Image.Exif:
        raise SyntaxError("not a TIFF header")

    monkeypatch.setattr("picie.data.images.Image.Image.getexif", fail)
    array = noise(3, 4, 3)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", array)), array)


def test_an_unknown_orientation_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    array = noise(3, 4, 3)
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", array, exif=exif)), array)


def test_pillows_limit_is_neither_used_nor_changed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow would raise from 21 pixels
    assert read_image(save(tmp_path / "a.png", noise(30, 40))).shape == (30, 40, 3)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("name", ["a.pgm", "a.pfm", "a.jp2"])
def test_deep_images_of_other_formats_are_stretched(tmp_path: Path, name: str) -> None:
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    if name == "a.pfm":
        Image.fromarray((values / 65535).astype(np.float32)).save(tmp_path / name)
    elif name == "a.pgm":
        content = b"P5 64 64 65535\n" + values.astype(">u2").tobytes()
        (tmp_path / name).write_bytes(content)
    else:
        Image.fromarray(values).save(tmp_path / name, irreversible=False)
    expected = np.rint(values / 257)
    assert np.abs(read_image(tmp_path / name)[:, :, 0] - expected).max() <= 1
    stretch = (0, 0.5) if name == "a.pfm" else (0, 32767.5)
    bright = read_image(tmp_path / name, Reading(stretch=stretch))[:, :, 0]
    assert np.abs(bright - np.clip(2 * expected, 0, 255)).max() <= 2


def test_bands_of_plain_images_are_chosen(tmp_path: Path) -> None:
    array = noise(6, 7, 3)
    path = save(tmp_path / "a.png", array)
    assert np.array_equal(read_image(path, Reading(bands=(3, 2, 1))), array[..., ::-1])
    green = read_square(path, 6, Reading(bands=(2,)))
    assert np.array_equal(green, square_crop(np.repeat(array[..., 1:2], 3, 2), 6))
    jpeg = save(tmp_path / "a.jpg", np.repeat(np.repeat(array, 30, 0), 30, 1))
    swapped = read_square(jpeg, 40, Reading(bands=(3, 2, 1)))
    assert np.array_equal(swapped, read_square(jpeg, 40)[..., ::-1])
    with pytest.raises(DataError, match=r"a\.png: has 3 bands, but --bands asks for 4"):
        read_image(path, Reading(bands=(4, 3, 2)))


def test_a_page_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", noise(6, 7, 3))
    with pytest.raises(DataError, match=r"a\.png: has 1 page; there is no page 2"):
        read_image(path, page=1)


def test_pixels_are_counted_from_the_header(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.tif"):
        assert stored_pixels(save(tmp_path / name, noise(6, 7, 3))) == 42
    (tmp_path / "b.png").write_text("text")
    assert stored_pixels(tmp_path / "b.png") == stored_pixels(tmp_path / "none.png") == 0


def test_more_pixels_than_the_limit_are_refused_before_decoding(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "BMP")
    header = bytearray(buffer.getvalue())
    header[18:26] = (40_000).to_bytes(4, "little") * 2
    path = tmp_path / "vast.bmp"
    path.write_bytes(header)
    with pytest.raises(DataError, match=r"has 40000 x 40000 pixels, more than 268,435,456; raise"):
        read_image(path)


SIZES = [(40, 53), (53, 40), (64, 64), (97, 31), (20, 29), (31, 200), (33, 64)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("size", [32, 33])
def test_square_crop_is_torchvisions_resize_and_centre_crop(
    shape: tuple[int, int], size: int
) -> None:
    image = noise(*shape, 3)
    expected = CenterCrop(size)(Resize(size)(Image.fromarray(image)))
    np.testing.assert_array_equal(square_crop(image, size), np.array(expected))


@pytest.mark.parametrize("shape", [(40, 53), (53, 40), (97, 31), (31, 200), (29, 20)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_mask_crop_is_torchvisions_nearest(shape: tuple[int, int], dtype: Any) -> None:
    mask = noise(*shape)
    resized = Resize(32, InterpolationMode.NEAREST)(Image.fromarray(mask))
    crop = square_crop_mask(mask.astype(dtype), 32)
    assert crop.dtype == dtype
    np.testing.assert_array_equal(crop, np.array(CenterCrop(32)(resized)))


def test_image_and_mask_stay_on_each_other() -> None:
    mask = np.zeros((90, 150), dtype=np.uint8)
    mask[30:70, 60:120] = 1
    image = np.repeat(mask[:, :, None] * 255, 3, axis=2)
    crop, truth = square_crop(image, 48), square_crop_mask(mask, 48)
    assert np.mean((crop[:, :, 0] > 127) != truth) < 0.02


@pytest.mark.parametrize("axis", [0, 1])
def test_a_thin_strip_is_cut_like_any_image(axis: int) -> None:
    shape = (4, 1200, 3) if axis else (1200, 4, 3)
    image = noise(*shape)
    whole = CenterCrop(16)(Resize(16)(Image.fromarray(image)))
    np.testing.assert_allclose(square_crop(image, 16).astype(int), np.array(whole), atol=1)


def test_mirroring_commutes_with_the_crop_where_the_margin_is_even() -> None:
    image = noise(32, 64, 3)
    np.testing.assert_array_equal(
        square_crop(image[:, ::-1].copy(), 32), square_crop(image, 32)[:, ::-1]
    )


# --- base crops straight from files


def mean_difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def full_square(path: Path, size: int) -> NDArray[np.uint8]:
    return square_crop(read_image(path), size)


@pytest.mark.parametrize(
    ("shape", "scale", "orientation"),
    [
        *(((389, 530), 4, orientation) for orientation in range(1, 9)),
        *(((261, 259), 2, orientation) for orientation in (1, 6)),
        ((523, 775), 8, 6),
    ],
)
def test_a_large_photo_is_decoded_smaller(
    tmp_path: Path, monkeypatch: Any, shape: tuple[int, int], scale: int, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, _ = draw_scene(0, 1, shape)
    path = save(tmp_path / "a.jpg", image, quality=92, exif=exif)
    size = min(shape) // scale // 2
    expected = full_square(path, size)
    decoded = []
    resize = Image.Image.resize

    def spy(self: Image.Image, *args: Any, **options: Any) -> Image.Image:
        decoded.append(self.size)
        return resize(self, *args, **options)

    monkeypatch.setattr(Image.Image, "resize", spy)
    crop = read_square(path, size)
    assert sorted(decoded[0]) == sorted(-(-side // scale) for side in shape)
    near = mean_difference(crop, expected)
    assert near < 1
    for shift in (1, -1):  # the square is where it was
        for axis in (0, 1):
            assert near < mean_difference(np.roll(crop, shift, axis), expected) / 3


@pytest.mark.parametrize("extension", ["jpg", "png"])
@pytest.mark.parametrize("size", [41, 60, 100])
@pytest.mark.parametrize("orientation", [1, 2, 6])
def test_other_crops_are_those_of_the_whole_image(
    tmp_path: Path, extension: str, size: int, orientation: int
) -> None:
    image, _ = draw_scene(0, 2, (163, 220))  # 4 x 41 is more than 163: half would be too small
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"a.{extension}", image, exif=exif)
    np.testing.assert_array_equal(read_square(path, size), full_square(path, size))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_large_photos_of_other_colours(tmp_path: Path, mode: str) -> None:
    image, _ = draw_scene(0, 3, (200, 260))
    path = tmp_path / "a.jpg"
    Image.fromarray(image).convert(mode).save(path, quality=92)
    assert 0 < mean_difference(read_square(path, 40), full_square(path, 40)) < 1


def test_a_long_thin_photo_is_cut_from_a_smaller_one_too(tmp_path: Path) -> None:
    image, _ = draw_scene(0, 4, (160, 3000))
    path = save(tmp_path / "a.jpg", image, quality=92)
    assert 0 < mean_difference(read_square(path, 20), full_square(path, 20)) < 1


def test_a_image_for_prediction_keeps_its_size(tmp_path: Path) -> None:
    image, _ = draw_scene(0, 5, (300, 410))
    path = save(tmp_path / "a.jpg", image)
    read_square(path, 32)
    assert read_image(path).shape == (300, 410, 3)


def test_errors_of_crops_are_those_of_images(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(640, 640, 3)).save(buffer, "JPEG")
    for name, content in (("cut.jpg", buffer.getvalue()[:9000]), ("note.png", b"text")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError) as whole:
            read_image(tmp_path / name)
        with pytest.raises(DataError) as square:
            read_square(tmp_path / name, 64)
        assert str(square.value) == str(whole.value)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_whether_a_file_is_upright(tmp_path: Path, name: str) -> None:
    for orientation in [None, 1, 3, 6, 9]:
        tags = Image.Exif()
        if orientation is not None:
            tags[274] = orientation
        path = save(tmp_path / name, noise(6, 8, 3), exif=tags)
        assert (stored_orientation(path) == 1) == (orientation not in (3, 6))
        (tmp_path / "b.jpg").write_text("text")
        with pytest.raises(DataError, match=r"b\.jpg: cannot be read as an image"):
            stored_orientation(tmp_path / "b.jpg")


# --- images in any form as arrays, and at the size of the network


def test_the_short_side_has_the_size_and_both_are_whole_cells() -> None:
    image = np.zeros((360, 480, 3), np.uint8)
    assert network_input(image, 320).shape == (3, 320, 416)
    assert network_input(image.transpose(1, 0, 2), 64).shape == (3, 96, 64)
    assert network_input(np.zeros((1, 99, 3), np.uint8), 32).shape == (3, 32, 512)
    assert network_size(360, 480, 320) == (320, 416)
    assert network_size(99, 1, 32) == (512, 32)


def test_pixels_are_those_of_pillow() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    pixels = network_input(image, 32)
    expected = Image.fromarray(image).resize((pixels.shape[2], 32), Image.Resampling.BILINEAR)
    assert pixels.dtype == torch.uint8
    assert np.array_equal(pixels.permute(1, 2, 0), np.asarray(expected))
    assert pixels[None].is_contiguous(memory_format=torch.channels_last)


def test_the_orientation_is_applied_where_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.new("RGB", (5, 4), "red")
    image.getexif()[274] = 6
    assert as_array(image).shape == (5, 4, 3)
    monkeypatch.setattr(Image.Image, "getexif", broken)
    assert as_array(image).shape == (4, 5, 3)


def broken(image: Image.Image) -> None:
    raise SyntaxError("not a TIFF file")


@pytest.mark.parametrize("size", [0, -32, 16, 33])
def test_sizes_that_cannot_be(size: int) -> None:
    with pytest.raises(ConfigError, match=f"size {size}: the side must be a multiple of 32"):
        check_size(size)


# --- kinds of files


SAVED_AS = {
    **{".jpe": "JPEG", ".jfif": "JPEG", ".jif": "JPEG", ".mpo": "MPO", ".apng": "PNG"},
    **{".dib": "BMP", ".jp2": "JPEG2000", ".j2k": "JPEG2000", ".j2c": "JPEG2000"},
    **{".jpc": "JPEG2000", ".jpf": "JPEG2000", ".jpx": "JPEG2000", ".avif": "AVIF"},
}
QUADRANTS = np.zeros((60, 90, 3), np.uint8)
QUADRANTS[:30, :, 0], QUADRANTS[:, 45:, 1] = 200, 180


def near(image: object) -> bool:
    found = np.asarray(image)
    return found.shape == QUADRANTS.shape and abs(found.astype(int) - QUADRANTS).mean() < 6


@pytest.mark.parametrize("extension", [one for one in EXTENSIONS if one not in (".pbm", ".pfm")])
def test_every_kind_of_file_is_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    grey = Image.fromarray(QUADRANTS).convert("L")
    image = grey if extension == ".pgm" else Image.fromarray(QUADRANTS)
    image.save(path, format=SAVED_AS.get(extension))
    if extension == ".pgm":
        assert np.array_equal(read_image(path)[..., 0], np.asarray(grey))
    else:
        assert near(read_image(path))
    assert read_square(path, 32).shape == (32, 32, 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM"])
def test_a_name_that_lies_is_no_obstacle(tmp_path: Path, kind: str) -> None:
    for name in ("a.jpg", "a.tga"):
        Image.fromarray(QUADRANTS).save(tmp_path / name, format=kind)
        assert near(read_image(tmp_path / name))


def test_only_its_name_makes_a_file_a_targa(tmp_path: Path) -> None:
    Image.fromarray(QUADRANTS).save(tmp_path / "a.tga")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.tga").read_bytes())
    with pytest.raises(DataError, match=r"a\.jpg: cannot be read as an image"):
        read_image(tmp_path / "a.jpg")


def test_formats_that_start_programs_are_not_read(tmp_path: Path) -> None:
    for kind in ("EPS", "PDF"):
        Image.fromarray(QUADRANTS).save(tmp_path / "a.png", format=kind)
        with pytest.raises(DataError, match="its format is none of JPEG, PNG"):
            read_image(tmp_path / "a.png")


def test_what_picie_drew_is_no_photo(tmp_path: Path) -> None:
    write_png(Image.fromarray(QUADRANTS), tmp_path / "chart.png", signed=True)
    write_png(Image.fromarray(QUADRANTS), tmp_path / "mine.png")
    for read in (read_image, lambda path: read_square(path, 32)):
        with pytest.raises(DataError, match=r"chart\.png: is no photo, because picie drew it"):
            read(tmp_path / "chart.png")
    assert near(read_image(tmp_path / "mine.png"))


def test_heic_is_read_upright(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(QUADRANTS).save(tmp_path / "a.heic", format="HEIF")
    Image.fromarray(QUADRANTS).save(tmp_path / "b.heic", format="HEIF", exif=exif.tobytes())
    (tmp_path / "c.jpg").write_bytes((tmp_path / "a.heic").read_bytes())
    assert near(read_image(tmp_path / "a.heic"))
    assert near(read_image(tmp_path / "c.jpg"))
    assert near(np.rot90(read_image(tmp_path / "b.heic")))
    assert stored_orientation(tmp_path / "b.heic") == 1


def test_heic_without_its_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    images._heif.cache_clear()
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(DataError, match=r'pip install "picie\[heif\]"'):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "loop", "nothing"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    path, there = tmp_path / "a.jpg", socket.socket(socket.AF_UNIX)
    if kind == "pipe":
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    elif kind == "socket":
        there.bind(os.path.relpath(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path if kind == "loop" else tmp_path / "gone")
    with pytest.raises(DataError, match=rf"a\.jpg: cannot be read as an image \(.*{REASONS[kind]}"):
        read_image(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_square(path, 32)
    there.close()


REASONS = {
    **{"pipe": "it is a pipe, not a regular file", "socket": "it is a socket"},
    **{"device": "it is a device", "folder": "it is a folder"},
    **{"loop": "[Ll]evels of symbolic links", "nothing": "No such file"},
}


def turned(path: Path, array: NDArray[np.uint8], orientation: int) -> Path:
    image = Image.fromarray(array)
    exif = image.getexif()
    exif[274] = orientation
    image.save(path, exif=exif.tobytes(), quality=95)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["jpg", "png", "tif"])
def test_the_size_is_that_of_the_upright_image(
    tmp_path: Path, orientation: int, extension: str
) -> None:
    path = turned(tmp_path / f"a.{extension}", noise(20, 30, 3), orientation)
    height, width = read_image(path).shape[:2]
    assert upright_size(path) == (width, height)


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_a_reduced_image_is_upright_and_knows_its_size(tmp_path: Path, orientation: int) -> None:
    slope = np.linspace(0, 255, 301 * 405 * 3).reshape(301, 405, 3).astype(np.uint8)
    path = turned(tmp_path / "a.jpg", slope, orientation)
    whole = read_image(path)
    image, size = read_reduced(path, 90)
    assert size == whole.shape[1::-1]
    assert max(image.shape) == 102
    wanted = np.array(Image.fromarray(whole).resize(image.shape[1::-1], Image.Resampling.BOX))
    assert np.abs(image.astype(int) - wanted).mean() < 4
    np.testing.assert_array_equal(read_reduced(path, 405)[0], whole)
    np.testing.assert_array_equal(read_reduced(path, 9999)[0], whole)


def test_other_formats_are_not_reduced(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", noise(90, 70, 3))
    image, size = read_reduced(path, 10)
    np.testing.assert_array_equal(image, read_image(path))
    assert size == (70, 90)


@pytest.mark.parametrize("size", [(700, 900), (3, 200_000), (300_000, 1)])
def test_a_large_image_is_read_in_strips(tmp_path: Path, size: tuple[int, int]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png", compress_level=0)
    assert np.array_equal(read_image(tmp_path / "a.png"), values)
