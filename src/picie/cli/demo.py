"""`picie demo`: the whole workflow on generated scenes."""

import itertools
import shutil
from pathlib import Path

from picie.cli.arguments import Demo
from picie.cli.evaluate import show
from picie.data.synthetic.scenes import CLASSES, write_scenes
from picie.errors import ConfigError
from picie.evaluation.scoring import evaluate
from picie.inference.predict_folder import predict_folder
from picie.inference.segmenter import Segmenter
from picie.runtime.progress import Reporter
from picie.training.loop import train
from picie.visualization.palette import palette
from picie.visualization.sheet import write_sheet

__all__ = ["draw_sheet", "run"]

_ROWS = 8
_PARTS = ("scenes", "model", "masks", "sheet.png")


def run(options: Demo) -> None:
    """Write scenes, train on them without labels, score, predict, and draw the sheet."""
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
        quiet=options.quiet,
    )
    reporter.say("3/4  scoring on 24 other scenes")
    evaluation = evaluate(model, scenes, split="val", reporter=reporter)
    reporter.say("4/4  masks and image sheet")
    predict_folder(model, scenes, out / "masks", split="val", overlays=True, reporter=reporter)
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
    write_sheet(path, shown, palette(model.clusters))


def _make_room(out: Path, *, overwrite: bool) -> None:
    taken = [out / part for part in _PARTS if (out / part).exists()]
    if taken and not overwrite:
        raise ConfigError(
            f"{out} already holds a demo; choose another --out or pass --overwrite to replace it"
        )
    for path in taken:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
