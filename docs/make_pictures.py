"""Make the pictures of the README and the docs from scenes that picie draws itself.

    python docs/make_pictures.py

Trains on 64 generated scenes (a few minutes on two cores) and writes docs/images/scenes.png.
"""

import itertools
import tempfile
from pathlib import Path

import picie
from picie.data.synthetic import CLASSES, write_scenes
from picie.report.palette import palette
from picie.report.sheet import write_sheet

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Train as `picie demo` does, and draw a sheet of four scenes that were not trained on."""
    with tempfile.TemporaryDirectory() as folder:
        scenes = write_scenes(Path(folder) / "scenes", train=64, val=24)
        model = picie.train(
            scenes, Path(folder) / "run", split="train", clusters=len(CLASSES), quiet=False
        )
        predictions = itertools.islice(model.predict_folder(scenes, split="val"), 4)
        rows = ((one.name, one.image, one.mask) for one in predictions if one.mask is not None)
        write_sheet(IMAGES / "scenes.png", rows, palette(model.clusters))


if __name__ == "__main__":
    main()
