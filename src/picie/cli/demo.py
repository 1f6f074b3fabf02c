"""`picie demo`: the whole workflow on generated scenes."""

import itertools
import re
from pathlib import Path

from picie.cli.arguments import Demo
from picie.cli.evaluate import show
from picie.data.own_outputs import MASKS_MANIFEST
from picie.data.synthetic.scenes import CLASSES, is_marked, other_file, write_scenes
from picie.errors import ConfigError
from picie.evaluation.scoring import evaluate
from picie.inference.manifest import Manifest
from picie.inference.predict_folder import predict_folder
from picie.inference.segmenter import Segmenter
from picie.runs import Run
from picie.runtime.locks import locked
from picie.runtime.outputs import has_content, list_files
from picie.runtime.places import open_place
from picie.runtime.progress import Reporter
from picie.training.loop import train
from picie.visualization.masks import is_signed_png
from picie.visualization.sheet import write_sheet

__all__ = ["draw_sheet", "run"]

_ROWS = 8
_PARTS = ("scenes", "model", "masks", "sheet.png")
_EARLY = re.compile(r"(overlays/)?scene_\d{4,}\.png")


def run(options: Demo) -> None:
    """Write scenes, train on them without labels, score, predict, and draw the sheet."""
    with locked(options.out, "picie demo", inside=True):
        _run(options)


def _run(options: Demo) -> None:
    out, reporter = options.out, Reporter(quiet=options.quiet)
    _make_room(out, overwrite=options.overwrite)
    reporter.say(f"1/4  drawing street and landscape scenes: {out / 'scenes'}")
    scenes = write_scenes(out / "scenes", train=64, val=24, seed=options.seed)
    reporter.say("2/4  training on 64 of them, without their labels")
    model = train(
        scenes,
        out / "model",
        split="train",
        clusters=len(CLASSES),
        seed=options.seed,
        overwrite=options.overwrite,
        quiet=options.quiet,
    )
    reporter.say("3/4  scoring on 24 other scenes")
    evaluation = evaluate(model, scenes, split="val", reporter=reporter)
    reporter.say("4/4  masks and image sheet")
    predict_folder(
        model, scenes, out / "masks", split="val", overlays=True, overwrite=options.overwrite,
        reporter=reporter,
    )  # fmt: skip
    draw_sheet(model, scenes, out / "sheet.png", rows=_ROWS)
    show(evaluation)
    reporter.say(f"image sheet: {out / 'sheet.png'}")
    reporter.say(f"model: {out / 'model'}; masks: {out / 'masks'}")


def draw_sheet(model: Segmenter, scenes: Path, path: Path, *, rows: int) -> None:
    """Draw a sheet of the first val scenes: photo, clusters, overlay."""
    predictions = itertools.islice(model.predict_folder(scenes, split="val"), rows)
    shown = (
        (prediction.name, prediction.image, prediction.mask)
        for prediction in predictions
        if prediction.mask is not None
    )
    write_sheet(path, shown, model.colours)


def _make_room(out: Path, *, overwrite: bool) -> None:
    """Fail unless the parts of the demo can be written; remove those of an early version.

    Raises:
        ConfigError: they exist and `overwrite` is off, or one holds a file of someone else.
    """
    taken = [out / part for part in _PARTS if has_content(out / part)]
    if not taken:
        return
    if not overwrite:
        raise ConfigError(
            f"{out} already holds a demo; choose another --out or pass --overwrite to replace it"
        )
    scenes, model, masks, sheet = (out / part for part in _PARTS)
    foreign = [scenes / name for name in [other_file(scenes)] if name]
    Run.check_free(model, overwrite=True)
    if not foreign and Run.is_run(model) and scenes.is_dir() and not is_marked(scenes):
        _remove_early_masks(masks)
    else:
        foreign += [sheet] * (has_content(sheet) and not is_signed_png(sheet))
    if masks.is_dir():
        place = open_place(masks)
        manifest = Manifest(place)
        stamps = {name: place.stamp(name) for name in list_files(masks) if name.endswith(".png")}
        foreign += [
            masks / name
            for name, stamp in stamps.items()
            if stamp is not None and manifest.find(name, stamp) is None
        ]
    if foreign:
        raise ConfigError(
            f"{foreign[0]}: was not written by the demo, or was changed since, and is not "
            "replaced; choose another --out, or move it away"
        )


def _remove_early_masks(masks: Path) -> None:
    """Versions without masks.jsonl wrote nothing but masks and overlays of scenes."""
    if masks.is_dir() and not (masks / MASKS_MANIFEST).exists():
        names = list_files(masks)
        if all(_EARLY.fullmatch(name) for name in names):
            for name in names:
                (masks / name).unlink()
