"""The size of a pixel: from text, and from the headers of maps."""

import sys
from pathlib import Path

import numpy as np
import pytest

from picie.errors import ConfigError
from picie.measurement.units import PixelSize, parse_pixel_size, scale_of

_METRES, _FEET = "EPSG:25832", "EPSG:2263"


def write_map(path: Path, crs: str | None, pixel: float) -> Path:
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(pixel, 0, 500_000, 0, -pixel, 6_000_000)
    if crs in (None, "EPSG:4326"):
        place = rasterio.Affine(pixel, 0, 9, 0, -pixel, 50)
    shape = {"height": 8, "width": 8, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=place, **shape) as file:
        file.write(np.zeros((3, 8, 8), np.uint8))
    return path


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0.05", PixelSize(0.05, "m")),
        ("0.65um", PixelSize(0.65, "um")),
        (" 2e-1 µm", PixelSize(0.2, "um")),
        ("30cm", PixelSize(30, "cm")),
        ("", None),
    ],
)
def test_sizes_are_metres_unless_a_unit_follows(text: str, size: PixelSize | None) -> None:
    assert parse_pixel_size(text) == size


@pytest.mark.parametrize(
    "text", ["0", "-1", "nan", "inf", "1e", "m", "3 parsec", "0.1 0.2", "1e999"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"such as 0.05 \(metres\) or 0.65um; units: nm, um"):
        parse_pixel_size(text)


def test_a_given_size_holds_for_every_photo(tmp_path: Path) -> None:
    file = write_map(tmp_path / "a.tif", _METRES, 0.25)
    scale = scale_of("65nm", [file])
    assert (scale.unit, scale.side(file), scale.side("b.jpg")) == ("nm", 65, 65)


def test_maps_in_metres_or_feet_have_a_size(tmp_path: Path) -> None:
    files = [write_map(tmp_path / f"{crs[5:]}.tif", crs, 0.25) for crs in (_METRES, _FEET)]
    scale = scale_of("", ["a.jpg", *files])
    assert (scale.unit, scale.notes) == ("m", ())
    assert scale.side("a.jpg") is None
    assert scale.side(files[0]) == pytest.approx(0.25)
    assert scale.side(files[1]) == pytest.approx(0.25 * 1200 / 3937)  # US survey feet


@pytest.mark.parametrize(("crs", "problem"), [("EPSG:4326", "degrees"), ("EPSG:3857", "Mercator")])
def test_degrees_and_mercator_have_no_areas(tmp_path: Path, crs: str, problem: str) -> None:
    file = write_map(tmp_path / "far.tif", crs, 0.01)
    scale = scale_of("", [file])
    assert scale.unit == ""
    assert scale.side(file) is None
    (note,) = scale.notes
    assert problem in note
    assert "far.tif" in note
    assert "gdalwarp -t_srs" in note
    assert "--pixel-size" in note


def test_plain_tiffs_and_other_files_have_no_size(tmp_path: Path) -> None:
    plain = write_map(tmp_path / "plain.tif", None, 0.25)
    broken = tmp_path / "broken.TIF"
    broken.write_text("no image")
    scale = scale_of("", [plain, broken, "a.jpg"])
    assert (scale.unit, scale.notes) == ("", ())


def test_without_rasterio_tiffs_get_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert scale_of("", ["a.jpg"]).notes == ()
    (note,) = scale_of("", ["a.tif"]).notes
    assert 'pip install "picie[geo]"' in note
    assert scale_of("1um", ["a.tif"]).notes == ()
