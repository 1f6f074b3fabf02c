"""`picie predict`."""

from pathlib import Path

from PIL import Image

from picie.commands.arguments import Predict
from picie.data.folder import open_folder
from picie.errors import ConfigError, DataError, PicieError
from picie.inference import Prediction, Segmenter, load
from picie.progress import Reporter
from picie.report.masks import overlay, write_mask, write_png
from picie.report.palette import Colours, palette

__all__ = ["run", "write_masks"]


def run(options: Predict) -> None:
    """Write masks, and name the pictures that could not be read."""
    if options.batch_size < 1:
        raise ConfigError(f"--batch-size {options.batch_size}: give 1 or more")
    write_masks(
        load(options.run, device=options.device),
        options.source,
        options.out,
        split=options.split,
        overlays=options.overlay,
        overwrite=options.overwrite,
        batch_size=options.batch_size,
        reporter=Reporter(quiet=options.quiet),
    )


def write_masks(
    model: Segmenter,
    source: Path,
    out: Path,
    *,
    split: str = "",
    overlays: bool = False,
    overwrite: bool = False,
    batch_size: int = 8,
    reporter: Reporter,
) -> None:
    """Write OUT/<name>.png for every picture, one at a time, and OUT/overlays/<name>.png.

    Raises:
        ConfigError: a mask is already there and may not be replaced.
        DataError: no picture could be read.
    """
    names = [photo.name for photo in open_folder(source, split).photos]
    if not overwrite:
        _check_free(out, names)
    colours = palette(model.clusters)
    problems: list[str] = []
    with reporter.task("masks", len(names)) as advance:
        for one in model.predict_folder(source, split=split, batch_size=batch_size):
            advance(1)
            if one.mask is None:
                problems.append(one.problem)
            else:
                _write(one, out, colours, overlays=overlays)
    for problem in problems:
        reporter.say(f"  {problem}")
    if len(problems) == len(names):
        raise DataError(
            f"{source}: none of the {len(names)} pictures could be read; first: {problems[0]}"
        )
    left_out = f", {len(problems)} pictures could not be read" if problems else ""
    reporter.say(f"{len(names) - len(problems)} masks in {out}{left_out}")


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
