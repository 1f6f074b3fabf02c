"""Rasters window by window: masks as of whole images, void where there is no data."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.data.synthetic.scenes import draw_scene
from picie.errors import ConfigError, DataError, MissingExtraError
from picie.export.formats import rasters
from picie.export.formats.rasters import RasterView, masks_of, open_raster
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass

rasterio = pytest.importorskip("rasterio")

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes bands (B, H, W) as a georeferenced TIFF."""

    def of(bands: NDArray[Any], **profile: Any) -> Path:
        path = tmp_path / "raster.tif"
        settings = {
            "driver": "GTiff",
            "count": len(bands),
            "height": bands.shape[1],
            "width": bands.shape[2],
            "dtype": bands.dtype,
            "crs": "EPSG:32633",
            "transform": rasterio.Affine(10, 0, 500000, 0, -10, 5200000),
        }
        with rasterio.open(path, "w", **settings | profile) as file:
            file.write(bands)
        return path

    return of


def scene(height: int, width: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(draw_scene(3, 0, (height, width))[0].transpose(2, 0, 1))


def segmented(model: Segmenter, path: Path, **raster_view: Any) -> NDArray[np.int64]:
    """The whole mask; every pixel must come exactly once."""
    with open_raster(path, RasterView(**raster_view)) as raster:
        mask = np.full(raster.file.shape, -9)
        for block in masks_of(model, raster, RasterView(**raster_view)):
            height, width = block.ids.shape
            place = mask[block.top : block.top + height, block.left : block.left + width]
            assert (place == -9).all()
            place[:] = block.ids
            last = block.share
    assert last == 1
    assert (mask != -9).all()
    return mask


@pytest.mark.parametrize("across", [1, 2, 8])
def test_windows_give_the_mask_of_the_whole_image(
    model: Segmenter, write: Write, monkeypatch: pytest.MonkeyPatch, across: int
) -> None:
    monkeypatch.setattr(rasters, "_ACROSS", across)
    image = scene(288, 416)
    expected = model.predict(image.transpose(1, 2, 0), size=288, tile=128)
    found = segmented(model, write(image), tile=128)
    assert (found == expected).mean() > 0.9999
    assert len(np.unique(found)) > 1


@pytest.mark.parametrize("size", [(50, 70), (20, 300), (1, 1)])
def test_sizes_that_are_no_multiples_of_32(
    model: Segmenter, write: Write, size: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 255, (3, *size), dtype=np.uint8)
    found = segmented(model, write(image), tile=0)
    assert found.shape == size
    wanted = segmented(model, write(image), size=64)
    expected = model.predict(image.transpose(1, 2, 0), size=64)
    assert (wanted == expected).mean() > 0.9  # GDAL resamples a bit unlike Pillow


def test_pixels_without_data_are_void(model: Segmenter, write: Write) -> None:
    image = scene(64, 96)
    image[:, :10] = 0
    found = segmented(model, write(image, nodata=0))
    assert np.array_equal(found == -1, (image == 0).all(0))
    values = image.astype(np.float32)
    values[:, :, :7] = np.nan
    found = segmented(model, write(values))
    assert np.array_equal(found == -1, np.isnan(values[0]))


def test_alpha_is_no_data(model: Segmenter, write: Write) -> None:
    alpha = np.full((1, 64, 96), 255, np.uint8)
    alpha[:, 30:, 50:] = 0
    path = write(np.concatenate([scene(64, 96), alpha]), photometric="rgb", alpha="yes")
    assert np.array_equal(segmented(model, path) == -1, alpha[0] == 0)


def test_ignored_classes_are_void(model: Segmenter, write: Write) -> None:
    path = write(scene(64, 96))
    plain = segmented(model, path)
    number = int(plain[0, 0])
    ignored = model.named(ClassNames(3, (NamedClass("x", (number,), ignore=True),)))
    assert np.array_equal(segmented(ignored, path) == -1, plain == number)


def test_bands_and_stretch(model: Segmenter, write: Write) -> None:
    image = scene(64, 96)
    plain = segmented(model, write(image))
    mixed = np.stack([image[2], image[0], image[1]])
    assert np.array_equal(segmented(model, write(mixed), bands=(2, 3, 1)), plain)
    wide = (image.astype(np.uint16) * 40 + 1000).astype(np.uint16)
    found = segmented(model, write(wide), stretch=(1000.0, 1000.0 + 255 * 40))
    assert np.array_equal(found, plain)
    grey = write(image[:1])
    with open_raster(grey, RasterView()) as raster:
        shown = raster.shown(None, (64, 96))
        assert (raster.bands, raster.stretch) == ((1,), None)
    assert np.array_equal(shown, np.repeat(image[:1], 3, 0))


def test_the_stretch_of_other_numbers_than_bytes(write: Write) -> None:
    values = np.arange(10000, dtype=np.float32).reshape(1, 100, 100)
    values[0, 0, :3] = (np.nan, np.inf, -np.inf)
    with open_raster(write(values), RasterView()) as raster:
        assert raster.stretch == pytest.approx((202, 9799), abs=3)
        shown = raster.shown(None, (100, 100))[0]
    assert shown[0, 10] == 0
    assert shown[99, 99] == 255
    assert np.abs(shown[50, 50] - 127.5) < 2


@pytest.mark.parametrize(("nodata", "stretch"), [(None, (7, 8)), (7, (0, 1))])
def test_the_stretch_of_one_value_or_none(
    write: Write, nodata: int | None, stretch: tuple[float, float]
) -> None:
    path = write(np.full((1, 4, 4), 7, np.int16), nodata=nodata)
    with open_raster(path, RasterView()) as raster:
        assert raster.stretch == stretch


def test_rasters_that_cannot_be_used(write: Write, tmp_path: Path) -> None:
    image = scene(32, 32)

    def refused(path: Path, **raster_view: Any) -> str:
        with pytest.raises(DataError) as caught, open_raster(path, RasterView(**raster_view)):
            pass
        return str(caught.value)

    text = refused(write(image, crs=None))
    assert "raster.tif: has no coordinate system; give it one (gdal_edit.py -a_srs)" in text
    assert "has 3 bands, but --bands asks for 4" in refused(write(image), bands=(4,))
    assert "complex numbers" in refused(write(image.astype(np.complex64)))
    (tmp_path / "x.tif").write_text("no raster")
    assert "x.tif: cannot be read as a raster (" in refused(tmp_path / "x.tif")
    assert "cannot be read" in refused(tmp_path / "missing.tif")


@pytest.mark.parametrize("bands", [(1, 2), (0,), (1, 2, 3, 4)])
def test_bands_that_cannot_be(bands: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"--bands .*: give three bands"):
        RasterView(bands)


def test_a_stretch_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="--stretch 5 2: the second value must be the larger"):
        RasterView(stretch=(5, 2))


def test_a_damaged_raster_is_named(model: Segmenter, write: Write) -> None:
    path = write(np.random.default_rng(0).integers(0, 255, (3, 256, 256), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataError, match=r"raster\.tif: cannot be read as a raster"):
        segmented(model, path)


def test_rasterio_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with (
        pytest.raises(MissingExtraError, match=r'needs rasterio: pip install "picie\[geo\]"'),
        open_raster(tmp_path / "x.tif", RasterView()),
    ):
        pass
