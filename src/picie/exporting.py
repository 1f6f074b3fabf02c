"""Masks of a folder in the form that another tool opens."""

import math
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from picie.data.folder import PhotoFolder, open_folder
from picie.data.images import check_size, stored_upright
from picie.errors import ConfigError, DataError
from picie.exports.layout import ClassTable, Labelled, Options, Writer, WriterMaker, check_names
from picie.exports.rasters import Look
from picie.exports.whole import check_out, whole_folder
from picie.inference.predict_folder import Then, predict_each
from picie.inference.segmenter import Prediction, Segmenter
from picie.postprocessing.tiling import check_tile
from picie.runtime.progress import Advance, Reporter
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
    "fiftyone": "FiftyOneWriter",
    "geotiff": "GeoTiffWriter",
    "geopackage": "GeoPackageWriter",
}

FORMATS = tuple(_WRITERS)
"""Names of all formats; docs/export.md describes them."""

RASTER_FORMATS = ("geotiff", "geopackage")
"""Those whose pictures are georeferenced rasters, which are read window by window."""

_STEPS = 1000  # of the bar for one raster


def export_masks(
    model: Segmenter,
    format: str,
    images: str | Path,
    out: str | Path,
    *,
    split: str = "",
    options: Options | None = None,
    look: Look | None = None,
    overwrite: bool = False,
    keep: tuple[Path, ...] = (),
    reporter: Reporter | None = None,
    **prediction: Any,
) -> int:
    """Segment the pictures of a folder and write a folder that another tool opens.

    The folder appears whole or not at all. Pictures that cannot be read are named and left out.

    Args:
        model: a trained model; its names and colours are those of the export.
        format: one of FORMATS.
        images: a picture or a folder of them.
        out: folder to make.
        split: list file of the folder.
        options: how photos come into the layout, and how polygons are made.
        look: for RASTER_FORMATS, how the network sees a raster.
        overwrite: replace an export that is already there; other folders are never replaced.
        keep: further paths that must not be lost with it.
        reporter: shows how far it came; None = nothing.
        prediction: `size`, `tile`, `batch_size` and `workers` of `Segmenter.predict_folder`; for
            RASTER_FORMATS nothing.

    Returns:
        the number of pictures in it.

    Raises:
        ConfigError: an unknown format, an option or a number of classes that it cannot hold, or
            something else is at `out`.
        DataError: no such folder, or no picture that can be read.
        MissingExtraError: an optional package is missing.
        PicieError: something cannot be written.

    Example:
        >>> export_masks(model, "coco", "photos/", "coco/")  # doctest: +SKIP
        120
    """
    if format not in FORMATS:
        raise ConfigError(f"unknown format {format!r}; known: {', '.join(FORMATS)}")
    options, look = options or Options(), look or Look()
    if not (math.isfinite(options.tolerance) and options.tolerance >= 0):
        raise ConfigError(f"tolerance {options.tolerance:g}: give 0 or more pixels")
    reporter = reporter or Reporter(quiet=True)
    folder = open_folder(images, split)
    check_names(photo.name for photo in folder.photos)
    real = check_out(Path(out), overwrite=overwrite, sources=(Path(images), *keep))
    classes = ClassTable(model.names, model.colours)
    mark = {"picie": __version__, "format": format, "classes": list(model.names)}
    options = Options(options.photos, options.polygons, options.tolerance, real.name)
    with whole_folder(real, mark) as part:
        if format in RASTER_FORMATS:
            count = _rasters(model, format, folder, part, classes, options, look, reporter)
        else:
            writer = _maker(format)(
                part, classes, tuple(photo.name for photo in folder.photos), options
            )
            work = partial(_add, writer)
            count = predict_each(model, folder, work, reporter=reporter, **prediction)
            writer.close()
    left_out = f", {len(folder) - count} pictures could not be read" if count < len(folder) else ""
    reporter.say(f"{count} pictures in {out} ({format}){left_out}")
    return count


def _maker(format: str) -> WriterMaker:
    """Loads a module only when its format is wanted."""
    maker: WriterMaker = getattr(import_module(f"picie.exports.{format}"), _WRITERS[format])
    return maker


def _add(writer: Writer, one: Prediction) -> Then:
    assert one.mask is not None  # only readable pictures come here
    upright = stored_upright(one.path)
    return writer.add(Labelled(one.name, one.path, one.image, one.mask, upright))


def _rasters(
    model: Segmenter,
    format: str,
    folder: PhotoFolder,
    part: Path,
    classes: ClassTable,
    options: Options,
    look: Look,
    reporter: Reporter,
) -> int:
    """Segment rasters one after the other; the number of those that could be read."""
    check_tile(look.tile)
    if look.size is not None:
        check_size(look.size)
    made: Callable[..., Any] = getattr(import_module(f"picie.exports.{format}"), _WRITERS[format])
    writer = made(part, classes, options.tolerance)
    problems: list[str] = []
    with reporter.task("rasters", _STEPS * len(folder)) as advance:
        for photo in folder.photos:
            bar = _Bar(advance)
            try:
                writer.add(photo.name, photo.path, model, look, bar)
            except DataError as error:
                problems.append(str(error))
            bar(1)
    writer.close()
    reporter.enumerate(problems)
    if len(problems) == len(folder):
        raise folder.none_read(problems[0], "rasters")
    return len(folder) - len(problems)


class _Bar:
    """The share of one raster that is done, as steps of the bar of all."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._shown = advance, 0

    def __call__(self, share: float) -> None:
        now = int(share * _STEPS)
        self._advance(now - self._shown)
        self._shown = now
