"""Export the masks of a folder to a format of another tool."""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from picie.data.folder import PhotoFolder, open_folder
from picie.data.images import check_size, stored_upright
from picie.errors import ConfigError, DataError, PicieError
from picie.export.formats.layout import (
    ClassTable,
    Labelled,
    Options,
    Writer,
    WriterMaker,
    check_names,
)
from picie.export.formats.rasters import RasterView
from picie.inference.predict_folder import Then, predict_each
from picie.inference.segmenter import TILE, Prediction, Segmenter, loaded
from picie.postprocessing.tiling import check_tile
from picie.runtime.files import PART
from picie.runtime.progress import Advance, Reporter
from picie.version import __version__

__all__ = ["FORMATS", "MARK", "RASTER_FORMATS", "atomic_folder", "check_out", "export_masks"]

MARK = ".picie-export.json"
"""File that marks a folder as an export; it records format, classes and version."""


def check_out(out: Path, *, overwrite: bool, sources: tuple[Path, ...] = ()) -> Path:
    """Refuse an output folder that must not be created or replaced.

    Args:
        out: the folder to create.
        overwrite: whether an existing export may be replaced.
        sources: files and folders that must not be inside it.

    Returns:
        its real path, without symbolic links.

    Raises:
        ConfigError: a file, or a non-empty folder that may not be replaced.
    """
    real = Path(os.path.realpath(out))
    if real.is_file():
        raise ConfigError(f"{out}: is a file; give a new folder as --out")
    if not real.name:
        raise ConfigError(f"{out}: cannot become an export; give a new folder as --out")
    if not real.is_dir() or not any(real.iterdir()):
        return real
    if not (real / MARK).is_file():
        raise ConfigError(
            f"{out}: contains files that picie did not export, and was not changed; choose another "
            "--out"
        )
    if not overwrite:
        raise ConfigError(
            f"{out}: already exists; choose another --out, or pass --overwrite to replace it"
        )
    for source in sources:
        if Path(os.path.realpath(source)).is_relative_to(real):
            raise ConfigError(
                f"{out}: contains {source}, which the export reads; choose another --out"
            )
    return real


@contextmanager
def atomic_folder(real: Path, mark: Mapping[str, Any]) -> Iterator[Path]:
    """Create a folder atomically: the block writes to a temporary folder, renamed at its end.

    If the block fails, the old folder, if any, is unchanged. A killed process leaves the temporary
    folder behind; the next export replaces it.

    Args:
        real: what `check_out` returned.
        mark: content of its MARK file.

    Yields:
        the folder to write to; empty.

    Raises:
        PicieError: something cannot be written.
    """
    part = real.with_name(PART + real.name)
    try:
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield part
            (part / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="ascii")
            _replace(part, real)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        outcome = "was not changed" if real.exists() else "was not created"
        raise PicieError(
            f"{real}: cannot be written ({error.strerror or error}) and {outcome}; check the "
            "folder's permissions and the free space, or choose another --out"
        ) from None


def _replace(part: Path, real: Path) -> None:
    old = real.with_name(f"{PART}old-{real.name}")
    shutil.rmtree(old, ignore_errors=True)
    replaced = real.exists()
    if replaced:
        os.replace(real, old)
    try:
        os.replace(part, real)
    except OSError:
        if replaced:
            os.replace(old, real)
        raise
    shutil.rmtree(old, ignore_errors=True)


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
        images: an image or a folder of them.
        out: folder to create.
        split: list file of the folder.
        options: of photos and polygons.
        raster_view: for RASTER_FORMATS, how the network sees a raster.
        overwrite: replace an existing export; other folders are never replaced.
        keep: further paths that must not be inside the replaced folder.
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
    if format not in FORMATS:
        raise ConfigError(f"unknown format {format!r}; known: {', '.join(FORMATS)}")
    model, options, raster_view = loaded(model), options or Options(), raster_view or RasterView()
    if not (math.isfinite(options.tolerance) and options.tolerance >= 0):
        raise ConfigError(f"tolerance {options.tolerance:g}: give 0 or more pixels")
    reporter = reporter or Reporter(quiet=True)
    folder = open_folder(images, split)
    check_names(photo.name for photo in folder.photos)
    real = check_out(Path(out), overwrite=overwrite, sources=(Path(images), *keep))
    classes = ClassTable(model.names, model.colours)
    mark = {"picie": __version__, "format": format, "classes": list(model.names)}
    options = Options(options.photos, options.polygons, options.tolerance, real.name)
    with atomic_folder(real, mark) as part:
        if format in RASTER_FORMATS:
            count = _rasters(model, format, folder, part, classes, options, raster_view, reporter)
        else:
            writer = _maker(format)(
                part, classes, tuple(photo.name for photo in folder.photos), options
            )
            work = partial(_add, writer)
            problems = predict_each(
                model, folder, work, batch_size=batch_size, size=size, tile=tile, workers=workers,
                reporter=reporter,
            )  # fmt: skip
            count = len(folder) - len(problems)
            writer.close()
    unread = len(folder) - count
    skipped = f", skipped {unread} unreadable image{'s' * (unread > 1)}" if unread else ""
    reporter.say(f"{count} images in {out} ({format}){skipped}")
    return count


def _maker(format: str) -> WriterMaker:
    """The writer class of a format; its module is imported only when needed."""
    maker: WriterMaker = getattr(import_module(f"picie.export.formats.{format}"), _WRITERS[format])
    return maker


def _add(writer: Writer, prediction: Prediction) -> Then:
    assert prediction.mask is not None  # `predict_each` skips unreadable images
    upright = stored_upright(prediction.path)
    return writer.add(
        Labelled(prediction.name, prediction.path, prediction.image, prediction.mask, upright)
    )


def _rasters(
    model: Segmenter,
    format: str,
    folder: PhotoFolder,
    part: Path,
    classes: ClassTable,
    options: Options,
    raster_view: RasterView,
    reporter: Reporter,
) -> int:
    """Segment rasters one by one; return the number of readable ones."""
    check_tile(raster_view.tile)
    if raster_view.size is not None:
        check_size(raster_view.size)
    made: Callable[..., Any] = getattr(
        import_module(f"picie.export.formats.{format}"), _WRITERS[format]
    )
    writer = made(part, classes, options.tolerance)
    problems: list[str] = []
    with reporter.task("rasters", _STEPS * len(folder)) as advance:
        for photo in folder.photos:
            bar = _Bar(advance)
            try:
                writer.add(photo.name, photo.path, model, raster_view, bar)
            except DataError as error:
                problems.append(str(error))
            bar(1)
    writer.close()
    reporter.enumerate(problems)
    if len(problems) == len(folder):
        raise folder.none_read(problems[0], "rasters")
    return len(folder) - len(problems)


class _Bar:
    """Converts the finished share of one raster into steps of the common progress bar."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._shown = advance, 0

    def __call__(self, share: float) -> None:
        now = int(share * _STEPS)
        self._advance(now - self._shown)
        self._shown = now
