"""Tables of folders, from end to end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from picie.data.synthetic.scenes import draw_scene
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import Segmenter
from picie.measurement import measure as module
from picie.measurement import table
from picie.measurement.measure import measure
from picie.measurement.regions import class_columns
from picie.models.class_names import ClassNames, NamedClass
from picie.runtime.progress import Reporter

arrow = pytest.importorskip("pyarrow")
pytest.importorskip("skimage")

NAMES = ("a.png", "b.jpg", "sub/a.png", "sub/deeper/c d.png")


class Told(Reporter):
    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index, name in enumerate(NAMES):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_scene(1, index, (48 + index, 64))[0]).save(path)
    return tmp_path / "photos"


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = arrow.parquet.read_table(path).to_pylist()
    return rows


def test_every_class_of_every_photo_has_a_row(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    (photos / "broken.jpg").write_text("no image")
    names = ClassNames(3, (NamedClass("road", (2,)), NamedClass("dust", (0,), ignore=True)))
    named, told = model.named(names), Told()
    made = measure(
        named, photos, tmp_path / "t.parquet", pixel_size="2mm", min_region=9, reporter=told
    )
    assert (made.photos, len(made.problems)) == (4, 1)
    assert told.lines[-1].endswith("t.parquet, skipped 1 unreadable photo")
    assert any("broken.jpg: cannot be read" in line for line in told.lines)
    rows = read(made.out)
    assert len(rows) == made.rows
    for prediction in named.predict_folder(photos):
        if prediction.mask is None:
            continue
        mine = [row for row in rows if row["photo"] == prediction.name]
        assert [row["class"] for row in mine[:2]] == ["road", "cluster 1"]
        assert all((row["class"], row["class_id"]) == ("void", -1) for row in mine[2:])
        assert sum(row["share"] for row in mine) == pytest.approx(1)
        assert sum(row["pixels"] for row in mine) == prediction.mask.size
        assert mine[0]["area_mm2"] == 4 * mine[0]["pixels"]


def test_regions_sum_to_classes(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    classes, regions = tmp_path / "c.parquet", tmp_path / "r.parquet"
    measure(model, photos, classes, workers=0)
    measure(model, photos, regions, regions=True)
    sums: dict[Any, int] = {}
    for row in read(regions):
        key = row["photo"], row["class"]
        sums[key] = sums.get(key, 0) + row["pixels"]
    expected = {(row["photo"], row["class"]): row["pixels"] for row in read(classes)}
    assert sums == {key: pixels for key, pixels in expected.items() if pixels}
    counts = {
        name: sum(row["regions"] for row in read(classes) if row["photo"] == name)
        for name in {name for name, _ in expected}
    }
    assert counts == {name: sum(row["photo"] == name for row in read(regions)) for name in counts}


def test_a_stopped_call_goes_on(
    model: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out, told = tmp_path / "w.csv", tmp_path / "t.csv", Told()
    measure(model, photos, whole)
    monkeypatch.setattr(table, "_TOGETHER", 1)
    usual, calls = class_columns, []

    def stopped(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return usual(*args, **options)

    monkeypatch.setattr(module, "class_columns", stopped)
    with pytest.raises(KeyboardInterrupt):
        measure(model, photos, out, workers=0, reporter=told)
    assert told.lines[-1] == "measured 2 of 4 photos; the same command goes on"
    assert not out.exists()
    measure(model, photos, out, reporter=told)
    assert "going on after 2 photos of a stopped command" in told.lines
    assert len(calls) == 5
    assert out.read_bytes() == whole.read_bytes()
    assert list(tmp_path.glob(".part-*")) == []


def test_only_own_tables_are_replaced_and_only_if_asked(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out, other = tmp_path / "t.csv", tmp_path / "notes.csv"
    other.write_text("photo,remark\na,blurred\n")
    measure(model, photos, out)
    with pytest.raises(ConfigError, match="already exists; choose another --out, or pass --overw"):
        measure(model, photos, out)
    before = out.read_bytes()
    measure(model, photos, out, overwrite=True)
    assert out.read_bytes() == before
    with pytest.raises(ConfigError, match="was not written by this command, so it is not replaced"):
        measure(model, photos, other, overwrite=True)
    assert other.read_text() == "photo,remark\na,blurred\n"


def test_nothing_readable_leaves_no_table(model: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_text("no image")
    with pytest.raises(DataError, match="none of the 1 photos could be read"):
        measure(model, tmp_path / "in", tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()


def test_a_map_has_areas_in_square_metres(model: Segmenter, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    bands = np.moveaxis(draw_scene(1, 0, (48, 64))[0], 2, 0)
    place = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 6_000_000)
    (tmp_path / "in").mkdir()
    for name, crs in (("field", "EPSG:25832"), ("far", "EPSG:4326")):
        with rasterio.open(
            tmp_path / "in" / f"{name}.tif", "w", driver="GTiff", crs=crs, transform=place,
            height=48, width=64, count=3, dtype="uint8",
        ) as file:  # fmt: skip
            file.write(bands)
    told = Told()
    measure(model, tmp_path / "in", tmp_path / "t.parquet", reporter=told)
    rows = read(tmp_path / "t.parquet")
    areas = {
        name: [row["area_m2"] for row in rows if row["photo"] == name] for name in ("field", "far")
    }
    assert sum(areas["field"]) == pytest.approx(48 * 64 * 0.25)
    assert set(areas["far"]) == {None}
    assert any("coordinates are degrees" in line for line in told.lines)


@pytest.mark.parametrize("regions", [False, True])
def test_pixels_of_a_map_without_data_are_void(
    model: Segmenter, tmp_path: Path, regions: bool
) -> None:
    rasterio = pytest.importorskip("rasterio")
    bands = np.moveaxis(draw_scene(1, 0, (48, 64))[0], 2, 0).clip(1)
    bands[:, :, :20] = 0
    place = rasterio.Affine(0.5, 0, 500_000, 0, -2, 6_000_000)
    with rasterio.open(
        tmp_path / "field.tif", "w", driver="GTiff", crs="EPSG:25832", transform=place,
        height=48, width=64, count=3, dtype="uint8", nodata=0,
    ) as file:  # fmt: skip
        file.write(bands)
    told, out = Told(), tmp_path / "t.parquet"
    measure(model, tmp_path / "field.tif", out, regions=regions, reporter=told)
    rows = read(out)
    assert sum(row["area_m2"] for row in rows if row["class_id"] >= 0) == 48 * 44
    if regions:
        assert min(row["left_px"] for row in rows) == 20
        assert {row["perimeter_m"] for row in rows} == {None}  # pixels are no squares
    else:
        assert (rows[-1]["class"], rows[-1]["pixels"], rows[-1]["regions"]) == ("void", 48 * 20, 0)
        assert told.lines[-1] == f"{len(rows)} rows of 1 photo in {out}"


def test_a_page_that_is_not_the_first_has_no_void(model: Segmenter, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(1, 0, 500_000, 0, -1, 6_000_000)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", crs="EPSG:25832", transform=place,
        height=32, width=32, count=1, dtype="uint8", nodata=0,
    ) as file:  # fmt: skip
        file.write(np.zeros((1, 32, 32), np.uint8))
        file.write(np.full((16, 32), 9, np.uint8), 1, window=((0, 16), (0, 32)))
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", np.full((32, 32), 5, np.uint8), append=True)
    paged = model.read_as(pages="all")
    measure(paged, tmp_path / "a.tif", tmp_path / "t.parquet")
    void = {
        row["photo"]: row["pixels"] for row in read(tmp_path / "t.parquet") if row["class_id"] < 0
    }
    assert void == {"a_p001": 16 * 32}
