"""The file of a table, and the rows that wait for it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from picie.data.folder import Photo
from picie.data.photo_state import PhotoState
from picie.errors import ConfigError, MissingExtraError
from picie.measurement import table
from picie.measurement.regions import class_columns, region_columns
from picie.measurement.table import Rows, columns_of, is_table, suffix_of, write_table

arrow = pytest.importorskip("pyarrow")
pytest.importorskip("skimage")

MASK = np.arange(12, dtype=np.int16).reshape(3, 4) % 2
CONFIDENCE, IMAGE = np.full((3, 4), 51, np.uint8), np.zeros((3, 4, 3), np.uint8)
CLASSES = ("sky, grey", 'a "road"\n', "void")


def photos(folder: Path, count: int) -> list[Photo]:
    paths = [folder / f"{number:03}.jpg" for number in range(count)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [Photo(str(path), path.stem, None) for path in paths]


def filled(out: Path, listed: list[Photo], settings: tuple[Any, ...] = ()) -> Rows:
    rows = Rows(out, columns_of("", regions=False), settings)
    for photo in listed[rows.take(listed) :]:
        made = rows.table(photo.name, CLASSES, class_columns(MASK, CONFIDENCE, 2))
        rows.add(photo, PhotoState.of(photo), made)
    return rows


@pytest.mark.parametrize("unit", ["", "um"])
@pytest.mark.parametrize("regions", [False, True])
def test_each_kind_of_table_has_the_measured_columns(unit: str, regions: bool) -> None:
    measured = (
        region_columns(MASK, CONFIDENCE, IMAGE, unit=unit)
        if regions
        else class_columns(MASK, CONFIDENCE, 2, unit=unit)
    )
    assert set(columns_of(unit, regions=regions)) == {"photo", "class", *measured}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_both_kinds_of_files_hold_the_rows_in_order(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_GROUP", 7)  # rows of several photos
    listed, out = photos(tmp_path, 40), tmp_path / f"t{suffix}"
    rows = filled(out, listed)
    rows.keep()
    write_table(out, rows)
    rows.remove()
    read = arrow.csv.read_csv if suffix == ".csv" else arrow.parquet.read_table
    found = read(out).to_pylist()
    assert len(found) == rows.count == 80
    assert [row["class_id"] for row in found] == [0, 1] * 40
    assert [row["share"] for row in found] == [0.5] * 80
    assert found[1]["class"] == 'a "road"\\n'  # one line in every reader
    if suffix == ".parquet":
        assert [row["photo"] for row in found[::2]] == [photo.name for photo in listed]
    assert is_table(out)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_later_call_goes_on_after_the_photos_that_are_as_they_were(tmp_path: Path) -> None:
    listed, out = photos(tmp_path, 40), tmp_path / "t.csv"
    filled(out, listed)  # 32 of them are on disk
    assert Rows(out, columns_of("", regions=False), ()).take(listed) == 32
    Path(listed[20].file).write_bytes(b"another content")
    again = Rows(out, columns_of("", regions=False), ())
    assert again.take(listed) == 16
    again.remove()


def test_other_settings_begin_anew(tmp_path: Path) -> None:
    listed, out = photos(tmp_path, 16), tmp_path / "t.csv"
    filled(out, listed, ("one model",))
    assert Rows(out, columns_of("", regions=False), ("another",)).take(listed) == 0
    assert list(tmp_path.glob(".part-*")) == []


def test_rows_of_a_removed_photo_do_not_come_back(tmp_path: Path) -> None:
    listed, out = photos(tmp_path, 48), tmp_path / "t.csv"
    filled(out, listed)
    rows = filled(out, listed[3:])
    rows.keep()
    names = [row["photo"] for group in rows.groups() for row in group.to_pylist()]
    assert names[::2] == [photo.name for photo in listed[3:]]


def test_files_of_others_are_no_tables(tmp_path: Path) -> None:
    csv, parquet = tmp_path / "a.csv", tmp_path / "a.parquet"
    csv.write_text("photo,class_id,class\n")
    parquet.write_text("no parquet")
    assert not is_table(csv)
    assert not is_table(parquet)
    arrow.parquet.write_table(arrow.table({"photo": ["a"]}), parquet)
    assert not is_table(parquet)


def test_another_extension_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--out t.xlsx: give a file that ends in .parquet or .c"):
        suffix_of(Path("t.xlsx"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r'needs pyarrow: pip install "picie\[tables\]"'):
        table.pyarrow()
