"""Measure the masks of a folder, and write a table."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from picie.data.folder import Photo, PhotoFolder, open_folder
from picie.data.photo_state import UNKNOWN
from picie.errors import ConfigError
from picie.inference.manifest import model_digest
from picie.inference.plan import inputs_of
from picie.inference.predict_each import Tally, Then, predict_each, tell_unreadable
from picie.inference.segmenter import TILE, Prediction, Segmenter, loaded
from picie.measurement.regions import class_columns, region_columns, regionprops_table
from picie.measurement.table import (
    Rows,
    columns_of,
    is_table,
    pyarrow,
    suffix_of,
    write_table,
)
from picie.measurement.units import Ground, Scale, parse_pixel_size, scale_of
from picie.postprocessing.regions import check_area
from picie.postprocessing.upsampling import Mask
from picie.runtime.locks import locked
from picie.runtime.outputs import check_output, has_content
from picie.runtime.progress import Reporter
from picie.types import IGNORED

__all__ = ["Measured", "check_table", "measure"]

_VOID = "void"


@dataclass(frozen=True)
class Measured:
    """A table that was written.

    Attributes:
        out: its file.
        photos: number of photos in it.
        rows: number of rows.
        problems: a line for each photo that could not be read.
    """

    out: Path
    photos: int
    rows: int
    problems: tuple[str, ...]


def measure(
    model: Segmenter | str | Path,
    source: str | Path,
    out: str | Path,
    *,
    regions: bool = False,
    pixel_size: str = "",
    split: str = "",
    overwrite: bool = False,
    batch_size: int = 8,
    size: int | None = None,
    tile: int = TILE,
    workers: int = -1,
    min_region: int = 0,
    reporter: Reporter | None = None,
) -> Measured:
    """Segment the photos of a folder, and write a table of what their masks hold.

    A row is a class of a photo, or a connected region of one; docs/measure.md describes columns.
    Memory does not grow with the folder. If a call was stopped, the same call goes on.

    Args:
        model: a trained model, or its folder.
        source: a photo or a folder of them, here or at an address.
        out: the table, a file that ends in .parquet or .csv.
        regions: a row per region instead of one per class.
        pixel_size: side of a pixel: "0.05" (metres) or "0.65um"; "" = as GeoTIFFs say.
        split: list file of the folder.
        overwrite: replace a table that picie wrote; other files are never replaced.
        batch_size: as in `Segmenter.predict_folder`, like the next three.
        size: short side in pixels at which the network sees a photo; as in training if None.
        tile: longest side processed at once, in pixels; 0 = never tile.
        workers: threads that read, and as many that measure; 0 = none.
        min_region: give the pixels of smaller regions to the classes around them; 0 = keep all.
        reporter: shows progress; None = silent.

    Raises:
        ConfigError: another kind of file, one that may not be replaced, or an impossible option.
        DataError: no such folder, or no photo could be read.
        MissingExtraError: pyarrow or scikit-image is missing.
        PicieError: the table cannot be written, or another process writes it.

    Example:
        >>> measure("runs/first", "photos/", "areas.parquet").rows  # doctest: +SKIP
        3240
    """
    out, reporter = Path(out), reporter or Reporter(quiet=True)
    check_table(out, overwrite=overwrite, regions=regions, pixel_size=pixel_size)
    check_area("min_region", min_region)
    model = loaded(model)
    folder = open_folder(source, split, reading=model.config.reading)
    model = model.read_as(stretch=folder.reading.stretch)
    check_output(out, is_table, inputs=lambda: inputs_of(model, folder))
    scale = scale_of(pixel_size, [photo.source for photo in folder.photos])
    reporter.tell((*folder.notes, *scale.notes))
    digest = model_digest(model, size, tile, min_region)
    with locked(out, "picie measure"):
        rows = Rows(out, columns_of(scale.unit, regions=regions), (digest, pixel_size))
        predict = partial(
            predict_each, model, batch_size=batch_size, size=size, tile=tile, workers=workers,
            min_region=min_region, confidence=True,
        )  # fmt: skip
        classes = (*model.names, _VOID)
        _measured(predict, folder, rows, _rows_of(rows, classes, scale, regions), reporter)
        write_table(out, rows)
        rows.remove()
    made = Measured(out, len(folder) - len(rows.problems), rows.count, tuple(rows.problems))
    reporter.say(_summary(made))
    return made


def check_table(out: Path, *, overwrite: bool, regions: bool, pixel_size: str) -> None:
    """Refuse, before anything is read, a table that cannot be written.

    Args:
        out: as for `measure`, like the others.
        overwrite: as there.
        regions: as there.
        pixel_size: as there.

    Raises:
        ConfigError: as there.
        MissingExtraError: as there.
    """
    suffix_of(out)
    parse_pixel_size(pixel_size)
    pyarrow()
    if regions:
        regionprops_table()
    check_output(out, is_table, inputs=tuple)
    if has_content(out) and not overwrite:
        raise ConfigError(
            f"{out}: already exists; choose another --out, or pass --overwrite to replace it"
        )


def _measured(
    predict: Callable[..., None],
    folder: PhotoFolder,
    rows: Rows,
    table_of: Callable[[Prediction], Any],
    reporter: Reporter,
) -> None:
    """Measure the photos that have no rows yet."""
    done = rows.take(folder.photos)
    if done:
        reporter.say(f"going on after {done} photo{'s' * (done > 1)} of a stopped command")
    rest = replace(folder, photos=folder.photos[done:])
    photos = {photo.name: photo for photo in rest.photos}

    def work(prediction: Prediction) -> Then:
        table = None if prediction.mask is None else table_of(prediction)
        return partial(_add, rows, photos[prediction.name], prediction, table)

    try:
        with reporter.task("photos", len(folder), finished=done) as advance:
            predict(rest, work, Tally(advance))
        rows.keep()
    except BaseException:
        with suppress(Exception):  # the error above takes precedence
            rows.keep()
        if rows.measured:
            reporter.say(
                f"measured {rows.measured} of {len(folder)} photos; the same command goes on"
            )
        raise
    tell_unreadable(folder, rows.problems, "", reporter, "photos")


def _add(rows: Rows, photo: Photo, prediction: Prediction, table: Any) -> None:
    state = UNKNOWN if prediction.loaded is None else prediction.loaded.state
    rows.add(photo, state, table, prediction.problem)


def _rows_of(
    rows: Rows, classes: tuple[str, ...], scale: Scale, regions: bool
) -> Callable[[Prediction], Any]:
    """A function from a prediction to its rows."""

    def table_of(prediction: Prediction) -> Any:
        mask, confidence = prediction.mask, prediction.confidence
        assert mask is not None
        assert confidence is not None
        ground, unit = scale.ground(prediction.path), scale.unit
        mask = _with_void(mask, ground, prediction)
        if regions:
            columns = region_columns(
                mask, confidence, prediction.image,
                side=ground.side, unit=unit, is_square=ground.is_square,
            )  # fmt: skip
        else:
            columns = class_columns(mask, confidence, len(classes) - 1, side=ground.side, unit=unit)
        return rows.table(prediction.name, classes, columns)

    return table_of


def _with_void(mask: Mask, ground: Ground, prediction: Prediction) -> Mask:
    """The mask, with IGNORED where a map has no data."""
    missing, loaded = ground.missing, prediction.loaded
    if missing is None or missing.shape != mask.shape or (loaded and loaded.photo.page):
        return mask
    return np.where(missing, IGNORED, mask).astype(mask.dtype)


def _summary(made: Measured) -> str:
    count = len(made.problems)
    skipped = f", skipped {count} unreadable photo{'s' * (count > 1)}" if count else ""
    rows, photos = (
        f"{number} {noun}{'s' * (number != 1)}"
        for number, noun in ((made.rows, "row"), (made.photos, "photo"))
    )
    return f"{rows} of {photos} in {made.out}{skipped}"
