"""Make the README's picture from the demo: four scenes that the model was not trained on.

    make demo
    python docs/make_pictures.py

Reads runs/demo, writes docs/images/scenes.png. The curves of docs/results.md are drawn by
benchmarks/compare_presets.py.
"""

import itertools
from pathlib import Path

import picie
from picie.report.palette import palette
from picie.report.sheet import write_sheet

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Predict the first scenes of the demo's val split and draw the sheet."""
    demo = ROOT / "runs" / "demo"
    model = picie.load(demo / "model")
    predictions = itertools.islice(model.predict_folder(demo / "scenes", split="val"), 4)
    rows = ((one.name, one.image, one.mask) for one in predictions if one.mask is not None)
    write_sheet(ROOT / "docs" / "images" / "scenes.png", rows, palette(model.clusters))


if __name__ == "__main__":
    main()
