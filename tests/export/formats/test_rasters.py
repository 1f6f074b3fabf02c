"""Rasters window by window: masks as of whole images, void where there is no data."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.data.images import read_image
from picie.data.reading import Reading
from picie.data.synthetic.scenes import draw_scene
from picie.errors import ConfigError, DataError, MissingExtraError
from picie.export.formats import rasters
from picie.export.formats.rasters import RasterView, masks_of, open_raster, settled
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
    image, model = scene(288, 416), model.cut(8)
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


@pytest.mark.parametrize("nodata", [0, 255])
def test_alpha_and_a_nodata_value_are_no_data(model: Segmenter, write: Write, nodata: int) -> None:
    alpha = np.full((1, 64, 96), 255, np.uint8)
    alpha[:, 30:, 50:] = 0
    image = scene(64, 96).clip(1, 254)
    image[:, :8] = nodata
    path = write(np.concatenate([image, alpha]), photometric="rgb", alpha="yes", nodata=nodata)
    void = (alpha[0] == 0) | (image == nodata).all(0)
    assert np.array_equal(segmented(model, path) == -1, void)


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
    values = np.arange(10000, dtype=np.float32).reshape(1, 100, 100) + 0.5
    values[0, 0, :3] = (np.nan, np.inf, -np.inf)
    with open_raster(write(values), RasterView()) as raster:
        assert raster.stretch == pytest.approx((53, 9950), abs=3)
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


# --- files that refer to others, or are too large


@pytest.fixture
def visits() -> Iterator[list[str]]:
    """Requests that reach a server of this machine; its address comes first."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.append(f"http://127.0.0.1:{server.server_port}/{uuid4().hex}")
    with ThreadPoolExecutor() as pool:
        pool.submit(server.serve_forever, 0.05)
        yield seen
        server.shutdown()
    server.server_close()


def vrt(source: str, side: int = 64) -> str:
    """A virtual raster of one band of another one."""
    return (
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>EPSG:32633</SRS><GeoTransform>'
        '500000,10,0,5200000,0,-10</GeoTransform><VRTRasterBand dataType="Byte" band="1">'
        f'<SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1'
        "</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )


def tile_service(address: str) -> str:
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{address}/${{z}}/${{x}}/${{y}}.png</ServerUrl>'
        "</Service><DataWindow><UpperLeftX>-100</UpperLeftX><UpperLeftY>100</UpperLeftY>"
        "<LowerRightX>100</LowerRightX><LowerRightY>-100</LowerRightY><TileLevel>1</TileLevel>"
        "</DataWindow><Projection>EPSG:3857</Projection><BlockSizeX>64</BlockSizeX><BlockSizeY>64"
        "</BlockSizeY><BandsCount>3</BandsCount></GDAL_WMS>"
    )


OTHER_FORMATS: dict[str, Callable[[Path, str], str]] = {
    "a local raster": lambda tmp_path, _: vrt(str(tmp_path / "raster.tif")),
    "an address": lambda _, address: vrt(f"/vsicurl/{address}.tif"),
    "a huge one": lambda _, address: vrt(f"/vsicurl/{address}.tif", 2**31 - 1),
    "tiles": lambda _, address: tile_service(address),
    "a map service": lambda _, address: (
        f"<GDAL_WMTS><GetCapabilitiesUrl>{address}</GetCapabilitiesUrl></GDAL_WMTS>"
    ),
    "a coverage": lambda _, address: (
        f"<WCS_GDAL><ServiceURL>{address}?</ServiceURL><CoverageName>a</CoverageName></WCS_GDAL>"
    ),
    "an index": lambda _, address: (
        f"<GDALTileIndexDataset><IndexDataset>/vsicurl/{address}.gpkg</IndexDataset>"
        "</GDALTileIndexDataset>"
    ),
    "a catalogue": lambda _, address: json.dumps(
        {"type": "Feature", "stac_version": "1.0.0", "assets": {"a": {"href": f"{address}.tif"}}}
    ),
    "HDF5": lambda *_: "\x89HDF\r\n\x1a\n" + "\0" * 500,
    "netCDF": lambda *_: "CDF\x01" + "\0" * 500,
    "JPEG": lambda *_: "\xff\xd8\xff\xe0\x00\x10JFIF" + "\0" * 500,
}


@pytest.mark.parametrize("kind", list(OTHER_FORMATS))
def test_other_formats_are_not_opened(
    write: Write, tmp_path: Path, visits: list[str], kind: str
) -> None:
    write(scene(64, 64))
    (tmp_path / "x.tif").write_text(OTHER_FORMATS[kind](tmp_path, visits[0]), encoding="latin-1")
    with (
        pytest.raises(DataError, match=r"x\.tif: cannot be read as a raster \(it is not a GeoTIFF"),
        open_raster(tmp_path / "x.tif", RasterView()),
    ):
        pass
    assert len(visits) == 1


@pytest.mark.parametrize("beside", [".ovr", ".aux.xml"])
def test_files_beside_a_raster_are_not_read(
    model: Segmenter, write: Write, visits: list[str], beside: str
) -> None:
    path = write(scene(256, 256))
    expected = segmented(model, path, size=64)
    address = f"/vsicurl/{visits[0]}.tif"
    pam = f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{address}</MDI>'
    content = vrt(address) if beside == ".ovr" else f"{pam}</Metadata></PAMDataset>"
    path.with_name(f"{path.name}{beside}").write_text(content)
    assert np.array_equal(segmented(model, path, size=64), expected)
    assert len(visits) == 1


def test_overviews_that_lie_elsewhere(write: Write, visits: list[str]) -> None:
    path = write(scene(256, 256))
    with rasterio.open(path, "r+") as file:
        file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=f"/vsicurl/{visits[0]}.tif")
    with (
        pytest.raises(DataError, match=r"raster\.tif: refers to another file with its overviews"),
        open_raster(path, RasterView()),
    ):
        pass
    assert len(visits) == 1


def test_a_mask_beside_a_raster(model: Segmenter, write: Write, visits: list[str]) -> None:
    small = write(scene(32, 32)).read_bytes()
    path = write(scene(64, 96))
    there = np.ones((64, 96), bool)
    there[:, :11] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(there)
    beside = path.with_name("raster.tif.msk")
    assert beside.is_file()
    assert np.array_equal(segmented(model, path) == -1, ~there)
    beside.write_text(vrt(f"/vsicurl/{visits[0]}.tif", 64))
    with pytest.raises(DataError, match="it is not a GeoTIFF"):
        segmented(model, path)
    assert len(visits) == 1
    beside.write_bytes(small)
    with pytest.raises(DataError, match=r"raster\.tif\.msk: has another size than raster\.tif"):
        segmented(model, path)


def test_sizes_have_limits(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(DataError) as caught, open_raster(path, RasterView()):
            pass
        return str(caught.value)

    path = tmp_path / "sparse.tif"
    rules: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": "uint8",
        "crs": "EPSG:32633",
        "transform": rasterio.Affine(10, 0, 500000, 0, -10, 5200000),
        "SPARSE_OK": True,
        "tiled": True,
        "bigtiff": "yes",
    }
    with rasterio.open(
        path, "w", width=200_000, height=200_000, count=1, blockxsize=4096, blockysize=4096, **rules
    ):
        pass
    assert "has 200000 x 200000 pixels, more than 10,000,000,000; cut it into" in refused(path)
    with rasterio.open(path, "w", width=64, height=64, count=1001, **rules):
        pass
    assert "has 1001 bands, more than 1000; take those of a picture" in refused(path)
    with rasterio.open(
        path, "w", width=64, height=64, count=1, blockxsize=32768, blockysize=65536, **rules
    ):
        pass
    assert "is stored in blocks of 2.0 GiB, more than 1 GiB; write it anew" in refused(path)


def test_a_raster_needs_a_transform(write: Write, tmp_path: Path) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(scene(32, 32), transform=None)
    (tmp_path / "raster.tfw").write_text("10\n0\n0\n-10\n500000\n5200000\n")
    with (
        pytest.raises(
            DataError, match=r"no transform; give it one .* \(raster\.tfw beside it: not"
        ),
        open_raster(path, RasterView()),
    ):
        pass


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.tif")
    with (
        pytest.raises(DataError, match=r"x\.tif: cannot be read as a raster"),
        open_raster(tmp_path / "x.tif", RasterView()),
    ):
        pass


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


# --- one rule for rasters and photos


def test_rasters_are_read_as_training_reads_them(model: Segmenter, write: Write) -> None:
    image = scene(64, 96)
    wide = np.rint(image / 255 * 4095).astype(np.uint16)
    path = write(wide)
    for separate in (False, True):
        path = write(wide, interleave="band" if separate else "pixel")
        with open_raster(path, RasterView()) as raster:
            assert raster.stretch == (0.0, 4095.0)
            shown = raster.shown(None, (64, 96))
        assert np.array_equal(shown, image)
        assert np.array_equal(np.moveaxis(shown, 0, 2), read_image(path))
    with open_raster(write(image), RasterView(stretch=(100, 101))) as raster:
        assert np.array_equal(raster.shown(None, (64, 96)), image)  # bytes stay as they are


def test_all_rasters_have_one_stretch(write: Write, tmp_path: Path) -> None:
    image = scene(64, 96)
    paths = []
    for number, top in enumerate((200, 4095)):
        path = write(np.rint(image / 255 * top).astype(np.uint16))
        paths.append(path.rename(tmp_path / f"{number}.tif"))
    (tmp_path / "broken.tif").write_text("no raster")
    view, notes = settled(RasterView(), Reading(), [*paths, tmp_path / "broken.tif"])
    assert view.stretch == (0.0, 4095.0)
    assert notes == [
        "12-bit images: values 0 to 4095 become 0 to 255 (--stretch LOW HIGH changes that)"
    ]
    trained = Reading(stretch=(0, 9), bands=(3, 2, 1))
    assert settled(RasterView(), trained, paths) == (RasterView((3, 2, 1), (0, 9)), [])
    own = RasterView((1,), (0, 5))
    assert settled(own, trained, paths) == (own, [])


def test_infrared_that_is_tagged_as_opacity_voids_nothing(model: Segmenter, write: Write) -> None:
    image = scene(64, 96)
    infrared = np.random.default_rng(0).integers(1, 256, (1, 64, 96), dtype=np.uint8)
    infrared[:, :10] = 0  # water
    bands = np.concatenate([image, infrared])
    path = write(bands, photometric="rgb", alpha="yes")
    assert np.array_equal(segmented(model, path), segmented(model, write(image)))
    path = write(bands, photometric="rgb", alpha="yes")
    view, notes = settled(RasterView(), Reading(), [path])
    assert view == RasterView()
    assert "the last band of raster.tif and files like it is tagged as opacity, but" in notes[0]
    path = write(bands, photometric="rgb", alpha="yes", nodata=int(image[0, 20, 20]))
    empty = (image == image[0, 20, 20]).all(0)
    assert np.array_equal(segmented(model, path) == -1, empty)


@pytest.mark.parametrize("fill", [-9999, -3.4e38, np.nan])
def test_missing_data_that_is_not_declared_is_void(
    model: Segmenter, write: Write, fill: float
) -> None:
    values = scene(64, 96).astype(np.float32) / 4 + 250
    values[:, :, :9] = fill
    path = write(values)
    void = np.broadcast_to(np.arange(96) < 9, (64, 96))
    assert np.array_equal(segmented(model, path) == -1, void)
    with open_raster(path, RasterView()) as raster:
        assert raster.stretch is not None
        assert 240 < raster.stretch[0] < raster.stretch[1] < 330
