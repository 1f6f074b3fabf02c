"""`picie predict`."""

from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from picie.cli.arguments import Evaluate, Export, Predict, Report
from picie.data.folder import open_folder
from picie.errors import ConfigError, PicieError
from picie.inference.predict_folder import predict_each
from picie.inference.segmenter import Prediction, Segmenter, load
from picie.runtime.devices import keep_freed_memory
from picie.runtime.files import write_atomically
from picie.runtime.progress import Reporter
from picie.visualization.masks import overlay, write_mask, write_png
from picie.visualization.palette import Colours

__all__ = ["adjusted", "check_counts", "run", "write_masks"]


def run(options: Predict) -> None:
    """Write masks, and name the pictures that could not be read."""
    check_counts(options)
    keep_freed_memory()
    reporter = Reporter(quiet=options.quiet)
    model = load(options.run, device=options.device, precision=options.precision)
    if model.class_names is not None and options.clusters is not None:
        reporter.say(
            f"names of {model.class_names.origin} are left out: with --clusters masks hold cluster "
            "numbers; leave --clusters out to have classes"
        )
    write_masks(
        adjusted(model, options),
        options.source,
        options.out,
        split=options.split,
        overlays=options.overlay,
        overwrite=options.overwrite,
        batch_size=options.batch_size,
        size=options.size,
        tile=options.tile,
        workers=options.workers,
        reporter=reporter,
    )


def check_counts(options: Predict | Export) -> None:
    """Refuse numbers of pictures in a batch, or of threads, that cannot be.

    Raises:
        ConfigError: which flag, and what it takes.
    """
    if options.batch_size < 1:
        raise ConfigError(f"--batch-size {options.batch_size}: give 1 or more")
    if options.workers < -1:
        raise ConfigError(f"--workers {options.workers}: give 0 or more, or -1 for automatic")


def adjusted(model: Segmenter, options: Predict | Evaluate | Export | Report) -> Segmenter:
    """The model with the clusters and the post-processing that the flags ask for.

    A number of clusters takes the names away, since it asks for plain cluster numbers.
    """
    if options.clusters is not None:
        model = model.cut(options.clusters)
    if options.scales or options.refine is not None:
        model = model.post_processed(scales=options.scales or None, refine=options.refine)
    return model


def write_masks(
    model: Segmenter,
    source: Path,
    out: Path,
    *,
    split: str = "",
    overlays: bool = False,
    overwrite: bool = False,
    workers: int = -1,
    reporter: Reporter,
    **options: Any,
) -> None:
    """Write OUT/<name>.png for every picture, and OUT/overlays/<name>.png.

    A model with names also writes OUT/classes.txt: the names by id, one a line.

    Args:
        model: a trained model.
        source: a photo or a folder of them.
        out: folder to make.
        split: list file of the folder.
        overlays: also write photo and mask blended.
        overwrite: replace what is there.
        workers: threads that read, and as many that write; 0 = none, -1 = chosen from the cores.
        reporter: shows how far it came.
        options: further ones of `Segmenter.predict_folder`.

    Raises:
        ConfigError: a mask or other names are already there and may not be replaced, or an option
            cannot be.
        DataError: no picture could be read.
        PicieError: a file cannot be written.
    """
    folder = open_folder(source, split)
    if not overwrite:
        _check_free(out, [photo.name for photo in folder.photos])
    _write_names(model, out, overwrite=overwrite, reporter=reporter)
    work = partial(_write, out=out, colours=model.colours, overlays=overlays)
    read = predict_each(model, folder, work, workers=workers, reporter=reporter, **options)
    left_out = f", {len(folder) - read} pictures could not be read" if read < len(folder) else ""
    reporter.say(f"{read} masks in {out}{left_out}")


def _write_names(model: Segmenter, out: Path, *, overwrite: bool, reporter: Reporter) -> None:
    """Names go beside masks of classes, and none beside masks of cluster numbers."""
    path = out / "classes.txt"
    if model.class_names is None:
        if path.exists():
            reporter.say(f"{path} is not about these masks: they hold cluster numbers")
        return
    text = "".join(f"{name}\n" for name in model.names).encode()
    if path.exists() and path.read_bytes() != text and not overwrite:
        raise ConfigError(
            f"{path} is already there and has other names; choose another --out, or pass "
            "--overwrite to replace it"
        )
    write_atomically(_in_folder(path), text)


def _write(one: Prediction, out: Path, colours: Colours, *, overlays: bool) -> None:
    assert one.mask is not None  # the caller leaves out pictures without one
    write_mask(one.mask, _in_folder(out / f"{one.name}.png"), colours)
    if overlays:
        blended = overlay(one.image, one.mask, colours)
        write_png(Image.fromarray(blended), _in_folder(out / "overlays" / f"{one.name}.png"))


def _in_folder(path: Path) -> Path:
    """The path, with a folder around it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PicieError(
            f"{path.parent}: cannot be made ({error.strerror}); choose another --out"
        ) from None
    return path


def _check_free(out: Path, names: list[str]) -> None:
    taken = [path for name in names if (path := out / f"{name}.png").exists()]
    if taken:
        raise ConfigError(
            f"{taken[0]} is already there (and {len(taken) - 1} more); choose another --out, or "
            "pass --overwrite to replace them"
        )
