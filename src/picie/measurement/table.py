"""The table as a file: its columns, and the rows that wait until it is complete.

Rows wait in small Parquet files of a hidden folder beside the table. A command that was stopped
goes on with them; the table itself appears complete or not at all.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

from picie.data.folder import Photo
from picie.data.photo_state import PhotoState
from picie.errors import ConfigError, MissingExtraError
from picie.measurement.regions import Columns
from picie.runtime.files import PART, write_atomically, writing
from picie.runtime.printable import printable
from picie.version import __version__

__all__ = ["SUFFIXES", "Rows", "columns_of", "is_table", "pyarrow", "suffix_of", "write_table"]

SUFFIXES = (".parquet", ".csv")
"""Extensions of the files that can be written."""

_TOGETHER = 16  # photos in one waiting file: what a killed process loses at most
_GROUP = 50_000  # rows that are in memory together
_MARK = b"picie"
_KEPT = b"photos"
_TEXT = ("photo", "class")
_WHOLE = ("class_id", "region", "pixels", "regions")
_BOXES = ("left_px", "top_px", "width_px", "height_px")
_BY_CLASS = ("photo", "class_id", "class", "pixels", "share", "regions", "confidence")
_BY_REGION = (
    *("photo", "class_id", "class", "region", "pixels", *_BOXES, "x_px", "y_px", "perimeter_px"),
    *("equivalent_diameter_px", "eccentricity", "on_border", "red", "green", "blue", "confidence"),
)


def pyarrow() -> Any:
    """The package pyarrow, with its readers and writers.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError(
            'picie measure needs pyarrow: pip install "picie[tables]"'
        ) from None
    return pyarrow


def suffix_of(out: Path) -> str:
    """The kind of a table, by the extension of its file.

    Raises:
        ConfigError: another extension.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"--out {out}: give a file that ends in {' or '.join(SUFFIXES)}")
    return out.suffix.lower()


def columns_of(unit: str, *, regions: bool) -> dict[str, str]:
    """The type of each column by its name, in their order.

    Args:
        unit: of real lengths; "" = there are none.
        regions: a row is a region, not a class.
    """
    lengths = ("perimeter", "equivalent_diameter") if regions and unit else ()
    real = (f"area_{unit}2",) * bool(unit) + tuple(f"{name}_{unit}" for name in lengths)
    kinds = {
        **dict.fromkeys(_TEXT, "string"),
        **dict.fromkeys(_WHOLE, "int64"),
        **dict.fromkeys(_BOXES, "int32"),
        **dict.fromkeys(("share", *real), "float64"),
        "on_border": "bool",
    }
    names = (*(_BY_REGION if regions else _BY_CLASS), *real)
    return {name: kinds.get(name, "float32") for name in names}


def is_table(path: Path) -> bool:
    """Whether a file is a table that picie wrote: Parquet with its mark, or CSV with its columns.

    Raises:
        OSError: it cannot be read.
    """
    arrow = pyarrow()
    if path.suffix.lower() == ".parquet":
        try:
            return _MARK in (arrow.parquet.read_schema(path).metadata or {})
        except arrow.ArrowException:
            return False
    with path.open("rb") as file:
        head = file.readline(2_000).decode("utf-8", "replace").replace('"', "").strip()
    starts = (",".join(_BY_CLASS), ",".join(_BY_REGION))
    return any(head == start or head.startswith(f"{start},area_") for start in starts)


class Rows:
    """The rows of one table, in the order of its photos.

    Args:
        out: the table.
        columns: from `columns_of`.
        settings: all that values depend on, apart from the photos.

    Attributes:
        problems: why photos could not be read, in their order.
        count: number of rows.
        measured: number of photos whose rows are on disk.
    """

    def __init__(self, out: Path, columns: Mapping[str, str], settings: Sequence[object]) -> None:
        arrow = pyarrow()
        kinds = {name: arrow.type_for_alias(kind) for name, kind in columns.items()}
        self._schema = arrow.schema(kinds, metadata={_MARK: __version__})
        real = Path(os.path.realpath(out))
        name = hashlib.sha256(os.fsencode(real.name)).hexdigest()[:16]
        text = repr((__version__, dict(columns), settings))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._folder = real.with_name(f"{PART}{name}-rows-{digest}")
        for other in real.parent.glob(f"{PART}{name}-rows-*"):
            if other != self._folder and not other.is_symlink():
                shutil.rmtree(other, ignore_errors=True)
        self._files: list[Path] = []
        self._photos: list[tuple[Any, ...]] = []
        self._tables: list[Any] = []
        self.problems: list[str] = []
        self.count = self.measured = 0

    def take(self, photos: Sequence[Photo]) -> int:
        """Take over the rows that a stopped command has left.

        Args:
            photos: of the table, in their order.

        Returns:
            the number of photos, from the first on, that have their rows.
        """
        done = 0
        for path in sorted(self._folder.glob("[0-9]*.parquet")):
            kept = self._kept(path)
            now = photos[done : done + len(kept)]
            if not kept or len(now) < len(kept) or not all(map(_is_same, kept, now)):
                path.unlink()
                continue
            done += len(kept)
            self._files.append(path)
            self.problems += [problem for *_, problem in kept if problem]
            self.count += pyarrow().parquet.read_metadata(path).num_rows
        self.measured = done
        return done

    def _kept(self, path: Path) -> list[tuple[Any, ...]]:
        arrow = pyarrow()
        with suppress(OSError, ValueError, KeyError, TypeError, arrow.ArrowException):
            listed = json.loads(arrow.parquet.read_schema(path).metadata[_KEPT])
            return [tuple(one) for one in listed]
        return []

    def table(self, photo: str, classes: Sequence[str], columns: Columns) -> Any:
        """The rows of a photo; from any thread.

        Args:
            photo: its name.
            classes: names by id; the last one is that of id -1.
            columns: all but the names.
        """
        arrow, number = pyarrow(), len(columns["class_id"])
        names = [printable(classes[one]) for one in columns["class_id"].tolist()]
        values = {"photo": [printable(photo)] * number, "class": names, **columns}
        arrays = [
            arrow.array(values[field.name], field.type, from_pandas=True) for field in self._schema
        ]
        return arrow.Table.from_arrays(arrays, schema=self._schema)

    def add(self, photo: Photo, state: PhotoState, table: Any, problem: str = "") -> None:
        """Add the next photo.

        Args:
            photo: the next one.
            state: when it was read.
            table: its rows; None = it could not be read.
            problem: why.

        Raises:
            PicieError: the rows cannot be written.
        """
        self._photos.append((photo.name, *astuple(state), problem))
        self.problems += [problem] if problem else []
        if table is not None:
            self._tables.append(table)
            self.count += len(table)
        if len(self._photos) >= _TOGETHER:
            self.keep()

    def keep(self) -> None:
        """Write what waits in memory.

        Raises:
            PicieError: it cannot be written.
        """
        if not self._photos:
            return
        arrow = pyarrow()
        metadata = {_MARK: __version__, _KEPT: json.dumps(self._photos)}
        table = arrow.concat_tables([self._schema.empty_table(), *self._tables])
        table = table.replace_schema_metadata(metadata)
        number = int(self._files[-1].stem) + 1 if self._files else 0
        path = self._folder / f"{number:08}.parquet"
        with writing(path):
            self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda part: arrow.parquet.write_table(table, part))
        self._files.append(path)
        self.measured += len(self._photos)
        self._photos, self._tables = [], []

    def groups(self) -> Iterator[Any]:
        """All rows in tables of one length, but for the last one."""
        arrow = pyarrow()
        waiting = self._schema.empty_table()
        for path in self._files:
            read = arrow.parquet.read_table(path).replace_schema_metadata(self._schema.metadata)
            waiting = arrow.concat_tables([waiting, read])
            while len(waiting) >= _GROUP:
                yield waiting.slice(0, _GROUP)
                waiting = waiting.slice(_GROUP)
        yield waiting

    def remove(self) -> None:
        """Remove the folder in which rows wait."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _is_same(kept: tuple[Any, ...], photo: Photo) -> bool:
    name, size, mtime, digest, _ = kept
    return name == photo.name and PhotoState(size, mtime, digest).is_same(photo)


def write_table(out: Path, rows: Rows) -> None:
    """Write a table atomically.

    Args:
        out: a file with one of SUFFIXES.
        rows: all of its rows are kept.

    Raises:
        PicieError: it cannot be written.
    """
    arrow = pyarrow()

    def write(part: Path) -> None:
        groups = rows.groups()
        first = next(groups)
        if suffix_of(part) == ".csv":
            writer = arrow.csv.CSVWriter(part, first.schema)
        else:
            writer = arrow.parquet.ParquetWriter(part, first.schema)
        with writer:
            for group in (first, *groups):
                writer.write_table(group)

    write_atomically(out, write)
