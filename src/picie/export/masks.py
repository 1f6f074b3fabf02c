"""Masks of a folder in the form that another tool opens."""

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
"""File that says that a folder is an export, of what and by which version."""


def check_out(out: Path, *, overwrite: bool, sources: tuple[Path, ...] = ()) -> Path:
    """Refuse a folder that an export cannot become.

    Args:
        out: the folder to make.
        overwrite: whether an export that is already there may be replaced.
        sources: files and folders that must not be lost with it.

    Returns:
        its real path, without symbolic links.

    Raises:
        ConfigError: a file is there, or a folder that holds something and may not be replaced.
    """
    real = Path(os.path.realpath(out))
    if real.is_file():
        raise ConfigError(f"{out}: is a file; give a folder that does not exist yet as --out")
    if not real.name:
        raise ConfigError(f"{out}: cannot be an export; give a new folder as --out")
    if not real.is_dir() or not any(real.iterdir()):
        return real
    if not (real / MARK).is_file():
        raise ConfigError(
            f"{out}: holds files that are no export of picie, and is left as it is; choose "
            "another --out"
        )
    if not overwrite:
        raise ConfigError(
            f"{out}: is already there; choose another --out, or pass --overwrite to replace it"
        )
    for source in sources:
        if Path(os.path.realpath(source)).is_relative_to(real):
            raise ConfigError(f"{out}: holds {source}, which is read; choose another --out")
    return real


@contextmanager
def atomic_folder(real: Path, mark: Mapping[str, Any]) -> Iterator[Path]:
    """A folder beside the one wanted, which becomes it at the end of the block.

    Whatever goes wrong in the block, nothing is left under the name, or what was there before. A
    process that is killed leaves the folder beside it, which the next one replaces.

    Args:
        real: what `check_out` returned.
        mark: what its MARK says.

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
        left = "is as it was before" if real.exists() else "was not made"
        raise PicieError(
            f"{real}: cannot be written ({error.strerror or error}) and {left}; check the folder's "
            "permissions and the free space, or choose another --out"
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
"""Those whose images are georeferenced rasters, which are read window by window."""

_STEPS = 1000  # of the bar for one raster


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

    The folder appears whole or not at all. Images that cannot be read are named and left out.

    Args:
        model: a trained model, or its folder; its names and colours are those of the export.
        format: one of FORMATS.
        images: an image or a folder of them.
        out: folder to make.
        split: list file of the folder.
        options: how photos come into the layout, and how polygons are made.
        raster_view: for RASTER_FORMATS, how the network sees a raster.
        overwrite: replace an export that is already there; other folders are never replaced.
        keep: further paths that must not be lost with it.
        batch_size: as in `Segmenter.predict_folder`; so are the next three, which RASTER_FORMATS
            do not use.
        size: short side in pixels at which the network sees an image; as in training if None.
        tile: most pixels of a side that go through the network at once.
        workers: threads; -1 = chosen from the cores.
        reporter: shows how far it came; None = nothing.

    Returns:
        the number of images in it.

    Raises:
        ConfigError: an unknown format, an option or a number of classes that it cannot hold, or
            something else is at `out`.
        DataError: no such folder, or no image that can be read.
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
    left_out = f", {len(folder) - count} images could not be read" if count < len(folder) else ""
    reporter.say(f"{count} images in {out} ({format}){left_out}")
    return count


def _maker(format: str) -> WriterMaker:
    """Loads a module only when its format is wanted."""
    maker: WriterMaker = getattr(import_module(f"picie.export.formats.{format}"), _WRITERS[format])
    return maker


def _add(writer: Writer, one: Prediction) -> Then:
    assert one.mask is not None  # only readable images come here
    upright = stored_upright(one.path)
    return writer.add(Labelled(one.name, one.path, one.image, one.mask, upright))


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
    """Segment rasters one after the other; the number of those that could be read."""
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
    """The share of one raster that is done, as steps of the bar of all."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._shown = advance, 0

    def __call__(self, share: float) -> None:
        now = int(share * _STEPS)
        self._advance(now - self._shown)
        self._shown = now
