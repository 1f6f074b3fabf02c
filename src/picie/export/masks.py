"""Export the masks of a folder to a format of another tool."""

import hashlib
import math
import os
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from picie.data.folder import PhotoFolder, open_folder
from picie.data.images import check_size
from picie.data.own_outputs import EXPORT_MARK
from picie.data.photo_state import PhotoState
from picie.errors import ConfigError, DataError
from picie.export.finished import FinishedRasters, predict_for_export
from picie.export.folder import masks_folder
from picie.export.formats.layout import (
    ClassTable,
    Options,
    Writer,
)
from picie.export.formats.rasters import RasterView, settled
from picie.export.images import Images
from picie.export.upload import export_folder
from picie.export.validation import validation_names
from picie.inference.manifest import model_digest
from picie.inference.plan import inputs_of
from picie.inference.predict_each import Then, tell_unreadable
from picie.inference.segmenter import TILE, Prediction, Segmenter, loaded
from picie.inference.writing import MaskJob
from picie.postprocessing.regions import check_area
from picie.postprocessing.tiling import check_tile
from picie.runtime.progress import Advance, Reporter
from picie.runtime.storage import joined, local_copy
from picie.version import __version__

__all__ = ["FORMATS", "RASTER_FORMATS", "export_masks"]

_WRITERS = {
    "png": "PngWriter",
    "coco": "CocoWriter",
    "voc": "VocWriter",
    "cvat": "CvatWriter",
    "labelstudio": "LabelStudioWriter",
    "yolo": "YoloWriter",
    "cityscapes": "CityscapesWriter",
    "huggingface": "HuggingFaceWriter",
    "segmentation": "SegmentationWriter",
    "fiftyone": "FiftyOneWriter",
    "geotiff": "GeoTiffWriter",
    "geopackage": "GeoPackageWriter",
}

FORMATS = tuple(_WRITERS)
"""Names of all formats; docs/export.md describes them."""

RASTER_FORMATS = ("geotiff", "geopackage")
"""Formats for georeferenced rasters, which are read window by window."""

_STEPS = 1000  # of the progress bar per raster


def export_masks(
    model: Segmenter | str | Path,
    format: str,
    images: str | Path,
    out: str | Path,
    *,
    split: str = "",
    options: Options | None = None,
    raster_view: RasterView | None = None,
    overwrite: bool = False,
    keep: tuple[Path, ...] = (),
    min_region: int = 0,
    batch_size: int = 8,
    size: int | None = None,
    tile: int = TILE,
    workers: int = -1,
    reporter: Reporter | None = None,
) -> int:
    """Segment the images of a folder and write a folder that another tool opens.

    The folder is written atomically. Unreadable images are listed and skipped.

    Args:
        model: a trained model, or its folder; the export has its names and colours.
        format: one of FORMATS.
        images: an image or a folder of them: a path or an address.
        out: folder to create: a path, or an address to which the export is uploaded at the end.
        split: list file of the folder.
        options: of photos and polygons.
        raster_view: for RASTER_FORMATS, how the network sees a raster.
        overwrite: replace an existing export; other folders are never replaced.
        keep: further paths that must not be inside the replaced folder.
        min_region: give the pixels of smaller regions to the classes around them; 0 = keep all.
            Not for RASTER_FORMATS.
        batch_size: as in `Segmenter.predict_folder`, like the next three; RASTER_FORMATS do not
            use these four.
        size: short side in pixels at which the network sees an image; as in training if None.
        tile: longest side processed at once, in pixels.
        workers: threads; 0 = none, -1 = chosen from the cores.
        reporter: shows progress; None = silent.

    Returns:
        the number of exported images.

    Raises:
        ConfigError: an unknown format, an option or a number of classes that it does not support,
            or an `out` that may not be replaced.
        DataError: no such folder, or no readable image.
        MissingExtraError: an optional package is missing.
        PicieError: something cannot be written.

    Example:
        >>> export_masks(model, "coco", "photos/", "coco/")  # doctest: +SKIP
        120
    """
    model, options, raster_view = loaded(model), options or Options(), raster_view or RasterView()
    _check(format, options, min_region)
    reporter = reporter or Reporter(quiet=True)
    reading = model.config.reading
    if format in RASTER_FORMATS:  # read by windows, by another library
        folder = open_folder(images, split)
        raster_view, notes = settled(raster_view, reading, [one.source for one in folder.photos])
    else:
        folder, notes = open_folder(images, split, reading=reading), []
    reporter.tell((*folder.notes, *notes))
    exported = Images(folder, format, options.photos, model.names)
    classes = ClassTable(exported.classes, model.colours)
    mark: dict[str, Any] = {"picie": __version__, "format": format, "classes": list(model.names)}
    listed = joined(out, EXPORT_MARK)
    options = replace(options, title=Path(os.path.realpath(out)).name)
    if format == "segmentation":
        kept = validation_names(folder, images, options.val)
        stems = frozenset(exported.naming.stems[name] for name in kept)
        options = replace(options, validation=stems)
    sources = (images, *keep, *inputs_of(model, folder))
    with export_folder(out, mark, overwrite=overwrite, sources=sources) as part:
        if format in RASTER_FORMATS:
            writer = _maker(format)(part, classes, options)
            problems = _rasters(
                model, folder, exported, writer, raster_view, options, out, part, reporter
            )
        else:
            seen = model.read_as(stretch=folder.reading.stretch)
            job = MaskJob(
                str(out), model_digest(seen, size, tile, min_region), folder.reading,
                batch_size=batch_size, size=size, tile=tile, min_region=min_region, workers=workers,
            )  # fmt: skip
            writer = _maker(format)(part, classes, options)
            problems = _photos(model, folder, exported, writer, job, reporter, listed)
        exported.close(part, reporter)
        mark["unreadable"] = list(problems)
    unread = len(problems)
    count = len(folder) - unread
    skipped = f", skipped {unread} unreadable image{'s' * (unread > 1)}" if unread else ""
    reporter.say(f"{count} image{'s' * (count != 1)} in {out} ({format}){skipped}")
    return count


def _check(format: str, options: Options, min_region: int) -> None:
    if format not in FORMATS:
        raise ConfigError(f"unknown format {format!r}; known: {', '.join(FORMATS)}")
    if not (math.isfinite(options.tolerance) and options.tolerance >= 0):
        raise ConfigError(f"tolerance {options.tolerance:g}: give 0 or more pixels")
    check_area("min_area", options.min_area)
    check_area("min_region", min_region)
    if min_region and format in RASTER_FORMATS:
        raise ConfigError(f"min_region: not for {format}; use gdal_sieve.py on its masks")


def _maker(format: str) -> Any:
    """The writer class of a format; its module is imported only when needed."""
    return getattr(import_module(f"picie.export.formats.{format}"), _WRITERS[format])


def _add(writer: Writer, images: Images, prediction: Prediction) -> Then:
    with local_copy(prediction.path) as file:
        return writer.add(images.labelled(prediction, file))


def _photos(
    model: Segmenter,
    folder: PhotoFolder,
    images: Images,
    writer: Writer,
    job: MaskJob,
    reporter: Reporter,
    listed: str,
) -> tuple[str, ...]:
    """Segment photos; return a line for each unreadable one."""
    work = partial(_add, writer, images)
    with masks_folder(job.out, job.digest, reporter) as masks:
        job = replace(job, out=str(masks))
        problems = predict_for_export(model, folder, work, job, listed=listed, reporter=reporter)
        writer.close()
    return problems


def _rasters(
    model: Segmenter,
    folder: PhotoFolder,
    images: Images,
    writer: Any,
    raster_view: RasterView,
    options: Options,
    out: str | Path,
    part: Path,
    reporter: Reporter,
) -> tuple[str, ...]:
    """Segment rasters one by one; return a line for each unreadable one."""
    check_tile(raster_view.tile)
    if raster_view.size is not None:
        check_size(raster_view.size)
    problems: list[str] = []
    digest = _digest(
        model_digest(model, raster_view.size, raster_view.tile), raster_view, writer.extension,
        options.tolerance, options.min_area,
    )  # fmt: skip
    with (
        masks_folder(out, digest, reporter) as kept,
        closing(FinishedRasters(kept, digest)) as finished,
        reporter.task("rasters", _STEPS * len(folder)) as advance,
    ):
        for photo in folder.photos:
            bar, stem = _Bar(advance), images.naming.stems[photo.name]
            name, state = f"{stem}{writer.extension}", PhotoState.of(photo)
            try:
                if not finished.take(photo, name, part):
                    with local_copy(photo.file) as file:
                        writer.add(stem, file, model, raster_view, bar)
                    finished.keep(photo, name, part, state)
            except DataError as error:
                problems.append(str(error))
            bar(1)
        writer.close()
    tell_unreadable(folder, problems, joined(out, EXPORT_MARK), reporter, "rasters")
    return tuple(problems)


def _digest(*settings: object) -> str:
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]


class _Bar:
    """Converts the finished share of one raster into steps of the common progress bar."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._shown = advance, 0

    def __call__(self, share: float) -> None:
        now = int(share * _STEPS)
        self._advance(now - self._shown)
        self._shown = now
