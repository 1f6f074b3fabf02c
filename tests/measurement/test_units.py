"""The size of a pixel: from text, and from the headers of maps."""

import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.errors import ConfigError
from picie.measurement.units import PixelSize, parse_pixel_size, scale_of

_METRES, _FEET = "EPSG:25832", "EPSG:2263"


def write_map(path: Path, crs: str | None, pixel: float, **settings: Any) -> Path:
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(pixel, 0, 500_000, 0, -pixel, 6_000_000)
    if crs in (None, "EPSG:4326"):
        place = rasterio.Affine(pixel, 0, 9, 0, -pixel, 50)
    return write_bands(
        path, np.zeros((3, 8, 8), np.uint8), **{"crs": crs, "transform": place, **settings}
    )


def write_bands(path: Path, bands: NDArray[Any], **settings: Any) -> Path:
    rasterio = pytest.importorskip("rasterio")
    count, height, width = bands.shape
    shape = {"count": count, "height": height, "width": width, "dtype": bands.dtype.name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", **shape, **settings) as file:
            file.write(bands)
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
    "text", ["0", "-1", "nan", "inf", "1e", "m", "3 parsec", "0.1 0.2", "1e999", "1e300", "1e-300"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"such as 0.05 \(metres\) or 0.65um; units: nm, um"):
        parse_pixel_size(text)


def test_a_given_size_holds_for_every_photo(tmp_path: Path) -> None:
    file = write_map(tmp_path / "a.tif", _METRES, 0.25)
    scale = scale_of("65nm", [file])
    assert (scale.unit, scale.ground(file).side, scale.ground("b.jpg").side) == ("nm", 65, 65)


def test_maps_in_metres_or_feet_have_a_size(tmp_path: Path) -> None:
    files = [write_map(tmp_path / f"{crs[5:]}.tif", crs, 0.25) for crs in (_METRES, _FEET)]
    scale = scale_of("", ["a.jpg", *files])
    assert (scale.unit, scale.notes) == ("m", ())
    assert scale.ground("a.jpg").side is None
    assert scale.ground(files[0]).side == pytest.approx(0.25)
    assert scale.ground(files[1]).side == pytest.approx(0.25 * 1200 / 3937)  # US survey feet


@pytest.mark.parametrize(
    ("crs", "problem"),
    [
        ("EPSG:4326", "degrees"),
        ("EPSG:3857", "Mercator"),
        ("EPSG:3395", "Mercator"),
        ("+proj=merc +a=6378137 +b=6378137 +units=m", "Mercator"),
        ("EPSG:4087", "equirectangular"),
    ],
)
def test_degrees_and_stretched_metres_have_no_areas(tmp_path: Path, crs: str, problem: str) -> None:
    file = write_map(tmp_path / "far.tif", crs, 0.01)
    scale = scale_of("", [file])
    assert scale.unit == ""
    assert scale.ground(file).side is None
    (note,) = scale.notes
    assert problem in note
    assert "far.tif" in note
    assert "gdalwarp -t_srs" in note
    assert "--pixel-size" in note


def test_control_points_have_no_areas(tmp_path: Path) -> None:
    control = pytest.importorskip("rasterio.control")
    points = [control.GroundControlPoint(y, x, x, 8 - y) for y in (0, 8) for x in (0, 8)]
    file = write_map(tmp_path / "a.tif", _METRES, 1.0, gcps=points, transform=None)
    scale = scale_of("", [file])
    assert (scale.unit, scale.ground(file).side) == ("", None)
    assert "ground control points" in scale.notes[0]


@pytest.mark.parametrize(
    ("turn", "down", "is_square"), [(0, 0.5, True), (30, 0.5, True), (0, 2, False), (30, 2, False)]
)
def test_areas_of_turned_and_oblong_pixels(
    tmp_path: Path, turn: float, down: float, is_square: bool
) -> None:
    rasterio = pytest.importorskip("rasterio")
    sine, cosine = math.sin(math.radians(turn)), math.cos(math.radians(turn))
    place = rasterio.Affine(0.5 * cosine, down * sine, 5e5, 0.5 * sine, -down * cosine, 6e6)
    file = write_map(tmp_path / "a.tif", _METRES, 1.0, transform=place)
    ground = scale_of("", [file]).ground(file)
    assert ground.side == pytest.approx((0.5 * down) ** 0.5)
    assert ground.is_square is is_square


def test_pixels_without_data_are_known(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    values = np.full((4, 6, 7), 255, np.uint8)
    values[:, :2, :3] = 0
    void = (values == 0).all(0)
    infrared = np.append(values[:3], np.arange(42, dtype=np.uint8).reshape(1, 6, 7), axis=0)
    floats = np.where(values[:1] > 0, np.float32(1), np.float32(np.nan))
    place = {"crs": _METRES, "transform": rasterio.Affine(1, 0, 5e5, 0, -1, 6e6)}
    opacity = {**place, "photometric": "RGB", "alpha": "YES"}
    cases: dict[str, tuple[NDArray[Any], dict[str, Any], NDArray[np.bool_] | None]] = {
        "nodata": (values[:3], {**place, "nodata": 0}, void),
        "opacity": (values, opacity, void),
        "opacity and nodata": (values, {**opacity, "nodata": 0}, void),
        "white opacity": (values, {**opacity, "nodata": 255}, np.ones_like(void)),
        "infrared": (infrared, opacity, None),
        "infrared and nodata": (infrared * ~void, {**opacity, "nodata": 0}, void),
        "nan": (floats, place, void),
        "no map": (values[:3], {"nodata": 0}, None),
        "full": (values[:3], place, None),
    }
    for name, (bands, settings, expected) in cases.items():
        file = write_bands(tmp_path / f"{name}.tif", bands, **settings)
        for text in ("", "2um"):
            missing = scale_of(text, [file]).ground(file).missing
            if expected is None:
                assert missing is None, name
            else:
                assert missing is not None, name
                assert np.array_equal(missing, expected), name


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
