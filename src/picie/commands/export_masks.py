"""`picie export --format`."""

from picie.commands.export_arguments import Export
from picie.commands.predict import adjusted, check_counts
from picie.errors import ConfigError
from picie.export.formats.layout import Options
from picie.export.formats.rasters import Look
from picie.export.masks import RASTER_FORMATS, check_out, export_masks
from picie.inference.segmenter import load
from picie.runtime.devices import keep_freed_memory
from picie.runtime.progress import Reporter

__all__ = ["run"]


def run(options: Export) -> None:
    """Write the masks of --images in the layout of --format.

    Raises:
        ConfigError: no --images, or flags that do not fit the format.
    """
    assert options.format is not None  # else the other half of the verb is meant
    if options.images is None:
        raise ConfigError(
            f"which photos? Give them: picie export {options.run} --format {options.format} "
            "--images PHOTOS --out DIR"
        )
    _check_flags(options, options.format)
    raster = options.format in RASTER_FORMATS
    look = Look(options.bands, options.stretch, options.size, options.tile) if raster else None
    keep_freed_memory()
    # Before the model is loaded, since people wait for that.
    check_out(options.out, overwrite=options.overwrite, sources=(options.images, options.run))
    model = load(options.run, device=options.device, precision=options.precision)
    prediction = {
        "size": options.size,
        "tile": options.tile,
        "batch_size": options.batch_size,
        "workers": options.workers,
    }
    export_masks(
        adjusted(model, options),
        options.format,
        options.images,
        options.out,
        split=options.split,
        options=Options(options.photos, options.polygons, options.tolerance),
        look=look,
        overwrite=options.overwrite,
        keep=(options.run,),
        reporter=Reporter(quiet=options.quiet),
        **({} if raster else prediction),
    )


def _check_flags(options: Export, format: str) -> None:
    """A flag that would change nothing is a mistake, which must not pass silently."""
    polygons = format in ("yolo", "geopackage") or (format == "coco" and options.polygons)
    for flag, given, fits, where in (
        ("--polygons", options.polygons, format == "coco", "coco"),
        ("--tolerance", options.tolerance, polygons, "coco --polygons, yolo, geopackage"),
        ("--bands", options.bands, format in RASTER_FORMATS, "geotiff, geopackage"),
        ("--stretch", options.stretch, format in RASTER_FORMATS, "geotiff, geopackage"),
    ):
        if given and not fits:
            raise ConfigError(f"{flag} does nothing for --format {format}; it is for {where}")
    check_counts(options)
