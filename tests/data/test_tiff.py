"""TIFF of all kinds, written by tifffile, by GDAL and by Pillow, read as the values they hold."""

import itertools
import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from picie.data.folder import open_folder
from picie.data.images import read_image, read_stored, stored_pixels
from picie.data.opening import turned
from picie.data.reading import Reading
from picie.data.tiff import tiff_head, tiff_layout, tiff_orientation
from picie.errors import DataError

SHAPE = (37, 53)


def values(kind: str, bands: int, top: float | None = None) -> NDArray[Any]:
    """(H, W, B), smooth, of nearly the whole range of a type."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] / max(SHAPE)
    waves = [np.sin(3 * columns + band) / 4 + np.cos(4 * rows - band) / 4 for band in range(bands)]
    share = np.stack(waves, 2) + 0.5
    if kind.startswith("f"):
        return (share * 100 - 20).astype(kind)
    low = np.iinfo(kind).min / 2
    return (low + share * 0.99 * ((top or np.iinfo(kind).max) - low)).astype(kind)


def write(path: Path, array: NDArray[Any], **options: Any) -> Path:
    """Writes (H, W, B) with tifffile."""
    separate = options.get("planarconfig") == "separate"
    data = np.moveaxis(array, 2, 0) if separate else array
    colours = {3: "rgb", 4: "rgb"}.get(array.shape[2], "minisblack")
    extra = ["unspecified"] * (array.shape[2] - 3) if array.shape[2] == 4 else None
    settings = {"photometric": colours, "extrasamples": extra, "metadata": None} | options
    tifffile.imwrite(path, data[..., 0] if array.shape[2] == 1 else data, **settings)
    return path


@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "i4", "i1", "f2", "f4", "f8", "u1"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
def test_every_type_and_layout(tmp_path: Path, kind: str, bands: int) -> None:
    truth = values(kind, bands)
    predictor = 3 if kind.startswith("f") else 2
    layouts: list[dict[str, Any]] = [{"rowsperstrip": 7}, {"tile": (16, 32)}]
    codings: list[dict[str, Any]] = [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "lzw"},
        {"compression": "deflate", "predictor": predictor},
        {"compression": "packbits"},
        {"compression": "zstd", "predictor": predictor},
    ]
    planes = ["contig", "separate"] if bands > 1 else [None]
    for layout, coding, plane in itertools.product(layouts, codings, planes):
        path = write(tmp_path / "a.tif", truth, planarconfig=plane, **layout, **coding)
        found = read_stored(path).values
        assert np.array_equal(found, truth), (layout, coding, plane)


@pytest.mark.parametrize("kind", ["uint16", "int16", "int32", "float32", "int8", "uint8"])
@pytest.mark.parametrize("bands", [1, 3, 4, 6])
def test_what_gdal_writes(tmp_path: Path, kind: str, bands: int) -> None:
    rasterio = pytest.importorskip("rasterio")
    truth = values(kind if kind != "float32" else "f4", bands)
    for interleave, compress in itertools.product(["band", "pixel"], [None, "lzw", "lerc"]):
        profile = {"compress": compress} if compress else {}
        path = tmp_path / "a.tif"
        with rasterio.open(
            path, "w", driver="GTiff", count=bands, height=SHAPE[0], width=SHAPE[1], dtype=kind,
            interleave=interleave, tiled=True, blockxsize=16, blockysize=16, crs="EPSG:32633",
            transform=rasterio.Affine(2, 0, 9, 0, -2, 9), **profile,
        ) as file:  # fmt: skip
            file.write(np.moveaxis(truth, 2, 0))
        assert np.array_equal(read_stored(path).values, truth), (interleave, compress)


@pytest.mark.parametrize("bits", [9, 10, 11, 12, 13, 14, 15])
def test_packed_bits(tmp_path: Path, bits: int) -> None:
    rasterio = pytest.importorskip("rasterio")
    truth = values("uint16", 3, 2**bits - 1)
    for interleave in ("band", "pixel"):
        path = tmp_path / "a.tif"
        with rasterio.open(
            path, "w", driver="GTiff", count=3, height=SHAPE[0], width=SHAPE[1], dtype="uint16",
            nbits=bits, interleave=interleave, crs="EPSG:32633",
            transform=rasterio.Affine(2, 0, 9, 0, -2, 9),
        ) as file:  # fmt: skip
            file.write(np.moveaxis(truth, 2, 0))
        stored = read_stored(path)
        assert np.array_equal(stored.values, truth)
        assert stored.bits == bits


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "bands"), [("u2", 1), ("u2", 3), ("f4", 1), ("u1", 3)])
def test_every_orientation(tmp_path: Path, orientation: int, kind: str, bands: int) -> None:
    truth = values(kind, bands)
    back = {6: 8, 8: 6}.get(orientation, orientation)
    tag = [(274, "H", 1, orientation, True)]
    path = write(tmp_path / "a.tif", turned(truth, back), extratags=tag)
    assert np.array_equal(read_stored(path).values, truth)
    assert tiff_orientation(path) == orientation


def test_white_may_be_zero(tmp_path: Path) -> None:
    for kind, top in (("u1", 255), ("u2", 65535)):
        path = write(tmp_path / "a.tif", values(kind, 1), photometric="miniswhite")
        assert np.array_equal(read_stored(path).values, top - values(kind, 1))


def test_inks_of_16_bits(tmp_path: Path) -> None:
    inks = Image.fromarray(values("u1", 3)).convert("CMYK")
    deep = np.asarray(inks).astype(np.uint16) * 257
    path = write(tmp_path / "a.tif", deep, photometric="separated", extrasamples=None)
    found = read_image(path, Reading(stretch=(0, 9)))  # inks have no stretch
    assert np.abs(found.astype(int) - np.asarray(inks.convert("RGB"))).max() <= 1


@pytest.mark.parametrize("tag", ["unassalpha", "assocalpha"])
def test_a_fourth_band_is_opacity_if_it_looks_like_it(tmp_path: Path, tag: str) -> None:
    colours = values("u1", 3)
    path = tmp_path / "a.tif"
    opaque = np.full((*SHAPE, 1), 255, np.uint8)
    opaque[:9], opaque[9, :6, 0] = 0, (10, 60, 100, 200, 250, 1)  # a soft edge
    write(path, np.dstack([colours, opaque]), extrasamples=[tag])
    with Image.open(path) as image:
        rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    expected = np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
    assert np.array_equal(read_image(path), expected)
    infrared = values("u1", 4)
    infrared[:9, :, 3] = 0  # water
    write(path, infrared, extrasamples=[tag])
    assert np.array_equal(read_image(path), infrared[..., :3])
    infrared[..., 3] = 0
    write(path, infrared, extrasamples=[tag])
    assert np.array_equal(read_image(path), infrared[..., :3])
    write(path, np.zeros((*SHAPE, 4), np.uint8), extrasamples=[tag])  # an empty tile
    assert (read_image(path) == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_page_is_read_like_the_first(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(values("u1", 3))
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(np.where(values("u1", 1) > 90, 255, 0).astype("u1")[..., 0]))
    image = image.quantize(40) if mode == "P" else image.convert(mode)
    path = tmp_path / "a.tif"
    thumbnail = Image.new("L", (5, 5))
    image.save(path, save_all=True, append_images=[image, thumbnail])
    first, second = (read_image(path, page=page) for page in (0, 1))
    assert first.shape == (*SHAPE, 3)
    assert np.abs(first.astype(int) - second).max() <= 1


def test_thumbnails_overviews_and_masks_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for kind, top in ((0, 9), (1, 1), (1, 2), (0, 7)):
            page = np.full((8, 8), top, np.uint16)
            writer.write(page, subfiletype=kind, photometric="minisblack", metadata=None)
    assert tiff_layout(path).images == ((0,), (3,))
    assert [int(read_stored(path, page=page).values.max()) for page in (0, 1)] == [9, 7]
    with pytest.raises(DataError, match=r"a\.tif: has 2 pages; there is no page 3"):
        read_image(path, page=2)


def test_channels_of_ome_are_bands(tmp_path: Path) -> None:
    stack = np.arange(4 * 3 * 5 * 6, dtype=np.uint16).reshape(4, 3, 5, 6)
    path = tmp_path / "a.ome.tif"
    names = {"Name": ["DAPI", "GFP", "RFP"]}
    metadata = {"axes": "TCYX", "Channel": names}
    tifffile.imwrite(path, stack, metadata=metadata, photometric="minisblack")
    assert tiff_layout(path).channels == ("DAPI", "GFP", "RFP")
    for time in range(4):
        found = read_stored(path, page=time)
        assert np.array_equal(found.values, np.moveaxis(stack[time], 0, 2))
        assert found.channels
    assert tiff_head(path) == (True, 4, False, ("DAPI", "GFP", "RFP"))


def test_two_channels_of_imagej_are_red_and_green(tmp_path: Path) -> None:
    stack = np.arange(2 * 2 * 5 * 6, dtype=np.uint8).reshape(2, 2, 5, 6)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZCYX"})
    assert tiff_layout(path).channels == ("channel 1", "channel 2")
    shown = read_image(path, page=1)
    assert np.array_equal(shown[..., :2], np.moveaxis(stack[1], 0, 2))
    assert (shown[..., 2] == 0).all()
    assert np.array_equal(read_image(path, Reading(bands=(2,)))[..., 0], stack[0, 1])


def test_a_stack_of_imagej_may_have_one_header_for_all_images(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    stack = np.arange(5 * 8 * 9, dtype=">u2").reshape(5, 8, 9)
    text = "ImageJ=1.53t\nimages=5\nslices=5\n"
    with tifffile.TiffWriter(path, byteorder=">") as writer:
        writer.write(stack[0], description=text, metadata=None, photometric="minisblack")
    with path.open("ab") as file:
        file.write(stack[1:].tobytes())
    layout = tiff_layout(path)
    assert len(layout.images) == 5
    assert layout.offset > 0
    for number in range(5):
        assert np.array_equal(read_stored(path, page=number).values[..., 0], stack[number])


def test_nodata_of_gdal_is_known(tmp_path: Path) -> None:
    tag = [(42113, "s", 0, "-9999", True)]
    path = write(tmp_path / "a.tif", values("f4", 1), extratags=tag)
    assert read_stored(path).nodata == -9999
    assert read_stored(write(tmp_path / "b.tif", values("f4", 1))).nodata is None


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((8, 8, 1), "c8"), {}, "it holds MINISBLACK of 64 bits .complex64"),
        (np.zeros((8, 8, 3), "u2"), {"photometric": "cielab"}, "it holds CIELAB of 16 bits"),
    ],
)
def test_what_cannot_be_shown_is_said(
    tmp_path: Path, array: NDArray[Any], options: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "a.tif", array, **options)
    with pytest.raises(DataError, match=rf"a\.tif: cannot be read as an image \({message}"):
        read_image(path)


def test_memory_has_a_limit_before_anything_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", values("f8", 5), planarconfig="contig")
    with pytest.raises(DataError, match=r"has 53 x 37 pixels, more than 1,960; raise --max-pixels"):
        read_image(path, Reading(max_pixels=1960))
    with pytest.raises(DataError, match=r"takes 0\.0 GB of memory, 5 bands of 53 x 37 pixels"):
        read_image(path, Reading(max_pixels=1961))
    write(path, values("u2", 1), tile=(1024, 1024), compression="deflate")
    with pytest.raises(DataError, match=r"GB of memory"):
        read_image(path, Reading(max_pixels=10_000))


def test_other_files_that_ome_names_are_not_opened(tmp_path: Path) -> None:
    metadata = {"axes": "TYX"}
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((2, 5, 6), np.uint16), metadata=metadata)
    other = path.read_bytes().replace(b'FirstT="1"', b'FirstT="0"')
    path.write_bytes(other)
    assert read_image(path).shape == (5, 6, 3)


def test_damaged_headers_take_neither_time_nor_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(3):
            writer.write(values("u2", 1)[..., 0], contiguous=False, metadata=None)
    with tifffile.TiffFile(path) as file:
        first, second = (page.aspage() for page in (file.pages[0], file.pages[1]))
        after = second.offset + 2 + 12 * len(second.tags)
        length = next(tag.offset for tag in first.tags if tag.code == 257)
    content = bytearray(path.read_bytes())
    content[after : after + 4] = first.offset.to_bytes(4, "little")  # the next page is the first
    path.write_bytes(content)
    assert tiff_layout(path).images == ((0,), (1,))
    assert np.array_equal(read_stored(path, page=1).values, values("u2", 1))
    content[length + 4 : length + 8] = (9).to_bytes(4, "little")  # nine heights
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: cannot be read as an image \("):
        read_image(path)
    assert stored_pixels(path) == 0


def test_odd_files_leave_no_remarks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    path = write(tmp_path / "a.tif", values("u2", 3))
    for end in (100, 1000, 5000):
        path.with_name("b.tif").write_bytes(path.read_bytes()[:end])
        with pytest.raises(DataError, match=r"b\.tif: cannot be read as an image"):
            read_image(path.with_name("b.tif"))
    assert capfd.readouterr() == ("", "")


def test_a_deep_image_without_rows_is_named_and_does_not_stop_the_others(tmp_path: Path) -> None:
    whole = tmp_path / "whole.tif"
    Image.fromarray(np.full((4, 5), 900, np.uint16)).save(whole)
    data = whole.read_bytes()
    rows = next(
        entry
        for kind, digits in ((3, "H2x"), (4, "I"))
        if (entry := struct.pack("<HHI" + digits, 257, kind, 1, 4)) in data
    )
    (tmp_path / "none.tif").write_bytes(data.replace(rows, rows[:8] + bytes(4)))
    with pytest.raises(DataError, match=r"none\.tif: cannot be read as an image"):
        read_image(tmp_path / "none.tif")
    assert len(open_folder(tmp_path, reading=Reading()).photos) == 2
