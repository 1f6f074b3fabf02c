"""`picie export`: masks for another tool, or the model for another program."""

import torch

from picie.cli.arguments import Export
from picie.cli.predict import adjusted, check_counts
from picie.errors import ConfigError
from picie.export.formats.layout import MIN_AREA, Options
from picie.export.formats.rasters import RasterView
from picie.export.masks import RASTER_FORMATS, export_masks
from picie.export.model.export import Exported, export_model
from picie.export.model.graph import LEAST_SIDE
from picie.export.upload import check_place
from picie.inference.segmenter import Segmenter, load
from picie.postprocessing.regions import check_area
from picie.runtime.devices import keep_freed_memory
from picie.runtime.progress import Reporter
from picie.runtime.storage import local_path

__all__ = ["run"]

_OF_MASKS = (
    "images", "split", "photos", "polygons", "tolerance", "min_area", "val", "min_region", "tile",
    "precision",
)  # fmt: skip
_RUNTIMES = {"onnx": "ONNX Runtime", "torch": "the loaded program"}


def run(options: Export) -> None:
    """Export masks (--format) or the model (--model).

    Raises:
        ConfigError: neither or both of --format and --model.
    """
    if options.format is None and options.model is None:
        raise ConfigError(
            "what to export? Give --format (masks of --images, say --format coco) or --model "
            "(the network, say --model onnx)"
        )
    if options.format is not None and options.model is not None:
        raise ConfigError(
            f"--format {options.format} exports masks and --model {options.model} the network; "
            "give one of them, and the other in a second call"
        )
    (_export_masks if options.format is not None else _export_model)(options)


def _export_model(options: Export) -> None:
    """Write the model to one file, and print how closely it matches torch.

    Raises:
        ConfigError: flags that apply to masks only.
    """
    assert options.model is not None  # checked in `run`
    for field in _OF_MASKS:
        if getattr(options, field) != getattr(Export, field):
            flag = f"--{field.replace('_', '-')}"
            raise ConfigError(f"{flag} is for masks (--format); remove it for --model")
    out = local_path(options.out)
    if out is None:
        raise ConfigError(
            f"{options.out}: --model writes --out on this machine; give a path, and upload the "
            "file afterwards"
        )
    model = load(options.run, device="cpu", precision="fp32")
    model = adjusted(model, options)
    if options.size is not None:
        model = model.at_size(options.size)
    reporter = Reporter(quiet=options.quiet)
    reporter.say("tracing the network; this can take a minute or two")
    exported = export_model(
        model, out, options.model, opset=options.opset, overwrite=options.overwrite
    )
    _show(exported, model, _RUNTIMES[options.model], reporter)


def _show(exported: Exported, model: Segmenter, runtime: str, reporter: Reporter) -> None:
    check = exported.check
    (file_seconds, torch_seconds), (_, height, width) = check.seconds, check.sizes[-1]
    sizes = ", ".join(f"{batch}x{high}x{wide}" for batch, high, wide in check.sizes)
    threads = torch.get_num_threads()
    reporter.say(f"{exported.path} ({exported.bytes / 1e6:.1f} MB), {model.clusters} classes")
    reporter.say(
        f"checked against torch on {sizes}: logits differ by at most {check.difference:.1e} of "
        f"the largest logit; {check.pixels:.4%} of the pixels get another id"
    )
    reporter.say(
        f"an image of {height}x{width} takes {1000 * file_seconds:.0f} ms in {runtime} and "
        f"{1000 * torch_seconds:.0f} ms in picie ({threads} thread{'s' * (threads > 1)} each)"
    )
    reporter.say(
        f"input: images (B, H, W, 3) uint8 RGB with a short side of "
        f"{max(model.config.size, LEAST_SIDE)} pixels and sides that are multiples of 32"
    )
    if model.config.refine:
        reporter.say(
            f"not in the file: the {model.config.refine} iterations of boundary refinement that "
            "picie predict adds"
        )


def _export_masks(options: Export) -> None:
    """Write the masks of --images in the layout of --format.

    Raises:
        ConfigError: no --images, or flags that do not fit the format.
    """
    assert options.format is not None  # checked in `run`
    if options.images is None:
        raise ConfigError(
            f"which photos? Give them: picie export {options.run} --format {options.format} "
            "--images PHOTOS --out DIR"
        )
    _check_flags(options, options.format)
    raster = options.format in RASTER_FORMATS
    raster_view = RasterView(size=options.size, tile=options.tile) if raster else None
    keep_freed_memory()
    # Fail before the model is loaded, which takes a while.
    check_place(options.out, overwrite=options.overwrite, sources=(options.images, options.run))
    model = load(options.run, device=options.device, precision=options.precision)
    export_masks(
        adjusted(model, options),
        options.format,
        options.images,
        options.out,
        split=options.split,
        options=Options(
            options.photos,
            options.polygons,
            options.tolerance,
            MIN_AREA if options.min_area is None else options.min_area,
            options.val,
        ),
        raster_view=raster_view,
        overwrite=options.overwrite,
        keep=(options.run,),
        min_region=options.min_region,
        batch_size=options.batch_size,
        size=options.size,
        tile=options.tile,
        workers=options.workers,
        reporter=Reporter(quiet=options.quiet),
    )


def _check_flags(options: Export, format: str) -> None:
    """Refuse flags that have no effect on this format, and impossible numbers."""
    raster = format in RASTER_FORMATS
    polygons = format in ("yolo", "geopackage") or (format == "coco" and options.polygons)
    for flag, given, fits, where in (
        ("--polygons", options.polygons, format == "coco", "coco"),
        ("--tolerance", options.tolerance, polygons, "coco --polygons, yolo, geopackage"),
        ("--min-area", options.min_area, polygons, "coco --polygons, yolo, geopackage"),
        ("--val", options.val != Export.val, format == "segmentation", "segmentation"),
        ("--min-region", options.min_region, not raster, "photos, and gdal_sieve.py for rasters"),
    ):
        if given and not fits:
            raise ConfigError(f"{flag} has no effect with --format {format}; it is for {where}")
    check_area("--min-area", options.min_area or 0)
    check_area("--min-region", options.min_region)
    check_counts(options)
